# The workbook. In: the tables of <results>. Out: <reports>/benchmark.xlsx. Cost: a second. Written again whenever a table
# or the library changes.


rule write_workbook:
    input:
        runs="<results>/runs.csv",
        summary="<results>/summary.csv",
        best="<results>/best_batch_size.csv",
        parity="<results>/parity.csv",
        speedup="<results>/speedup.csv",
        context="<results>/provenance/context.json",
        lib=library(),
    output:
        report(
            "<reports>/benchmark.xlsx",
            caption="../reports/captions/workbook.rst",
            category="Workbook",
            labels={"chart": "all tables", "over": "cells"},
        ),
    log:
        "<logs>/write_workbook.log",
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "writing the workbook"
    script:
        "../scripts/write_workbook.py"


rule workbook:
    input:
        "<reports>/benchmark.xlsx",
    localrule: True
