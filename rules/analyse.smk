# Tables. In: records. Out: <results>/{source}runs.csv, one row a repeat, and from it alone (and the predictions that it
# names) summary, best batch size, parity and speedup, and from those break-even, effective batches, and what the size of
# a data set changes. Cost: seconds.
# Made again whenever a record, or a module that makes them, changes.
# {source} is empty for what is measured here, campaigns/NAME/ for a packed campaign (rules/campaigns.smk). What depends
# on the configuration stands in the source's own grid.json and config.yaml, not in this run's.


rule collect_records:
    input:
        get_measured,
        grid="<results>/{source}provenance/grid.json",
        lib=library("collect_records"),
    output:
        "<results>/{source}runs.csv",
    log:
        "<logs>/{source}collect_records.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "collecting the records"
    script:
        "../scripts/collect_records.py"


rule tabulate_physics:
    input:
        get_measured_peak,
        runs="<results>/{source}runs.csv",
        grid="<results>/{source}provenance/grid.json",
        lib=library("tabulate_physics"),
    output:
        "<results>/{source}physics.csv",
    log:
        "<logs>/{source}tabulate_physics.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "holding the cells against what the machine can do"
    script:
        "../scripts/tabulate_physics.py"


rule analyse_runs:
    input:
        get_compared,
        runs="<results>/{source}runs.csv",
        physics="<results>/{source}physics.csv",
        grid="<results>/{source}provenance/grid.json",
        lib=library("analyse_runs"),
    output:
        summary="<results>/{source}summary.csv",
        budget="<results>/{source}time_budget.csv",
        best="<results>/{source}best_batch_size.csv",
        images="<results>/{source}images.csv",
        parity="<results>/{source}parity.csv",
        disagreements="<results>/{source}disagreements.csv",
        speedup="<results>/{source}speedup.csv",
    log:
        "<logs>/{source}analyse_runs.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "comparing the cells"
    script:
        "../scripts/analyse_runs.py"


rule derive_tables:
    input:
        runs="<results>/{source}runs.csv",
        parity="<results>/{source}parity.csv",
        speedup="<results>/{source}speedup.csv",
        physics="<results>/{source}physics.csv",
        grid="<results>/{source}provenance/grid.json",
        lib=library("derive_tables"),
    output:
        break_even="<results>/{source}break_even.csv",
        batches="<results>/{source}effective_batches.csv",
        sustained="<results>/{source}sustained.csv",
        data_set_sizes="<results>/{source}data_set_sizes.csv",
        total_time="<results>/{source}total_time.csv",
    log:
        "<logs>/{source}derive_tables.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "deriving break-even, effective batches, long repeats and sizes of data sets"
    script:
        "../scripts/derive_tables.py"


rule write_context:
    input:
        runs="<results>/{source}runs.csv",
        speedup="<results>/{source}speedup.csv",
        config="<results>/{source}provenance/config.yaml",
        grid="<results>/{source}provenance/grid.json",
        lib=library("write_context"),
    output:
        "<results>/{source}provenance/context.json",
    log:
        "<logs>/{source}write_context.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
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
        total_time="<results>/total_time.csv",
        context="<results>/provenance/context.json",
        grid="<results>/provenance/grid.json",
        published=checkout("resources", "published", "runs.csv"),
        lib=library("write_summary"),
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
