"""Measure one repeat of one cell and write its record. A command of its own: it needs no Snakemake."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from vitbench import machine
from vitbench.cells import BEST
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME
from vitbench.inputs.datasets import read_all
from vitbench.measure.repeat import choose, find, prepare
from vitbench.measure.supervisor import Cancelled, measure, record_without_running, stoppable
from vitbench.plan import readiness, time_left
from vitbench.plan.grid import Grid


def options_of_cell(description: str, command: str, out: str, what: str) -> argparse.ArgumentParser:
    """The options of a command that runs one cell: which one, on what, with how many cores, and where its outcome goes.

    Args:
        command: the script's name; `out` an example of the file it writes, which is `what`.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example: python scripts/{command} --cell huggingface/pipeline/cpu/w1/bs8 --out {out} "
        "(after `snakemake prepare`, which makes data set, model and jars under resources/)",
    )
    parser.add_argument("--cell", required=True, help="framework/variant/device/wN/bsN; bsbest = the chosen batch size")
    parser.add_argument("--out", required=True, type=Path, help=what)
    what_on = "data set: sample, full, or one of the role sizes with its name, sizes-photos-48 (default: sample)"
    parser.add_argument("--dataset", default="sample", help=what_on)
    parser.add_argument("--config", type=Path, default=HOME / "config" / "config.yaml", help="configuration file")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="cores to use (default: all)")
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = options_of_cell(__doc__, "measure.py", "rep0.json", "the record to write; predictions go beside it")
    parser.add_argument("--repeat", type=int, default=0, help="number of the repeat, and of its block")
    ready = "ready.json: canaries to hold this repeat's against, and where the files were read"
    parser.add_argument("--ready", type=Path, help=ready)
    what = "number of a file that is open here; it gets the line of progress, rich if it is a terminal"
    parser.add_argument("--progress", type=int, metavar="DESCRIPTOR", help=what)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    with stoppable():
        return run(parse(arguments))


def warm_page_cache(grid: Grid, dataset: str, ready: dict[str, Any]) -> None:
    """Read every image once, where the barrier did so on another node of a cluster, or before this one was restarted.

    A model's files and jars are hashed, that is read, before every repeat.
    """
    if ready.get("boot", machine.boot()) != machine.boot():
        print("reading every image once: the barrier did so on another node, or before a restart", flush=True)
        read_all(Path(grid.manifest(dataset)))


def run(options: argparse.Namespace) -> int:
    """Measure the repeat; say what it was."""
    grid, cell = find(options.config, options.dataset, options.cell)
    if options.ready and not options.ready.is_file():
        raise UserError(f"--ready: there is no {options.ready}; `snakemake` writes it, or leave it out")
    if options.ready and options.repeat >= (asked := grid.repeats(cell.dataset)):
        # Snakemake orders by the configuration that it read, and overlooks that this file is older where its own
        # metadata are gone, or --rerun-triggers leave out params.
        raise UserError(
            f"--repeat: {options.config} asks for {asked} of {options.dataset}, and this is number {options.repeat}, "
            "counted from 0: the file is of another configuration; remove it, and `snakemake` writes it anew"
        )
    if options.ready:
        # The barrier has asked it too, but stays while its inputs are the same, and cores are none of them.
        readiness.check_cores(options.threads)
    ready = json.loads(options.ready.read_text()) if options.ready else {"canaries": []}
    repeat = prepare(grid, cell, options.out, options.threads, options.repeat, ready["canaries"])
    warm_page_cache(grid, cell.dataset, ready)
    batch_size, reason = choose(grid, cell)
    if batch_size is None:
        record = record_without_running(repeat, options.out, "error", reason)
    else:
        record = measure(repeat, options.out)
    rate = f", {record['throughput']:.2f} images/s" if record["status"] == "ok" else f": {record['reason']}"
    shown = replace(cell, batch_size=record["batch_size"] or BEST)
    print(f"{shown.name} on {options.dataset}, repeat {options.repeat}: {record['status']}{rate}")
    if options.progress is not None:
        spent = time.time() - psutil.Process().create_time()
        rich = os.isatty(options.progress) and not os.environ.get("NO_COLOR")
        # Whatever is wrong here, with the other records or the terminal, this repeat stays measured.
        try:
            line = time_left.line(grid, cell, options.repeat, record, spent, rich)
            os.write(options.progress, f"{line}\n".encode())
        except Exception as error:
            print(f"no line of progress: {type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    try:
        exit_with_user_errors(main)
    except Cancelled as cancelled:
        raise SystemExit(f"vitbench: {cancelled}; nothing was recorded") from None
