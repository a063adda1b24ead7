"""Profile one cell: where the time of a pass goes, stage by stage. A command of its own: it needs no Snakemake."""

from __future__ import annotations

from measure import options_of_cell

from vitbench.errors import exit_with_user_errors
from vitbench.measure import profiles
from vitbench.measure.repeat import choose, find, prepare
from vitbench.measure.supervisor import Cancelled
from vitbench.plan import readiness


def main(arguments: list[str] | None = None) -> int:
    options = options_of_cell(__doc__, "profile_cell.py", "profile.json", "the profile to write").parse_args(arguments)
    readiness.check_cores(options.threads)
    grid, cell = find(options.config, options.dataset, options.cell)
    repeat = prepare(grid, cell, options.out, options.threads)
    batch_size, reason = choose(grid, cell)
    if batch_size is None or (reason := grid.unprofiled(cell)):
        profile = profiles.write_without_running(repeat, options.out, "error", reason)
    else:
        profile = profiles.measure(repeat, options.out)
    print(f"{cell.name} on {options.dataset}, profile: {profile['status']}{_told(profile)}")
    return 0


def _told(profile: dict) -> str:
    if profile["status"] != "ok":
        return f": {profile['reason']}"
    middle = sorted(profile["passes"], key=lambda one: one["seconds"])[len(profile["passes"]) // 2]
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in middle["stages"].items())
    return f", {stages} s of {middle['seconds']:.2f} s"


if __name__ == "__main__":
    try:
        exit_with_user_errors(main)
    except Cancelled as cancelled:
        raise SystemExit(f"vitbench: {cancelled}; nothing was recorded") from None
