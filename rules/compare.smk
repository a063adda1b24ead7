# Comparison of two sets of records that were measured at different times. In: two folders of records, or campaigns
# (baseline_records, candidate_records, baseline_campaign, candidate_campaign). Out: <results>/compare/compare.csv, a row a
# cell, and <reports>/compare.{png,svg,md}. And several machines side by side: <results>/machines.csv and
# <reports>/machines.md, of all campaigns. Measures nothing. Cost: seconds. Made again whenever a record of a set, or a
# module that makes it, changes.


rule tabulate_comparison:
    input:
        lib=library("tabulate_comparison"),
    output:
        table="<results>/compare/compare.csv",
        context="<results>/compare/provenance/context.json",
        runs=expand("<results>/compare/{side}_runs.csv", side=["baseline", "candidate"]),
    log:
        "<logs>/tabulate_comparison.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        baseline=lambda wildcards: get_set("baseline"),
        candidate=lambda wildcards: get_set("candidate"),
        other="--other-machine" if config["other_machine"] else "",
        margin=config["margin"],
        # Recorded only, so that what was changed in a set is compared again.
        state=get_sets_state,
    message:
        "comparing {params.candidate} with {params.baseline}"
    shell:
        'python "$VITBENCH_HOME"/scripts/tabulate_comparison.py --baseline {params.baseline:q}'
        ' --candidate {params.candidate:q} --margin {params.margin} {params.other} --to "$(dirname {output.table:q})"'
        " 2>&1 | tee {log:q}"


rule plot_compare:
    input:
        compare="<results>/compare/compare.csv",
        context="<results>/compare/provenance/context.json",
        lib=library("plot_chart", CHARTS["compare"].source),
    output:
        png=report(
            "<reports>/compare.png",
            caption="../reports/captions/compare.rst",
            category=CHARTS["compare"].category,
            labels={"chart": "compare", "over": CHARTS["compare"].over},
        ),
        svg="<reports>/compare.svg",
    log:
        "<logs>/plot_compare.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        chart="compare",
    message:
        "drawing what changed"
    script:
        "../scripts/plot_chart.py"


rule write_comparison:
    input:
        compare="<results>/compare/compare.csv",
        context="<results>/compare/provenance/context.json",
        lib=library("write_comparison"),
    output:
        "<reports>/compare.md",
    log:
        "<logs>/write_comparison.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "writing the page of what changed"
    script:
        "../scripts/write_comparison.py"


# A job of its own and without an output: where a verdict shall fail the run, the report is there already and stays.
rule compare:
    input:
        "<reports>/compare.md",
        "<reports>/compare.png",
        "<reports>/compare.svg",
        table="<results>/compare/compare.csv",
    log:
        "<logs>/compare.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    params:
        folder=lambda wildcards, input: os.path.dirname(input.table),
        fail_on=(
            [config["fail_on"]]
            if isinstance(config["fail_on"], str)
            else config["fail_on"]
        ),
    message:
        "what changed"
    shell:
        'python "$VITBENCH_HOME"/scripts/judge_comparison.py --folder {params.folder:q}'
        " --fail-on {params.fail_on:q} 2>&1 | tee {log:q}"


rule tabulate_machines:
    input:
        summary=expand("<results>/campaigns/{name}/summary.csv", name=get_campaigns()),
        speedup=expand("<results>/campaigns/{name}/speedup.csv", name=get_campaigns()),
        grid=expand(
            "<results>/campaigns/{name}/provenance/grid.json", name=get_campaigns()
        ),
        lib=library("tabulate_machines"),
    output:
        table="<results>/machines.csv",
        page="<reports>/machines.md",
    log:
        "<logs>/tabulate_machines.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "setting the campaigns of several machines side by side"
    script:
        "../scripts/tabulate_machines.py"


rule machines:
    input:
        "<results>/machines.csv",
        "<reports>/machines.md",
    localrule: True
