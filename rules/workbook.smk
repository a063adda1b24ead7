# The workbook. In: the tables of <results>. Out: <reports>/benchmark.xlsx. Cost: a second. Written again whenever a table
# or a module that writes it changes.


rule write_workbook:
    input:
        unpack(get_workbook_tables),
        runs="<results>/{source}runs.csv",
        summary="<results>/{source}summary.csv",
        best="<results>/{source}best_batch_size.csv",
        parity="<results>/{source}parity.csv",
        speedup="<results>/{source}speedup.csv",
        context="<results>/{source}provenance/context.json",
        lib=library("write_workbook"),
    output:
        report(
            "<reports>/{source}benchmark.xlsx",
            caption="../reports/captions/workbook.rst",
            category="Workbook",
            labels={"chart": "all tables", "over": "cells"},
        ),
    log:
        "<logs>/{source}write_workbook.log",
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
