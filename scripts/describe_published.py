"""Write docs/published.md: resources/published/method.md with every number taken from the published data."""

from __future__ import annotations

from pathlib import Path

import pandas

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.markdown import wrapped
from vitbench.series import claims, published
from vitbench.series.replication import published_curves

DATA, DOCUMENT = HOME / "resources" / "published", HOME / "docs" / "published.md"
HEAD = "<!-- Written by scripts/describe_published.py from resources/published/: edit method.md there. -->\n"


def values(series: published.Series) -> dict[str, str]:
    """What the placeholders of method.md stand for."""
    runs, about = series.runs, series.about
    speedups = published.speedups(runs, about)
    core = speedups[speedups.comparison.str.startswith(f"part {about['core']}")]
    across = core[core.baseline.str.startswith("huggingface") & core.candidate.str.startswith("sparknlp")]
    ratios = {f"core_{row.candidate.split('/')[2]}_{row.dataset}": f"{row.speedup:.2f}" for row in across.itertuples()}
    scaling = published.scaling(runs, published.scaling_figure(series))
    most = int(scaling.workers.max())
    efficiency = scaling[scaling.workers == most].set_index("device").efficiency
    repeats = published.accidental_repeats(runs)
    spark = runs[(runs.framework == "sparknlp") & (runs.dataset == "full")]
    partitions, rows = int(spark.partitions.dropna().mode()[0]), int(spark.images.mode()[0])
    pictures = sum(figure["chart"] == "none" for figure in series.figures)
    verdicts = list(claims.check_claims(series.claims, runs).verdict)
    counts = {f"verdict_{place}": str(verdicts.count(verdict)) for place, verdict in enumerate(claims.VERDICTS)}
    return (
        ratios
        | counts
        | {
            "title": about["title"],
            "year": about["date"][:4],
            "model": about["model"],
            "runs": str(len(runs)),
            "claims": str(len(series.claims)),
            "drawn": str(len(series.figures) - pictures),
            "pictures": str(pictures),
            "full_images": f"{runs[runs.dataset == 'full'].images.max():,}",
            "sample_images": f"{runs[runs.dataset == 'sample'].images.max():,}",
            "spark_images": f"{rows:,}",
            "fewest_spark_images": f"{spark.images.min():,}",
            "most_spark_images": f"{spark.images.max():,}",
            "partitions": f"{partitions:,}",
            "rows_per_partition": f"{rows / partitions:.1f}",
            "effective": f"{repeats.effective_batch_size.max():.0f}",
            "most_workers": str(most),
            "efficiency_cpu": f"{efficiency['cpu']:.1%}",
            "efficiency_gpu": f"{efficiency['gpu']:.1%}",
            "repeats_table": _table(repeats, about),
            "noise_table": _noise_table(repeats),
            "ratios": str(len(speedups)),
            "curves": str(len(published_curves(runs))),
            "comparisons": str(len(speedups) + len(published_curves(runs))),
        }
    )


def _table(repeats: pandas.DataFrame, about: dict) -> str:
    lines = ["| where | batch sizes | n | seconds | CV | partitions |", "| --- | --- | --- | --- | --- | --- |"]
    for row in repeats.itertuples():
        where = f"{about['environments'][row.machine]['words']}, {row.device.upper()}, {row.dataset}"
        where += ", oneDNN off" if row.variant.endswith("no-onednn") else ""
        where += f", {row.workers} workers" if row.workers > 1 else ""
        sizes = row.batch_sizes.split(";")
        seconds = f"{row.low:.2f} to {row.high:.2f}"
        lines.append(f"| {where} | {sizes[0]} to {sizes[-1]} | {row.n} | {seconds} | {row.cv:.1%} | {row.basis} |")
    return "\n".join(lines)


def _noise_table(repeats: pandas.DataFrame) -> str:
    lines = ["| device | data set | CV of one run | degrees of freedom | f of a ratio of two |", "| --- " * 5 + "|"]
    own = set(zip(repeats.device, repeats.dataset, strict=True))
    noise = published.pooled_noise(repeats)
    for (device, dataset), one in noise.items():
        borrowed = "" if (device, dataset) in own else " (no repeats: the device's)"
        factor = published.noise_factor(noise, [(device, dataset, 1)] * 2)
        lines.append(f"| {device.upper()} | {dataset} | {one.cv:.1%}{borrowed} | {one.df} | {factor:.2f} |")
    return "\n".join(lines)


def describe(folder: Path) -> str:
    """The document's text, from the data in `folder`."""
    try:
        text = (folder / "method.md").read_text().format_map(values(published.read(folder)))
    except (KeyError, ValueError) as error:
        raise UserError(f"{folder / 'method.md'}: no value for the placeholder {error}: see `values`") from None
    return wrapped(HEAD + text)


def main() -> None:
    write_atomically(DOCUMENT, describe(DATA))


if __name__ == "__main__":
    exit_with_user_errors(main)
