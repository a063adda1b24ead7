"""Turn the published numbers into the tables that live records become, and test the published claims."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas

from vitbench import tables
from vitbench.analysis import summary as analysis
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present.answer import answer
from vitbench.series import claims, published


def describe(series: published.Series, speedups: pandas.DataFrame) -> dict[str, Any]:
    """The context of captions and workbook (see `write_context`), from what the series states."""
    about, runs = series.about, series.runs
    return {
        "source": "published",
        "machine": ", ".join(about["environments"]),
        "machine_text": "published numbers, hardware as stated",
        "model": about["model"],
        "variants": list(dict.fromkeys(runs.framework + "/" + runs.variant)),
        "protocol": "of the series",
        "date": about["date"],
        "datasets": {
            role: {"name": name, "images": int(runs[runs.dataset == role].images.max())}
            for role, name in about["datasets"].items()
        },
        "versions": {},
        "answer": answer(speedups, {}),
    }


def main(folder: Path, out: Mapping[str, str]) -> None:
    """Write every table and the context.

    Args:
        out: runs, summary, best, parity, speedup, repeats, scaling, claims, figures, context → path.
    """
    series = published.read(folder)
    runs, repeats = series.runs, published.accidental_repeats(series.runs)
    speedups = published.speedups(runs, series.about)
    write(out["runs"], runs)
    picked = runs[[*published.GROUP, "batch_size", "picked"]].astype({"batch_size": float})
    summary = analysis.summary(tables.read(out["runs"], "runs")).merge(picked)
    not_checked = {"compared": 0, "passed": False, "reason": "not checked: the series gives no predictions"}
    parity = speedups[["dataset", "baseline", "candidate", "images"]].assign(**not_checked)
    figures = pandas.DataFrame(series.figures).reindex(columns=["part", "name", "title", "chart", "reason"])
    for name, table in {
        "summary": summary,
        "best": published.best_batch_sizes(runs, repeats),
        "parity": parity.reindex(columns=tables.COLUMNS["parity"]),
        "speedup": speedups,
        "repeats": repeats,
        "scaling": published.scaling(runs, published.scaling_figure(series)),
        "claims": claims.check_claims(series.claims, runs),
        "figures": figures,
    }.items():
        write(out[name], table)
    write_atomically(Path(out["context"]), json.dumps(describe(series, speedups), indent=1, ensure_ascii=False) + "\n")


def write(path: str, table: pandas.DataFrame) -> None:
    write_atomically(Path(path), table.convert_dtypes().to_csv(index=False))


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, Path(snakemake.input.data[0]).parent, dict(snakemake.output.items()))
