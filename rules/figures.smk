# Charts. In: the tables of <results>/{source}, as the registry `vitbench.present.charts` names them. Out:
# <reports>/{source}*.png and *.svg, for what is measured here, for the published numbers and for packed campaigns alike.
# Cost: seconds. Drawn again whenever one of its tables, or a module that draws it, changes.

for name, chart in CHARTS.items():
    if chart.of_sets:
        continue

    rule:
        name:
            f"plot_{name}"
        input:
            *([unpack(get_published_runs)] if chart.beside_published else []),
            **{table: f"<results>/{{source}}{table}.csv" for table in chart.tables},
            context="<results>/{source}provenance/context.json",
            lib=library("plot_chart", chart.source),
        output:
            png=report(
                f"<reports>/{{source}}{name}.png",
                caption=f"../reports/captions/{chart.module}.rst",
                category=chart.category,
                labels={"chart": name.replace("_", " "), "over": chart.over},
            ),
            svg=f"<reports>/{{source}}{name}.svg",
        log:
            f"<logs>/{{source}}plot_{name}.log",
        wildcard_constraints:
            source=SOURCE if chart.of_published else MEASURED,
        conda:
            "../envs/report.yaml"
        resources:
            machine=SHARED,
        params:
            chart=name,
        message:
            f"drawing {name}: {chart.title}"
        script:
            "../scripts/plot_chart.py"


rule figures:
    input:
        get_charts("figures"),
    localrule: True


# Asked for apart, since it has something to show only of repeats that were made long (config/sustained.yaml).
rule sustained:
    input:
        get_charts("sustained"),
    localrule: True


# What the size of a data set changes: measured and drawn with the rest where the configuration names any `sizes`.
rule sizes:
    input:
        str(GRID.peak),
        get_records(GRID.sizes),
        get_size_charts(),
    localrule: True
