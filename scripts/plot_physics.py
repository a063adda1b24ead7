"""Draw `reports/physics`: the entry point of the rule `plot_physics`."""

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import physics


def main(physics_csv: str, summary_csv: str, context_json: str, png: str, svg: str) -> None:
    """Read the tables and write both files."""
    figure = physics.draw(
        tables.read(physics_csv, "physics"), tables.read(summary_csv, "summary"), tables.read_context(context_json)
    )
    style.save(figure, png, svg)


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        snakemake.input.physics,
        snakemake.input.summary,
        snakemake.input.context,
        snakemake.output.png,
        snakemake.output.svg,
    )
