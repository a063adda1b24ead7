"""Draw `reports/speedup`: the entry point of the rule `plot_speedup`."""

from vitbench import tables
from vitbench.charts import speedup, style
from vitbench.errors import run_logged


def main(speedup_csv: str, summary_csv: str, context_json: str, png: str, svg: str, published_csv: str = "") -> None:
    """Read the tables and write both files; `published_csv`: rows of the same form with the verdict "one run"."""
    figure = speedup.draw(
        tables.read(speedup_csv, "speedup"),
        tables.read(summary_csv, "summary"),
        tables.read_context(context_json),
        tables.read(published_csv, "speedup") if published_csv else None,
    )
    style.save(figure, png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.speedup,
        snakemake.input.summary,
        snakemake.input.context,
        snakemake.output.png,
        snakemake.output.svg,
        snakemake.input.get("published", ""),
    )
