# Charts. In: the tables of <results>/{source}. Out: <reports>/{source}*.png and *.svg, for what is measured here, for the
# published numbers and for packed campaigns alike. Cost: seconds. Drawn again whenever a table or the library changes.

CHARTS = [
    "speedup",
    "batch_sweep",
    "wall_time",
    "passes",
    "break_even",
    "effective_batches",
    "quiet",
    "stages",
    "physics",
]


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


rule plot_passes:
    input:
        runs="<results>/{source}runs.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}passes.png",
            caption="../reports/captions/passes.rst",
            category="Method",
            labels={"chart": "passes", "over": "passes of a repeat"},
        ),
        svg="<reports>/{source}passes.svg",
    log:
        "<logs>/{source}plot_passes.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the passes"
    script:
        "../scripts/plot_passes.py"


rule plot_break_even:
    input:
        runs="<results>/{source}runs.csv",
        break_even="<results>/{source}break_even.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}break_even.png",
            caption="../reports/captions/break_even.rst",
            category="Comparison",
            labels={"chart": "break even", "over": "number of images"},
        ),
        svg="<reports>/{source}break_even.svg",
    log:
        "<logs>/{source}plot_break_even.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the break-even"
    script:
        "../scripts/plot_break_even.py"


rule plot_effective_batches:
    input:
        batches="<results>/{source}effective_batches.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}effective_batches.png",
            caption="../reports/captions/effective_batches.rst",
            category="Method",
            labels={"chart": "effective batches", "over": "batch size"},
        ),
        svg="<reports>/{source}effective_batches.svg",
    log:
        "<logs>/{source}plot_effective_batches.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the batches that the engines saw"
    script:
        "../scripts/plot_effective_batches.py"


rule plot_quiet:
    input:
        runs="<results>/{source}runs.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}quiet.png",
            caption="../reports/captions/quiet.rst",
            category="Method",
            labels={"chart": "quiet", "over": "time"},
        ),
        svg="<reports>/{source}quiet.svg",
    log:
        "<logs>/{source}plot_quiet.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing how quiet the machine was"
    script:
        "../scripts/plot_quiet.py"


rule plot_stages:
    input:
        stages="<results>/{source}stages.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}stages.png",
            caption="../reports/captions/stages.rst",
            category="Method",
            labels={"chart": "stages", "over": "variants"},
        ),
        svg="<reports>/{source}stages.svg",
    log:
        "<logs>/{source}plot_stages.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the stages"
    script:
        "../scripts/plot_stages.py"


rule plot_physics:
    input:
        physics="<results>/{source}physics.csv",
        summary="<results>/{source}summary.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}physics.png",
            caption="../reports/captions/physics.rst",
            category="Method",
            labels={"chart": "physics", "over": "cells"},
        ),
        svg="<reports>/{source}physics.svg",
    log:
        "<logs>/{source}plot_physics.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the shares of the machine's peak"
    script:
        "../scripts/plot_physics.py"


rule figures:
    input:
        expand(
            "<reports>/{chart}.{form}",
            chart=CHARTS,
            form=["png", "svg"],
        ),
    localrule: True
