"""Draw the figures of the published series: the entry point of the rule `plot_published`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import yaml
from matplotlib.figure import Figure

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import published as charts
from vitbench.series import published


def draw(figure: dict[str, Any], paths: Mapping[str, str]) -> Figure:
    """Draw a figure of figures.yaml from the tables: runs, repeats, scaling, claims, context → path."""
    context = tables.read_context(paths["context"])
    context["origin"] = style.origin(context)
    if figure["chart"] == "scaling":
        return charts.scaling(figure, pandas.read_csv(paths["scaling"]), context)
    if figure["chart"] == "claims":
        return charts.claims(figure, pandas.read_csv(paths["claims"]), context)
    runs = tables.read(paths["runs"], "runs")
    runs["picked"] = runs["picked"] == "True"
    names = pandas.Series([published.run_name(row) for row in runs.astype({"workers": int}).itertuples(index=False)])
    if figure["chart"] == "bars":
        picked = runs[runs.picked].set_index(names[runs.picked])
        return charts.bars(figure, picked.loc[figure["runs"]].reset_index(drop=True), context)
    repeats = pandas.read_csv(paths["repeats"])
    zone = [published.run_name(row) == figure["run"] for row in repeats.itertuples(index=False)]
    return charts.sweep(figure, runs[names == figure["run"]], repeats[zone], context)


def main(paths: Mapping[str, str], pngs: list[str], svgs: list[str]) -> None:
    """Draw the figure that each pair of files is named after."""
    figures = {figure["name"]: figure for figure in yaml.safe_load(Path(paths["figures"]).read_text())}
    for png, svg in zip(pngs, svgs, strict=True):
        style.save(draw(figures[Path(png).stem], paths), png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        {name: path for name, path in snakemake.input.items() if name != "lib"},
        snakemake.output.png,
        snakemake.output.svg,
    )
