"""Tabulate what more workers bring, ours and the published: `scaling.csv` and `scaling_fits.csv`."""

from collections.abc import Mapping
from pathlib import Path

import pandas

from vitbench import tables
from vitbench.analysis.physics import impossible_cells
from vitbench.analysis.scaling import scaling, scaling_fits
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.series import published


def main(folder: Path, given: Mapping[str, str], out: Mapping[str, str]) -> None:
    """Write both tables, our rows before the published ones.

    Args:
        folder: the published data.
        given: runs, physics → path.
        out: table, fits → path.
    """
    series = published.read(folder)
    theirs = published.clustered(series.runs, published.scaling_figure(series))
    ours = tables.read(given["runs"], "runs")
    impossible = impossible_cells(tables.read(given["physics"], "physics"))
    for name, tabulate in (("table", scaling), ("fits", scaling_fits)):
        rows = [row for one in (tabulate(ours, impossible), tabulate(theirs)) for row in one.to_dict("records")]
        frame = pandas.DataFrame(rows, columns=list(tables.COLUMNS["scaling" if name == "table" else "scaling_fits"]))
        write_atomically(Path(out[name]), tables.as_csv(frame))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        Path(snakemake.input.published[0]).parent,
        {name: path for name, path in snakemake.input.items() if name not in ("published", "lib")},
        dict(snakemake.output.items()),
    )
