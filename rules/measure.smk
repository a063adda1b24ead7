# Measurements. In: data sets, models, jars and the configuration, all behind one barrier, `check_ready`. Out: for each repeat a record,
# measurements/<machine>/p<protocol>/<model>/<dataset>/<framework>/<variant>/<device>/w<N>/bs<N>/rep<N>.json, and its
# predictions. Cost: all the hours there are.
# A time is an observation, not a build product: what was measured is in its path, and the rules below make only records
# that are missing. One that exists is an input like any other, so that code, charts, clones and checkouts measure
# nothing again. A new protocol number, machine, model, data set or variant measures what is new; to measure something
# again, remove its record.


rule write_configuration:
    input:
        get_usable,
    output:
        config="<results>/provenance/config.yaml",
        grid="<results>/provenance/grid.json",
    log:
        "<logs>/write_configuration.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        config=GRID.config,
        grid=GRID.describe(),
    message:
        "writing the effective configuration"
    script:
        "../scripts/write_configuration.py"


rule check_ready:
    input:
        config="<results>/provenance/config.yaml",
        parts=get_parts,
        logits=f"<resources>/models/{GRID.model.slug}/logits.json",
        spark=get_spark_checks(),
    output:
        "<results>/provenance/ready.json",
    log:
        "<logs>/check_ready.log",
    conda:
        "../envs/report.yaml"
    threads: 10_000
    resources:
        machine=SHARED,
    params:
        machine=GRID.config["machine"],
        devices=GRID.config["devices"],
        batch_sizes=get_batch_sizes(),
        wants_spark=any(GRID.needs(cell).spark for cell in GRID.cells),
        quiet=GRID.config["quiet"],
    message:
        "checking the machine, and reading every file once, before the first measurement"
    script:
        "../scripts/check_ready.py"


# What the machine can do at most, alone on it and before the first measurement.
rule measure_peak:
    input:
        ready="<results>/provenance/ready.json",
        config="<results>/provenance/config.yaml",
        checkpoint="<resources>/models/{model}/checkpoint",
        manifest=str(GRID.manifest("sample")),
    output:
        "measurements/{machine}/p{protocol}/{model}/peak{beside}.json",
    log:
        "<logs>/measure_peak/{machine}.p{protocol}.{model}{beside}.log",
    wildcard_constraints:
        beside=r"(\+[^/]+)?",
        machine=missing_only([str(GRID.peak)]),
    priority: 2_000_000
    conda:
        "../envs/model.yaml"
    threads: 10_000
    resources:
        machine=EXCLUSIVE,
    message:
        "measuring what this machine can do at most"
    shell:
        'python "$VITBENCH_HOME"/scripts/measure_peak.py --config {input.config:q} --threads {threads}'
        " --out {output:q} > {log:q} 2>&1"


rule measure:
    input:
        ready="<results>/provenance/ready.json",
        config="<results>/provenance/config.yaml",
        parts=get_measured_parts,
    output:
        record="measurements/{machine}/p{protocol}/{model}/{dataset}/{framework}/{variant}/{device}/w{workers}/bs{batch_size}/rep{repeat}.json",
        predictions="measurements/{machine}/p{protocol}/{model}/{dataset}/{framework}/{variant}/{device}/w{workers}/bs{batch_size}/rep{repeat}.predictions.csv",
    log:
        "<logs>/measure/{machine}.p{protocol}.{model}.{dataset}.{framework}.{variant}.{device}.w{workers}.bs{batch_size}.rep{repeat}.log",
    wildcard_constraints:
        machine=missing_only(get_records(GRID.cells)),
    priority: get_order
    conda:
        "../envs/{framework}.yaml"
    threads: 10_000
    resources:
        machine=EXCLUSIVE,
        gpu=lambda wildcards: int(wildcards.device == "gpu"),
    params:
        cell=lambda wildcards: get_cell(wildcards).name,
        dataset=get_dataset,
    message:
        "measuring {params.cell} on {params.dataset}, repeat {wildcards.repeat}"
    shell:
        'python "$VITBENCH_HOME"/scripts/measure.py --config {input.config:q} --dataset {params.dataset} --cell {params.cell:q}'
        " --repeat {wildcards.repeat} --threads {threads} --ready {input.ready:q} --out {output.record:q}"
        " --progress 3 3>&2 > {log:q} 2>&1"


# The choice is made once and kept beside the records: a sweep that is measured again never repeats hours of full runs;
# results/best_batch_size.csv says so where the sweep would now choose otherwise.
rule choose_batch_size:
    input:
        get_sweep_of,
    output:
        "measurements/{machine}/p{protocol}/{model}/{dataset}/{framework}/{variant}/{device}/w{workers}/bsbest/choice.json",
    log:
        "<logs>/choose_batch_size/{machine}.p{protocol}.{model}.{dataset}.{framework}.{variant}.{device}.w{workers}.log",
    wildcard_constraints:
        machine=missing_only(get_choices()),
    priority: 1_000_000
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        sizes=get_sizes_of,
        margin=GRID.config["margin"],
    message:
        "choosing the batch size of {wildcards.framework}/{wildcards.variant} on {wildcards.device}"
    script:
        "../scripts/choose_batch_size.py"
