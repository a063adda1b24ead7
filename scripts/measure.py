"""Measure one repeat of one cell and write its record. A command of its own: it needs no Snakemake."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from vitbench import accuracy, machine
from vitbench.cells import BEST, NAME, Cell
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, MEASUREMENTS, sha256, sha256_of_files
from vitbench.frameworks import Task
from vitbench.inputs import checkpoints, jars
from vitbench.inputs.datasets import check_unchanged, valid_images
from vitbench.inputs.java import find_java
from vitbench.measure import quiet
from vitbench.measure.supervisor import Cancelled, Repeat, measure, record_without_running
from vitbench.plan import configuration
from vitbench.plan.grid import Grid
from vitbench.records.record import SCHEMA
from vitbench.steady import Passes

MEASURING_CODE = (
    "measure.py",
    "vitbench/steady.py",
    *(f"vitbench/measure/{name}.py" for name in ("energy", "harness", "processes", "quiet", "supervisor")),
)


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
    parser.add_argument("--dataset", default="sample", choices=["sample", "full"], help="role of the data set")
    parser.add_argument("--config", type=Path, default=HOME / "config" / "config.yaml", help="configuration file")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="cores to use (default: all)")
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = options_of_cell(__doc__, "measure.py", "rep0.json", "the record to write; predictions go beside it")
    parser.add_argument("--repeat", type=int, default=0, help="number of the repeat, and of its block")
    parser.add_argument("--ready", type=Path, help="ready.json: its canaries are what this repeat's are held against")
    return parser.parse_args(arguments)


def measuring_code_sha256() -> str:
    """One SHA-256 over the sources that decide what a time means."""
    scripts = Path(__file__).parent
    adapters = sorted((scripts / "vitbench" / "frameworks").rglob("*.py"))
    return sha256_of_files(scripts, [*(scripts / name for name in MEASURING_CODE), *adapters])


def prepare(arguments: argparse.Namespace, grid: Grid, cell: Cell, batch_size: int) -> Repeat:
    """Put together all that the repeat needs; whatever is missing is said before anything is started."""
    manifest, model = Path(grid.manifest(arguments.dataset)), Path(grid.model_folder(cell))
    checkpoint = Path("resources/models") / grid.model.slug / "checkpoint"
    for path, what in ((manifest, "data set"), (model, "model"), (checkpoint, "model's checkpoint")):
        if not path.exists():
            raise UserError(f"the {what} {path} is missing: make it with `snakemake prepare`")
    if cell.device == "gpu" and not machine.gpus():
        raise UserError(f"{cell.name}: this machine shows no GPU; take a cell of the cpu, or see `make doctor`")
    images = valid_images(manifest)
    if not images:
        raise UserError(f"{manifest} lists no valid image: see its column `reason`")
    check_unchanged(manifest)
    variant = grid.variants[f"{cell.framework}/{cell.variant}"]
    jar_folder = grid.jars(cell)
    if jar_folder:
        find_java()
    set_folder = HOME / "envs" / "jars" / jar_folder.name if jar_folder else None
    jar_paths = [path.resolve() for path in jars.verify(set_folder, Path(jar_folder))] if jar_folder else []
    out = arguments.out.resolve()
    task = Task(
        variant=variant.definition,
        device=cell.device,
        workers=cell.workers,
        batch_size=batch_size,
        threads=arguments.threads,
        # Not resolved itself: an image may be a link, and Spark reports the link's name.
        images=[(image.id, str(manifest.parent.resolve() / image.path)) for image in images],
        images_folder=str((manifest.parent / "images").resolve()),
        model=str(model.resolve()),
        jars=[str(path) for path in jar_paths],
        natives=str(Path("resources/jars/natives").resolve()),
        temporary=str(out.with_name(f".{out.stem}.repeat")),
    )
    labels = {image.id: image.label for image in images}
    matched = accuracy.match(labels.values(), checkpoints.labels(checkpoint))
    places = {place: number for number, place in enumerate(grid.order)}
    known = {
        "schema": SCHEMA,
        "machine": grid.config["machine"],
        "protocol": grid.config["protocol"],
        "model": grid.model.name,
        "dataset": arguments.dataset,
        "images": len(images),
        "labels": accuracy.stated(matched),
        "framework": cell.framework,
        "variant": cell.variant,
        "device": cell.device,
        "workers": cell.workers,
        "batch_size": batch_size,
        "repeat": arguments.repeat,
        "block": arguments.repeat,
        "order": places.get((cell, arguments.repeat)),
        "identity": {
            "model": grid.model.slug,
            "dataset": grid.datasets[arguments.dataset].slug,
            "variant": variant.slug,
            "definition": variant.definition,
        },
        "measuring": {
            "passes": grid.config["passes"],
            "quiet": grid.config["quiet"],
            "timeout_minutes": grid.config["timeout_minutes"],
            "seed": grid.config["seed"],
        },
        "environment": machine.fingerprint(grid.config["devices"]),
        "hashes": {
            "manifest": sha256(manifest),
            "model": sha256_of_files(model, [path for path in model.rglob("*") if path.is_file()]),
            "jars": sha256(set_folder / "jgo.lock.toml") if set_folder else None,
            "measuring_code": measuring_code_sha256(),
        },
    }
    return Repeat(
        known=known,
        task=task,
        labels=accuracy.expected(labels, matched),
        passes=Passes(**grid.config["passes"]),
        limits=quiet.Limits(**grid.config["quiet"]),
        reference=quiet.reference(
            MEASUREMENTS / grid.config["machine"] / f"p{grid.config['protocol']}",
            json.loads(arguments.ready.read_text())["canaries"] if arguments.ready else [],
        ),
        timeout_seconds=60 * grid.config["timeout_minutes"],
    )


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if not NAME.fullmatch(options.cell):
        raise UserError(f"--cell {options.cell}: write it as framework/variant/device/wN/bsN, sparknlp/onnx/cpu/w1/bs8")
    grid = Grid(configuration.load(options.config))
    machine.check_configured(grid.config["machine"], grid.config["devices"])
    cell = grid.find(options.dataset, options.cell)
    if cell.batch_size != BEST:
        record = measure(prepare(options, grid, cell, cell.batch_size), options.out)
    else:
        chosen = options.out.parent / "choice.json"
        if not chosen.exists():
            raise UserError(f"{chosen} is missing: name a batch size, or let `snakemake` choose one")
        choice = json.loads(chosen.read_text())
        repeat = prepare(options, grid, cell, choice["batch_size"])
        if choice["batch_size"] is None:
            record = record_without_running(repeat, options.out, "error", choice["reason"])
        else:
            record = measure(repeat, options.out)
    rate = f", {record['throughput']:.2f} images/s" if record["status"] == "ok" else f": {record['reason']}"
    shown = replace(cell, batch_size=record["batch_size"] or BEST)
    print(f"{shown.name} on {options.dataset}, repeat {options.repeat}: {record['status']}{rate}")
    return 0


if __name__ == "__main__":
    try:
        exit_with_user_errors(main)
    except Cancelled as cancelled:
        raise SystemExit(f"vitbench: {cancelled}; nothing was recorded") from None
