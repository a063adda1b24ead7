# Data sets. In: a definition (resources/datasets.yaml or `define`). Out: images/ and manifest.csv under
# <resources>/datasets/<role>-<name>-<digest>/. Cost: seconds to minutes, and the download of an archive, which is kept in
# <resources>/archives/ and is no output: whoever removes it loses nothing that was made of it. Made again when its
# definition changes: its path does.


rule build_dataset:
    output:
        images=directory("<resources>/datasets/{dataset}/images"),
        manifest="<resources>/datasets/{dataset}/manifest.csv",
    log:
        "<logs>/build_dataset/{dataset}.log",
    conda:
        "../envs/model.yaml"
    threads: lambda wildcards: 1 if get_dataset_definition(wildcards)["kind"] == "photos" else 10_000
    resources:
        # Two data sets may be of one archive, which is fetched into one file: also where threads keep nothing apart.
        machine=lambda wildcards: (
            EXCLUSIVE
            if get_dataset_definition(wildcards)["kind"] == "archive"
            else SHARED
        ),
    params:
        definition=get_dataset_definition,
        role=lambda wildcards: GRID.datasets[get_dataset(wildcards)].role,
        name=lambda wildcards: GRID.datasets[get_dataset(wildcards)].name,
    message:
        "making the data set {wildcards.dataset}"
    script:
        "../scripts/build_dataset.py"
