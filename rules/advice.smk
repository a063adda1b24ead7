# Advice. In: the tables of <results>/{source} and the records' settings. Out: <results>/{source}advice.csv, steps.csv,
# <reports>/{source}advice.md, and its charts, of what is measured; the target `tune` searches within `tune_minutes` in
# the folder tune/. Cost: seconds. Made again whenever a record, or a module that makes it, changes.


rule tabulate_advice:
    input:
        get_measured,
        runs="<results>/{source}runs.csv",
        speedup="<results>/{source}speedup.csv",
        total_time="<results>/{source}total_time.csv",
        break_even="<results>/{source}break_even.csv",
        physics="<results>/{source}physics.csv",
        grid="<results>/{source}provenance/grid.json",
        lib=library("tabulate_advice"),
    output:
        advice="<results>/{source}advice.csv",
        steps="<results>/{source}steps.csv",
    log:
        "<logs>/{source}tabulate_advice.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        archive=get_archive,
    message:
        "finding what to run"
    script:
        "../scripts/tabulate_advice.py"


rule write_advice:
    input:
        advice="<results>/{source}advice.csv",
        steps="<results>/{source}steps.csv",
        context="<results>/{source}provenance/context.json",
        lib=library("write_advice"),
    output:
        "<reports>/{source}advice.md",
    log:
        "<logs>/{source}write_advice.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "writing what to run"
    script:
        "../scripts/write_advice.py"


rule advice:
    input:
        "<reports>/advice.md",
        get_charts("advice"),
    localrule: True


# A search in a working directory of its own, tune/, with this folder's data sets and models, which are made here:
# trials of settings and batch sizes within `tune_minutes`, then the winners on fresh repeats. A job without an output:
# what was measured is kept, and the same command goes on. It runs Snakemake: not with --sdm conda.
rule tune:
    input:
        config="<results>/provenance/config.yaml",
        made=get_made(),
    log:
        "<logs>/tune.log",
    conda:
        "../envs/report.yaml"
    threads: 10_000
    resources:
        machine=EXCLUSIVE,
    message:
        "searching for the best settings"
    shell:
        'python "$VITBENCH_HOME"/scripts/tune.py --config {input.config:q} --directory tune --cores {threads}'
        " 2>&1 | tee -i {log:q}"
