# Labels for images, however many. In: `images` (a folder, a list, Parquet files), and the model in the form that the
# variant loads, which is made as for a measurement. Out: the folder `out`, with labels/*.parquet and quarantine.csv
# (docs/classify.md). Cost: what the variant takes for each image. No file of a job is an output: what was labelled stays,
# whoever stops the run, and the same command goes on with the rest. A job that is done is only counted.


rule classify:
    input:
        unpack(get_classified),
        config="<results>/provenance/config.yaml",
    log:
        "<logs>/classify.log",
    conda:
        lambda wildcards: f"../envs/{get_chosen().cell.framework}.yaml"
    threads: 10_000
    resources:
        machine=EXCLUSIVE,
        gpu=lambda wildcards: int(get_chosen().cell.device == "gpu"),
    params:
        options=get_classify_options,
        images=config["images"],
        by=lambda wildcards: f"{get_chosen().variant} ({get_chosen().why})",
    message:
        "labelling {params.images} by {params.by}"
    shell:
        'python "$VITBENCH_HOME"/scripts/classify_images.py --config {input.config:q} --threads {threads} {params.options:q}'
        " 2>&1 | tee -i {log:q}"
