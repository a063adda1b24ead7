"""Draw one chart of the registry `vitbench.present.charts`: the entry point of the rules `plot_<chart>`."""

from collections.abc import Mapping
from importlib import import_module

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import CHARTS


def main(name: str, paths: Mapping[str, str], png: str, svg: str) -> None:
    """Read the chart's tables and write both files.

    Args:
        name: of the chart, in CHARTS.
        paths: each of its tables, `context` and, for a chart that sets them beside ours, maybe `published` → path.
    """
    chart = CHARTS[name]
    draw = getattr(import_module(chart.source), chart.function)
    read = [tables.read(paths[table], table) for table in chart.tables]
    beside = {"published": paths["published"]} if "published" in paths else {}
    style.save(draw(*read, tables.read_context(paths["context"]), **beside), png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.params.chart,
        {name: path for name, path in snakemake.input.items() if name != "lib"},
        snakemake.output.png,
        snakemake.output.svg,
    )
