"""Draw `reports/replication` and `reports/replication_curves`: the entry point of the rule `plot_replication`."""

from collections.abc import Mapping

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import replication


def main(paths: Mapping[str, str], out: Mapping[str, str]) -> None:
    """Draw both charts.

    Args:
        paths: table, curves, context → path.
        out: png, svg, curves_png, curves_svg → path.
    """
    table = tables.read(paths["table"], "replication")
    curves = tables.read(paths["curves"], "replication_curves")
    context = tables.read_context(paths["context"])
    style.save(replication.ratios(table, context), out["png"], out["svg"])
    style.save(replication.curves(table, curves, context), out["curves_png"], out["curves_svg"])


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        {name: path for name, path in snakemake.input.items() if name != "lib"},
        dict(snakemake.output.items()),
    )
