"""Draw `reports/speedup`: the entry point of the rule `plot_speedup`."""

from pathlib import Path

import pandas

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.present import style
from vitbench.present.charts import speedup
from vitbench.series import published


def of_the_article(folder: Path, ours: pandas.DataFrame) -> pandas.DataFrame:
    """Ratios of the core part of the series for what we compared on the full set, too: same variants and devices."""
    series = published.read(folder)
    empty = dict.fromkeys(("low", "high", "agreement", "floor"), float)
    theirs = published.speedups(series.runs, series.about).astype(empty)
    core = theirs[theirs.comparison.str.startswith(f"part {series.about['core']} ")]
    compared = set(_pairs(ours[ours.dataset == "full"]))
    found = core[[pair in compared for pair in _pairs(core)]]
    # Their cells may bear the names of ours: what the summary says of ours is not to be said of them.
    return found.assign(dataset="published", comparison="the article, " + found.comparison)


def _pairs(table: pandas.DataFrame) -> list[tuple[str, ...]]:
    """(data set, baseline, candidate) without batch sizes."""
    sides = ([cell.rpartition("/")[0] for cell in table[side]] for side in ("baseline", "candidate"))
    return list(zip(table.dataset, *sides, strict=True))


def main(speedup_csv: str, summary_csv: str, context_json: str, png: str, svg: str, published_csv: str = "") -> None:
    """Read the tables and write both files; `published_csv`: runs of the series, for a chart of our own records."""
    ours = tables.read(speedup_csv, "speedup")
    figure = speedup.draw(
        ours,
        tables.read(summary_csv, "summary"),
        tables.read_context(context_json),
        of_the_article(Path(published_csv).parent, ours) if published_csv else None,
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
