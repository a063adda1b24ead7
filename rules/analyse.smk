# Tables. In: records. Out: <results>/runs.csv, one row a repeat, and from it alone (and the predictions that it names)
# summary, best batch size, parity and speedup. Cost: seconds. Made again whenever a record or the library changes.


rule collect_records:
    input:
        records=get_records(GRID.sweep + GRID.full),
        lib=library(),
    output:
        "<results>/runs.csv",
    log:
        "<logs>/collect_records.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        skipped=[[cell.dataset, cell.name, reason] for cell, reason in GRID.skipped],
        identity=[GRID.config["machine"], GRID.config["protocol"], GRID.model.name],
    message:
        "collecting the records"
    script:
        "../scripts/collect_records.py"


rule analyse_runs:
    input:
        runs="<results>/runs.csv",
        manifests=get_manifests(),
        lib=library(),
    output:
        summary="<results>/summary.csv",
        best="<results>/best_batch_size.csv",
        parity="<results>/parity.csv",
        speedup="<results>/speedup.csv",
    log:
        "<logs>/analyse_runs.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        baseline=GRID.baseline,
        agreement=GRID.config["parity"]["agreement"],
        roles=list(GRID.datasets),
    message:
        "comparing the cells"
    script:
        "../scripts/analyse_runs.py"


rule write_context:
    input:
        runs="<results>/runs.csv",
        speedup="<results>/speedup.csv",
        config="<results>/provenance/config.yaml",
        lib=library(),
    output:
        "<results>/provenance/context.json",
    log:
        "<logs>/write_context.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "gathering what captions say"
    script:
        "../scripts/write_context.py"


rule write_summary:
    input:
        runs="<results>/runs.csv",
        best="<results>/best_batch_size.csv",
        parity="<results>/parity.csv",
        speedup="<results>/speedup.csv",
        context="<results>/provenance/context.json",
        published=checkout("resources", "published", "runs.csv"),
        lib=library(),
    output:
        "<results>/summary.txt",
    log:
        "<logs>/write_summary.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "writing the lines that the run ends with"
    script:
        "../scripts/write_summary.py"
