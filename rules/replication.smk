# Replication. In: resources/published/ and the tables of our records, live or of a campaign. Out:
# <results>/{source}replication.csv, a row a published comparison with our ratio, theirs and the verdict, and the charts
# <reports>/{source}replication and replication_curves. Measures nothing itself; the target `replication` asks for the
# live records, so what is missing of them is measured first. Cost: seconds. Made again whenever a table, the published
# data, or a module that makes them, changes.


rule tabulate_replication:
    input:
        published=get_published_data(),
        runs="<results>/{source}runs.csv",
        best="<results>/{source}best_batch_size.csv",
        parity="<results>/{source}parity.csv",
        speedup="<results>/{source}speedup.csv",
        context="<results>/{source}provenance/context.json",
        grid="<results>/{source}provenance/grid.json",
        lib=library("tabulate_replication"),
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


rule replication:
    input:
        get_charts("replication"),
    localrule: True
