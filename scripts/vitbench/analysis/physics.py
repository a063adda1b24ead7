"""What the arithmetic of a model asks for, and what this machine can do of it at most.

The peak is measured, not looked up: the highest rate at which any of the libraries multiplies matrices of the shapes
that the model has. A throughput above it is an error of measuring, whoever measured. A library's own peak says why a
cell is as fast as it is: what the framework loses, and what its library does not get out of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitbench.cells import NAME_COLUMNS, cell_name

if TYPE_CHECKING:
    import pandas

# What a share of the peak may reach before it is impossible: both are measured, on a machine that is never quite still.
TOLERANCE = 1.05


def share_of_peak(throughput: float, flop: float, peak_gflops: float) -> float:
    """Share of the machine's peak that `throughput` images a second of `flop` each are."""
    return throughput * flop / 1e9 / peak_gflops


def impossible(throughput: float | None, flop: float, peak_gflops: float | None) -> bool:
    """Whether so many images a second are more than the machine can do; no where either is not known."""
    if not throughput or not peak_gflops or throughput != throughput or peak_gflops != peak_gflops:
        return False
    return share_of_peak(throughput, flop, peak_gflops) > TOLERANCE


def peak_of(peak: dict[str, Any], device: str, precision: str | None) -> dict[str, Any] | None:
    """The entry of `peak["peak"]` that bounds a cell with products in this precision, None where none was measured."""
    return next((one for one in peak["peak"] if (one["device"], one["precision"]) == (device, precision)), None)


def own_peak(peak: dict[str, Any], library: str, device: str, precision: str | None) -> float | None:
    """The highest rate (GFLOP/s) of one library in this precision, None where it was not measured."""
    wanted = (library, device, precision)
    rates = [one["gflops"] for one in peak["rates"] if (one["library"], one["device"], one["precision"]) == wanted]
    return max(rates, default=None)


ABOVE = "above the machine's peak: an error"


def tabulate(runs: pandas.DataFrame, peak: dict[str, Any] | None) -> pandas.DataFrame:
    """One row a cell with usable repeats: what it does of what the machine can do (`tables.COLUMNS["physics"]`).

    Args:
        runs: a runs table of one machine and model (`tables.read`).
        peak: a peak.json of the same; None where nobody measured it, which leaves all but the throughput empty.
    """
    import pandas

    from vitbench import tables
    from vitbench.analysis.summary import usable

    cell = ["machine", "model", "dataset", *NAME_COLUMNS]
    rows = []
    for values, repeats in runs[usable(runs)].groupby(cell, sort=False):
        row = dict(zip(cell, values, strict=True))
        first = repeats.iloc[0]
        row |= {"throughput": repeats.throughput.median(), "precision": first.precision, "own_library": first.library}
        # The peak is of the machine of the driver.
        if peak is not None and not first.machines > 1:
            row |= _against(row, peak, first.product_precision)
        rows.append(row)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["physics"]))


def _against(row: dict[str, Any], peak: dict[str, Any], precision: str) -> dict[str, Any]:
    """The columns of a row that a peak.json adds; `precision` is that of the cell's products."""
    flop, throughput = peak["flop_per_image"], row["throughput"]
    added = {
        "gflop_per_image": flop / 1e9,
        "gflops": throughput * flop / 1e9,
        "decode_per_core": peak["decode_per_second"],
        "decode_ceiling": peak["decode_per_second"] * peak["threads"],
    }
    bound = peak_of(peak, row["device"], precision)
    own = own_peak(peak, row["own_library"], row["device"], precision)
    if own is not None:
        added |= {"own_gflops": own, "share_of_own": share_of_peak(throughput, flop, own)}
    if bound is None:
        return added
    return added | {
        "peak_gflops": bound["gflops"],
        "peak_precision": bound["precision"],
        "peak_library": f"{bound['library']} {bound['version']}",
        "share_of_peak": share_of_peak(throughput, flop, bound["gflops"]),
        "verdict": ABOVE if impossible(throughput, flop, bound["gflops"]) else "",
    }


def impossible_cells(physics: pandas.DataFrame) -> set[tuple[str, str]]:
    """(dataset, cell name) of the rows of a table `physics` that are above the machine's peak."""
    above = physics[physics.verdict == ABOVE]
    return {(row["dataset"], cell_name(row)) for row in above.to_dict("records")}
