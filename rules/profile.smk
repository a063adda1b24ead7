# Profiles. In: what `check_ready` found, the chosen batch sizes, and every record of the full runs, so that profiles are made last.
# Out: beside the records of each full cell a profile.json, made once like a record and kept like one (rules/measure.smk
# says why), from all of them <results>/stages.csv, and <results>/slowest_stage.csv. Cost: about the time of ten passes and one start a variant.


rule profile_cell:
    input:
        ready="<results>/provenance/ready.json",
        config="<results>/provenance/config.yaml",
        parts=get_measured_parts,
        records=get_records_of_cell,
    output:
        "measurements/{machine}/p{protocol}/{model}/{dataset}/{framework}/{variant}/{device}/w{workers}/bs{batch_size}/profile.json",
    log:
        "<logs>/profile_cell/{machine}.p{protocol}.{model}.{dataset}.{framework}.{variant}.{device}.w{workers}.bs{batch_size}.log",
    wildcard_constraints:
        batch_size=BEST,
        machine=missing_only(get_profiles()),
    priority: -1
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
        "profiling {params.cell} on {params.dataset}"
    shell:
        'python "$VITBENCH_HOME"/scripts/profile_cell.py --config {input.config:q} --dataset {params.dataset} --cell {params.cell:q}'
        " --threads {threads} --out {output:q} > {log:q} 2>&1"


rule tabulate_stages:
    input:
        get_profiled,
        runs="<results>/{source}runs.csv",
        grid="<results>/{source}provenance/grid.json",
        lib=library("tabulate_stages"),
    output:
        "<results>/{source}stages.csv",
    log:
        "<logs>/{source}tabulate_stages.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "finding out where the time goes"
    script:
        "../scripts/tabulate_stages.py"


rule tabulate_slowest:
    input:
        stages="<results>/{source}stages.csv",
        physics="<results>/{source}physics.csv",
        lib=library("tabulate_slowest"),
    output:
        "<results>/{source}slowest_stage.csv",
    log:
        "<logs>/{source}tabulate_slowest.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "holding the cells against their own slowest stages"
    script:
        "../scripts/tabulate_slowest.py"
