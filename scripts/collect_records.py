"""Collect the records of the configured cells into the runs table."""

from pathlib import Path

import pandas

from vitbench import records
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.grid import CELL


def main(paths: list[Path], skipped: list[tuple[str, str, str]], identity: tuple[str, int, str], out: Path) -> None:
    """Write one row a record, and one for each cell that this platform cannot run.

    Args:
        skipped: (role of the data set, cell name, reason) of each cell that was not tried.
        identity: machine, protocol and model, for the rows of those cells.
    """
    rows = [records.to_row(records.read(path), "live", path.as_posix()) for path in paths]
    for role, name, reason in skipped:
        framework, variant, device, workers, size = CELL.fullmatch(name).groups()
        row = dict.fromkeys(records.COLUMNS) | dict(zip(("machine", "protocol", "model"), identity, strict=True))
        row |= {"source": "live", "dataset": role, "framework": framework, "variant": variant, "device": device}
        row |= {"workers": int(workers), "batch_size": int(size) if size.isdigit() else None}
        rows.append(row | {"status": "skipped", "reason": reason})
    table = pandas.DataFrame(rows, columns=records.COLUMNS).convert_dtypes()
    write_atomically(out, table.to_csv(index=False))


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        list(map(Path, snakemake.input.records)),
        snakemake.params.skipped,
        snakemake.params.identity,
        Path(snakemake.output[0]),
    )
