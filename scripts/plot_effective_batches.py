"""Draw `reports/effective_batches`: the entry point of the rule `plot_effective_batches`."""

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import effective_batches


def main(batches_csv: str, context_json: str, png: str, svg: str) -> None:
    """Read the tables and write both files."""
    figure = effective_batches.draw(tables.read(batches_csv, "effective_batches"), tables.read_context(context_json))
    style.save(figure, png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.batches,
        snakemake.input.context,
        snakemake.output.png,
        snakemake.output.svg,
    )
