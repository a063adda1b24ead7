"""Pack records as a campaign: those that were measured here, or those of a folder that comes from elsewhere."""

import argparse
from pathlib import Path

from vitbench.campaigns.packing import pack
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import write_atomically
from vitbench.records.archive import open_archive
from vitbench.version import describe_checkout


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/pack_campaign.py --records ~/runs/mine --campaign mine",
    )
    parser.add_argument("--campaign", required=True, metavar="NAME", help="name of the campaign")
    parser.add_argument(
        "--records", type=Path, default=Path("."), metavar="DIR", help="working directory of a run, or a campaign"
    )
    parser.add_argument(
        "--to", type=Path, default=Path("resources/campaigns"), metavar="DIR", help="folder of all campaigns"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the line that says what was done here too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if not options.records.is_dir():
        raise UserError(f"records: {options.records} is no folder; name a working directory of a run, or a campaign")
    done = pack(open_archive(options.records), options.campaign, options.to, describe_checkout())
    print(f"vitbench: {done}")
    if options.report:
        write_atomically(options.report, done + "\n")
    return 0


if __name__ == "__main__":
    exit_with_user_errors(main)
