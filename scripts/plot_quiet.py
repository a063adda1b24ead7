"""Draw `reports/quiet`: the entry point of the rule `plot_quiet`."""

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import quiet


def main(runs_csv: str, context_json: str, png: str, svg: str) -> None:
    """Read the tables and write both files."""
    figure = quiet.draw(tables.read(runs_csv, "runs"), tables.read_context(context_json))
    style.save(figure, png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.runs,
        snakemake.input.context,
        snakemake.output.png,
        snakemake.output.svg,
    )
