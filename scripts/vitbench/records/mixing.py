"""May these runs stand beside each other? What would make a ratio untrue is refused, what may is said."""

from __future__ import annotations

from collections.abc import Iterable

import pandas

from vitbench.cells import variant_key
from vitbench.errors import UserError

# Columns of the runs table that all rows of a group must share: (what it is called, column, columns of the group).
SAME = (
    ("machine", "machine", ()),
    ("processor", "processor", ()),
    ("protocol", "protocol", ()),
    ("model", "model", ()),
    ("model's files", "model_hash", ("framework", "variant")),
    ("data set's manifest", "data_hash", ("dataset",)),
)
REMEDY = "remove the records of one of them, which are then measured again, or use another --directory"


def refuse_mixed(runs: pandas.DataFrame) -> None:
    """Raise a UserError that names what differs, if these rows of a runs table were not measured on the same thing.

    The same thing is machine, its processor, protocol and model; the files of the model for each variant, since each
    framework loads a form of its own; and the manifest for each data set. Rows without a record, and hashes that are
    empty, say nothing.
    """
    measured = _measured(runs)
    for name, column, group in SAME:
        for place, rows in _groups(measured, group):
            first = _known(rows, column).drop_duplicates(subset=column)
            if len(first) > 1:
                one, other = (f"{row[column]} ({row['record']})" for _, row in first.head(2).iterrows())
                where = f" of {place}" if place else ""
                raise UserError(f"the records differ in the {name}{where}: {one} and {other}; {REMEDY}")


def mark_mixed(runs: pandas.DataFrame) -> list[str]:
    """Lines for captions on what differs between the repeats of a variant and does not forbid to compare them.

    That is the code that measured, the versions of the packages, and the time: repeats that were removed and measured
    again met another hour of the machine than the rest of their block.
    """
    measured = _measured(runs)
    notes = []
    codes = _known(measured, "code")
    if codes.code.nunique() > 1:
        counts = ", ".join(f"{count} by {code}" for code, count in codes.code.value_counts(sort=False).items())
        notes.append(f"The measuring code changed between repeats: {counts}.")
    late = measured[measured.out_of_turn == "yes"]
    if len(late):
        named = "; ".join(f"{variant_key(row)} on {row.dataset}, block {row.block:.0f}" for row in
                          late.head(3).itertuples())  # fmt: skip
        notes.append(f"Measured out of turn, as after a removal: {len(late)} of {len(measured)} repeats ({named}).")
    for place, rows in _groups(measured, ("framework", "variant")):
        notes += [
            f"{place} was measured with {package} {' and '.join(seen)}."
            for package, seen in sorted(versions(rows).items())
            if len(seen) > 1
        ]
    return notes


def versions(rows: pandas.DataFrame) -> dict[str, list[str]]:
    """Package → its versions in these rows of the runs table, in their order."""
    found: dict[str, list[str]] = {}
    for entry in _known(rows, "packages").packages.drop_duplicates():
        for package, _, version in (one.strip().rpartition(" ") for one in entry.split(";") if one.strip()):
            if version not in (seen := found.setdefault(package, [])):
                seen.append(version)
    return found


def _measured(runs: pandas.DataFrame) -> pandas.DataFrame:
    """Rows that stand for a record: not those of cells that were skipped."""
    return _known(runs, "record")


def _known(rows: pandas.DataFrame, column: str) -> pandas.DataFrame:
    return rows[rows[column].notna() & (rows[column] != "")]


def _groups(rows: pandas.DataFrame, columns: tuple[str, ...]) -> Iterable[tuple[str, pandas.DataFrame]]:
    """(name, rows) of each combination of these columns, all rows under "" where there is none."""
    if not columns:
        return [("", rows)]
    return [("/".join(values), group) for values, group in rows.groupby(list(columns), sort=False)]
