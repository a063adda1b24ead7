"""Label images, however many, in parts that a kill does not undo. A command of its own: it needs no Snakemake.

The labels go to OUT/labels/*.parquet, what is no image to OUT/quarantine.csv. Begun again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitbench import machine
from vitbench.classify import choice, job, listing
from vitbench.classify.choice import Chosen
from vitbench.classify.folder import Folder
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, RESOURCES
from vitbench.frameworks.declaration import CHECKPOINT
from vitbench.inputs.object_store import is_url
from vitbench.measure.repeat import parts_of
from vitbench.measure.supervisor import Cancelled
from vitbench.plan import configuration


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: python scripts/classify_images.py --images ~/Pictures --variant onnxruntime/int8 --out labels "
        "(docs/classify.md)",
    )
    where = (
        "folder, text list of paths, Parquet file (or folder of them) of paths, or of path and content, or the URL of "
        "an object store"
    )
    parser.add_argument("--images", help=where)
    parser.add_argument("--out", type=Path, help="folder of the job (default: classified)")
    parser.add_argument("--model", help="name in resources/models.yaml or under `define`, or a checkpoint's folder")
    parser.add_argument("--variant", help="framework/variant (default: by this machine's records, or the baseline)")
    parser.add_argument("--batch-size", type=int, help="default: what the variant's sweep chose")
    parser.add_argument("--device", help="one of `devices` (default: the first)")
    parser.add_argument("--most-refused", type=float, help="share that may be no image (default: all)")
    parser.add_argument("--part-images", type=int, help=f"images of a part (default: {job.PART_IMAGES})")
    parser.add_argument("--why", help="why it is that variant, for the summary (default: what was found)")
    parser.add_argument(
        "--config", type=Path, default=HOME / "config" / "config.yaml",
        help="configuration file, whose keys of the same names hold where an option is left out",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=machine.cores(), help="cores to use (default: all)")
    return parser.parse_args(arguments)


# What holds where neither an option nor the configuration says anything.
DEFAULTS = {"images": None, "variant": None, "batch_size": None, "out": "classified", "most_refused": 1.0}
DEFAULTS |= {"part_images": job.PART_IMAGES}


def fill_in(options: argparse.Namespace) -> dict[str, Any]:
    """Give the options that were left out what the configuration says, or their defaults; that configuration, resolved.

    Raises:
        UserError: nothing says which images, or the configuration is not valid.
    """
    given = configuration.read(options.config)
    resolved = configuration.resolve(given)
    for name, otherwise in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, otherwise if given[name] is None else given[name])
    if not isinstance(options.images, str):  # a number of them is what `snakemake plan` reads
        raise UserError("images: nothing is named; --images FOLDER, or `images: FOLDER` in the configuration")
    options.out = Path(options.out)
    return resolved


def absolute(path: Path) -> Path:
    """A path that a user wrote, as another process finds it; links in it stay."""
    return Path(os.path.abspath(path.expanduser()))


def requested(options: argparse.Namespace) -> job.Request:
    """What was asked for; UserError where it cannot be."""
    for name, least in (("batch_size", 1), ("part_images", 1), ("threads", 1)):
        if (given := getattr(options, name)) is not None and given < least:
            raise UserError(f"{name}: {given}; it is {least} at least")
    if not 0 <= options.most_refused <= 1:
        raise UserError(f"most_refused: {options.most_refused}; it is a share, between 0 and 1")
    images = options.images if is_url(options.images) else str(absolute(Path(options.images)))
    listing.kind_of(images)
    return job.Request(images, absolute(options.out), options.most_refused, options.part_images, options.threads)


def missing_checkpoint(chosen: Chosen) -> Path | None:
    """Where the model is to be made: it is missing, and the variant needs nothing that the workflow makes of it."""
    checkpoint = Path(RESOURCES / "models" / chosen.grid.model.slug / CHECKPOINT)
    own = chosen.grid.needs(chosen.cell).form == CHECKPOINT
    return checkpoint if own and not checkpoint.exists() else None


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    config = fill_in(options)
    request = requested(options)
    if options.model:
        config = configuration.resolve(config | {"model": options.model})
    chosen = choice.choose_for(config, request.out, options.variant, options.batch_size, options.device)
    if options.why:
        chosen = replace(chosen, why=options.why)
    print(f"{chosen.grid.model.name} by {chosen.variant} on the {chosen.cell.device}: {chosen.why}", flush=True)
    if chosen.grid.model.definition["kind"] == "seeded":
        print(
            f"the weights of {chosen.grid.model.name} are seeded: its labels mean nothing; name a trained model, "
            "such as model=./my-vit",
            flush=True,
        )
    checkpoint = missing_checkpoint(chosen)
    # What is missing is said before the images are listed, and what is wrong with these before a model is made.
    start = None
    if checkpoint:
        parts_of(chosen.grid, chosen.cell, request.threads)
    else:
        start = job.start_of(chosen, Folder(request.out), request)
    folder, what = job.open_job(request, chosen)
    if checkpoint:
        import build_checkpoint  # with torch, which nothing else here takes

        build_checkpoint.main(chosen.grid.model.definition, checkpoint)
    print(f"{what.total:,} images in {what.parts:,} parts, {len(folder.done()):,} of which are done", flush=True)
    if status := job.run(folder, what, start or job.start_of(chosen, folder, request)):
        return status
    job.conclude(folder, what, chosen.why)
    return 0


if __name__ == "__main__":
    try:
        exit_with_user_errors(main)
    except Cancelled as cancelled:
        raise SystemExit(f"vitbench: {cancelled}; the parts that are done stay, the same command goes on") from None
