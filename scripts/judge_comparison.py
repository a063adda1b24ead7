"""Say what a comparison found; exit status 3 if a cell has a verdict that shall fail."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vitbench import tables
from vitbench.analysis.sets import VERDICTS
from vitbench.errors import exit_with_user_errors
from vitbench.present.comparison import judged, lines

FAILED = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """The option that says what fails."""
    parser.add_argument(
        "--fail-on",
        nargs="*",
        default=[],
        choices=VERDICTS,
        metavar="VERDICT",
        help=f"exit status {FAILED} if a cell is one of these: {', '.join(VERDICTS)}",
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python scripts/judge_comparison.py --fail-on slower vanished"
    )
    parser.add_argument("--folder", type=Path, default=Path("results/compare"), help="where tabulate_comparison wrote")
    add_options(parser)
    return parser.parse_args(arguments)


def judge(folder: Path, fail_on: list[str]) -> int:
    """Print the lines of the comparison in `folder`; the exit status. Nothing is written or removed."""
    table = tables.read(folder / "compare.csv", "compare")
    context = tables.read_context(folder / "provenance" / "context.json")
    for line in lines(table, context):
        print(line)
    found = judged(table, fail_on)
    if found:
        print(f"vitbench: compare: {', '.join(found)}; the report is written", file=sys.stderr)
    return FAILED if found else 0


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    return judge(options.folder, options.fail_on)


if __name__ == "__main__":
    exit_with_user_errors(main)
