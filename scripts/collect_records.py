"""Collect the records of a grid's cells into the runs table."""

from dataclasses import asdict
from pathlib import Path

import pandas

from vitbench import tables
from vitbench.cells import BEST, Cell
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records import record as records
from vitbench.records.archive import Folder, open_archive, record_paths
from vitbench.records.mixing import refuse_mixed
from vitbench.records.turns import out_of_turn
from vitbench.tables import as_csv


def runs_table(archive: Folder, paths: list[str]) -> pandas.DataFrame:
    """The runs table: one row a record at these paths, and one for each cell that the platform could not run.

    Raises:
        UserError: the records were not measured on the same machine, model and data, or by the same protocol.
    """
    grid = archive.grid
    rows = [records.to_row(archive.record(path), archive.source, path) for path in paths]
    late = out_of_turn(rows)
    for row in rows:
        row["out_of_turn"] = "yes" if row["record"] in late else ""
    for role, name, reason in grid["skipped"]:
        cell = Cell.parse(name, role)
        row = dict.fromkeys(tables.COLUMNS["runs"]) | {"source": archive.source, "model": grid["model"]["name"]}
        row |= {"machine": grid["machine"], "protocol": grid["protocol"]} | asdict(cell)
        row["batch_size"] = None if cell.batch_size == BEST else cell.batch_size
        rows.append(row | {"status": "skipped", "reason": reason})
    table = pandas.DataFrame(rows, columns=tables.COLUMNS["runs"])
    refuse_mixed(table)
    return table


def main(archive: Folder, out: Path) -> None:
    """Write the runs table of all records of the archive's grid."""
    write_atomically(out, as_csv(runs_table(archive, record_paths(archive.grid))))


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, open_archive(snakemake.params.archive), Path(snakemake.output[0]))
