# Charts. In: the tables of <results>/{source}. Out: <reports>/{source}*.png and *.svg, for what is measured here, for the
# published numbers and for packed campaigns alike. Cost: seconds. Drawn again whenever a table or the library changes.

CHARTS = ["speedup", "batch_sweep", "wall_time"]


rule plot_speedup:
    input:
        unpack(get_published_runs),
        speedup="<results>/{source}speedup.csv",
        summary="<results>/{source}summary.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}speedup.png",
            caption="../reports/captions/speedup.rst",
            category="Comparison",
            labels={"chart": "speedup", "over": "pairs of cells"},
        ),
        svg="<reports>/{source}speedup.svg",
    log:
        "<logs>/{source}plot_speedup.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the speedups"
    script:
        "../scripts/plot_speedup.py"


rule plot_batch_sweep:
    input:
        runs="<results>/{source}runs.csv",
        summary="<results>/{source}summary.csv",
        best="<results>/{source}best_batch_size.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}batch_sweep.png",
            caption="../reports/captions/batch_sweep.rst",
            category="Throughput",
            labels={"chart": "batch sweep", "over": "batch size"},
        ),
        svg="<reports>/{source}batch_sweep.svg",
    log:
        "<logs>/{source}plot_batch_sweep.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the batch sweep"
    script:
        "../scripts/plot_batch_sweep.py"


rule plot_wall_time:
    input:
        runs="<results>/{source}runs.csv",
        summary="<results>/{source}summary.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}wall_time.png",
            caption="../reports/captions/wall_time.rst",
            category="Throughput",
            labels={"chart": "wall time", "over": "variants"},
        ),
        svg="<reports>/{source}wall_time.svg",
    log:
        "<logs>/{source}plot_wall_time.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the wall times"
    script:
        "../scripts/plot_wall_time.py"


rule figures:
    input:
        expand(
            "<reports>/{chart}.{form}",
            chart=CHARTS,
            form=["png", "svg"],
        ),
    localrule: True
