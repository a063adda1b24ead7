"""Write docs/reference_tables.md: the tables of `results/` and the meaning of each of their columns.

python scripts/describe_tables.py            # writes it; a test fails while it is behind
"""

from __future__ import annotations

from vitbench import tables
from vitbench.errors import exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present import columns

DOCUMENT = HOME / "docs" / "reference_tables.md"
HEAD = """<!-- Written by scripts/describe_tables.py from vitbench.tables and vitbench.present.columns. -->
# The tables

Each is a CSV file in `results/`, of a campaign in `results/campaigns/NAME/`, and, but for the last three, a sheet of
the workbook, which names units in its headers (the summary is its sheet Cells). Numbers are plain: no units in cells,
no thousands separators; a missing value is empty. More columns may follow in a later version.
"""


def kind(column: str) -> str:
    """What a column holds, as `vitbench.tables.read` gives it."""
    if column in tables.TRUTHS:
        return "true or false"
    return "text" if column in tables.WORDS else "number"


def describe() -> str:
    """The page: a section a table, a row a column."""
    text = HEAD
    for table, names in tables.COLUMNS.items():
        text += f"\n## {table}.csv\n{columns.TABLES[table]}\n\n| column | | meaning |\n| --- | --- | --- |\n"
        text += "".join(f"| `{name}` | {kind(name)} | {columns.meaning(table, name)} |\n" for name in names)
    return text


def main() -> None:
    write_atomically(DOCUMENT, describe())


if __name__ == "__main__":
    exit_with_user_errors(main)
