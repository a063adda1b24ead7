# Data sets. In: a definition (resources/datasets.yaml or `define`). Out: images/ and manifest.csv under
# <resources>/datasets/<role>-<name>-<digest>/. Cost: seconds. Made again when its definition changes: its path does.


rule build_dataset:
    output:
        images=directory("<resources>/datasets/{dataset}/images"),
        manifest="<resources>/datasets/{dataset}/manifest.csv",
    log:
        "<logs>/build_dataset/{dataset}.log",
    conda:
        "../envs/model.yaml"
    resources:
        machine=SHARED,
    params:
        definition=get_dataset_definition,
        role=lambda wildcards: wildcards.dataset.partition("-")[0],
    message:
        "making the data set {wildcards.dataset}"
    script:
        "../scripts/build_dataset.py"
