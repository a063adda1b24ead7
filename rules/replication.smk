# Replication. In: resources/published/ and the tables of our records, live or of a campaign. Out:
# <results>/{source}replication.csv, a row a published comparison with our ratio, theirs and the verdict, and the charts
# <reports>/{source}replication and replication_curves. Measures nothing itself; the target `replication` asks for the
# live records, so what is missing of them is measured first. Cost: seconds. Made again whenever a table, the published
# data or the library changes.


rule tabulate_replication:
    input:
        published=expand(
            f"{PUBLISHED}/{{name}}",
            name=[
                "runs.csv",
                "claims.csv",
                "partitions.csv",
                "hardware.csv",
                "figures.yaml",
                "series.yaml",
            ],
        ),
        runs="<results>/{source}runs.csv",
        best="<results>/{source}best_batch_size.csv",
        parity="<results>/{source}parity.csv",
        speedup="<results>/{source}speedup.csv",
        context="<results>/{source}provenance/context.json",
        grid="<results>/{source}provenance/grid.json",
        lib=library(),
    output:
        table="<results>/{source}replication.csv",
        curves="<results>/{source}replication_curves.csv",
    log:
        "<logs>/{source}tabulate_replication.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "setting the records beside the published runs"
    script:
        "../scripts/tabulate_replication.py"


rule plot_replication:
    input:
        table="<results>/{source}replication.csv",
        curves="<results>/{source}replication_curves.csv",
        context="<results>/{source}provenance/context.json",
        lib=library(),
    output:
        png=report(
            "<reports>/{source}replication.png",
            caption="../reports/captions/replication.rst",
            category="Published",
            labels={"chart": "replication", "over": "published comparisons"},
        ),
        svg="<reports>/{source}replication.svg",
        curves_png=report(
            "<reports>/{source}replication_curves.png",
            caption="../reports/captions/replication.rst",
            category="Published",
            labels={"chart": "replication, curves", "over": "batch size"},
        ),
        curves_svg="<reports>/{source}replication_curves.svg",
    log:
        "<logs>/{source}plot_replication.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "drawing the replication"
    script:
        "../scripts/plot_replication.py"


rule replication:
    input:
        expand(
            "<reports>/{chart}.{form}",
            chart=["replication", "replication_curves"],
            form=["png", "svg"],
        ),
    localrule: True
