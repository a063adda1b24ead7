"""What the record checker finds in a source's records, for the page: the entry point of the rule `check_records`."""

import json
from pathlib import Path

from vitbench.campaigns import checker
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.records.archive import Folder, open_archive


def main(archive: Folder, out: Path) -> None:
    """Write {records: how many, in words; reasons: against them; made, not_made: checks}; reasons end no run."""
    reasons, made, not_made = checker.check(archive)
    found = {"records": checker.count(archive), "reasons": reasons, "made": made, "not_made": not_made}
    write_atomically(out, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_logged(snakemake.log[0], main, open_archive(snakemake.params.archive), Path(snakemake.output[0]))
