"""Profile one cell: where the time of a pass goes, stage by stage. A command of its own: it needs no Snakemake."""

from __future__ import annotations

import json
from pathlib import Path

from measure import options_of_cell, prepare

from vitbench.cells import BEST, NAME
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.measure import profiles
from vitbench.measure.supervisor import Cancelled
from vitbench.plan import configuration
from vitbench.plan.grid import Grid


def main(arguments: list[str] | None = None) -> int:
    options = options_of_cell(__doc__, "profile_cell.py", "profile.json", "the profile to write").parse_args(arguments)
    options.ready, options.repeat = None, 0
    if not NAME.fullmatch(options.cell):
        raise UserError(f"--cell {options.cell}: write it as framework/variant/device/wN/bsN, sparknlp/onnx/cpu/w1/bs8")
    grid = Grid(configuration.load(options.config))
    cell = grid.find(options.dataset, options.cell)
    choice = {"batch_size": cell.batch_size, "reason": None}
    if cell.batch_size == BEST:
        chosen = Path(grid.choice(cell))
        if not chosen.exists():
            raise UserError(f"{chosen} is missing: name a batch size, or let `snakemake` choose one")
        choice = json.loads(chosen.read_text())
    repeat = prepare(options, grid, cell, choice["batch_size"])
    if choice["batch_size"] is None:
        profile = profiles.write_without_running(repeat, options.out, "error", choice["reason"])
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
