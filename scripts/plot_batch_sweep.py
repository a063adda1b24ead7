"""Draw `reports/batch_sweep`: the entry point of the rule `plot_batch_sweep`."""

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import batch_sweep


def main(summary_csv: str, runs_csv: str, best_csv: str, context_json: str, png: str, svg: str) -> None:
    """Read the tables and write both files."""
    figure = batch_sweep.draw(
        tables.read(summary_csv, "summary"),
        tables.read(runs_csv, "runs"),
        tables.read(best_csv, "best_batch_size"),
        tables.read_context(context_json),
    )
    style.save(figure, png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.summary,
        snakemake.input.runs,
        snakemake.input.best,
        snakemake.input.context,
        snakemake.output.png,
        snakemake.output.svg,
    )
