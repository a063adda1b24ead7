# The notebook. In: notebooks/analysis.ipynb, which is stored without outputs, and the tables of <results>/{source}.
# Out: <reports>/{source}analysis.html, the notebook as it was run, for what is measured here and for packed campaigns
# alike. Nothing takes a figure from it. Cost: seconds. Run again whenever the notebook, a table or a module that it
# imports changes.


rule execute_notebook:
    input:
        notebook=checkout("notebooks", "analysis.ipynb"),
        runs="<results>/{source}runs.csv",
        summary="<results>/{source}summary.csv",
        best="<results>/{source}best_batch_size.csv",
        parity="<results>/{source}parity.csv",
        speedup="<results>/{source}speedup.csv",
        stages="<results>/{source}stages.csv",
        context="<results>/{source}provenance/context.json",
        grid="<results>/{source}provenance/grid.json",
        # The last four are what the notebook imports.
        lib=library(
            "execute_notebook",
            "vitbench.analysis.looks",
            "vitbench.analysis.summary",
            "vitbench.cells",
            "vitbench.tables",
        ),
    output:
        "<reports>/{source}analysis.html",
    log:
        "<logs>/{source}execute_notebook.log",
    wildcard_constraints:
        source=MEASURED,
    conda:
        "../envs/report.yaml"
    resources:
        machine=SHARED,
    message:
        "running the notebook"
    script:
        "../scripts/execute_notebook.py"


rule notebook:
    input:
        "<reports>/analysis.html",
    localrule: True
