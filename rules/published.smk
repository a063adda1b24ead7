# Published figures. In: resources/published/. Out: <results>/published/*.csv, in the form that live records have, and
# <reports>/published/: a chart for each figure of the series whose numbers exist, its claims tested, the workbook.
# Measures nothing. Cost: a minute. Made again whenever the published data, or a module that
# makes it, changes.
import yaml

PUBLISHED = checkout("resources", "published")

with open(os.path.join(HOME, "resources/published/figures.yaml")) as lines:
    FIGURES = [
        figure["name"] for figure in yaml.safe_load(lines) if figure["chart"] != "none"
    ]


rule tabulate_published:
    input:
        data=get_published_data(),
        lib=library("tabulate_published"),
    output:
        runs="<results>/published/runs.csv",
        summary="<results>/published/summary.csv",
        best="<results>/published/best_batch_size.csv",
        parity="<results>/published/parity.csv",
        speedup="<results>/published/speedup.csv",
        repeats="<results>/published/accidental_repeats.csv",
        scaling="<results>/published/scaling.csv",
        context="<results>/published/provenance/context.json",
        claims="<reports>/published/claims.csv",
        figures="<reports>/published/figures.csv",
    log:
        "<logs>/published/tabulate_published.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "reading the published numbers and testing the claims"
    script:
        "../scripts/tabulate_published.py"


# All in one job: starting Python and its libraries takes longer than drawing a figure.
rule plot_published:
    input:
        runs="<results>/published/runs.csv",
        repeats="<results>/published/accidental_repeats.csv",
        scaling="<results>/published/scaling.csv",
        claims="<reports>/published/claims.csv",
        context="<results>/published/provenance/context.json",
        figures=f"{PUBLISHED}/figures.yaml",
        lib=library("plot_published"),
    output:
        png=[
            report(
                f"<reports>/published/figures/{name}.png",
                caption="../reports/captions/published.rst",
                category="Published",
                labels={"chart": name, "over": "published runs"},
            )
            for name in FIGURES
        ],
        svg=expand("<reports>/published/figures/{name}.svg", name=FIGURES),
    log:
        "<logs>/published/plot_published.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the figures of the series"
    script:
        "../scripts/plot_published.py"


rule published:
    input:
        expand(
            "<reports>/published/{name}.{form}",
            name=["speedup", *(f"figures/{figure}" for figure in FIGURES)],
            form=["png", "svg"],
        ),
        "<reports>/published/claims.csv",
        "<reports>/published/figures.csv",
        "<reports>/published/benchmark.xlsx",
        "<reports>/published/report.html",
    localrule: True
