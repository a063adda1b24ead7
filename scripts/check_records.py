"""Check records that anybody made: do they fit the schema, each other, and the way in which vitbench measures?"""

import argparse
import sys
from pathlib import Path

from vitbench.campaigns import checker
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.records.archive import open_archive


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/check_records.py resources/campaigns/NAME (exit status 0: nothing wrong; "
        "1: the reasons, a line each: file, what is wrong, what was expected)",
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="working directory of a run, its measurements/, or a packed campaign"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong (exit status 1), or one line of what was checked and what could not be (0)."""
    folder = parse(arguments).folder
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name one that holds records")
    archive = open_archive(folder)
    reasons, made, not_made = checker.check(archive)
    for reason in reasons:
        print(reason)
    count = checker.count(archive)
    if reasons:
        print(f"vitbench: {folder}: {len(reasons)} reasons against these {count}", file=sys.stderr)
        return 1
    print(
        f"{folder}: {count} are sound; checked: {', '.join(made)}"
        + "".join(f"; not checked: {one}" for one in not_made)
    )
    return 0


if __name__ == "__main__":
    exit_with_user_errors(main)
