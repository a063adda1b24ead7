"""What this machine must have before the first measurement; what it lacks is one line with the key and the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import yaml

from vitbench import environment, machine
from vitbench.errors import UserError
from vitbench.files import HOME

MEMORY = 8e9
"""bytes for Spark NLP, as `make doctor` has them: a heap of 4 GB, the engine's own tensors, and the system"""
SCRATCH = 1e9
"""bytes that a repeat writes for a while: what Spark and the engines' libraries unpack"""


def check_here(configured: str, devices: Iterable[str]) -> None:
    """Raise UserError unless this is the machine of the configuration, and nobody else has a part of it."""
    machine.check_configured(configured, devices)
    check_alone()


def check_protocol(asked: int) -> None:
    """Raise UserError where an earlier protocol is asked for, as by a configuration that is kept beside old records."""
    today = yaml.safe_load((HOME / "config" / "config.yaml").read_text())["protocol"]
    if asked < today:
        raise UserError(
            f"protocol: {asked} is configured, and this vitbench measures by {today}: leave it out, and all is "
            "measured anew, or take the vitbench that the records were measured with"
        )


def check_alone() -> None:
    """Raise UserError in a job of Slurm that does not have its node to itself.

    The quiet probes count what runs on the cores that this process may use; of a neighbour on the node's other cores
    they see nothing. Slurm knows: `squeue --format=%h` says NO where the job has its node to itself (squeue(1)). What
    was asked for does not tell, since the settings of a partition come first (sbatch(1), --exclusive).
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return
    command = ["squeue", "--noheader", f"--jobs={job}", "--format=%h"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said = answer.stdout if answer.returncode == 0 else f"({answer.stderr.strip()})"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = f"({error})"
    if (said := " ".join(said.split())) == "NO":
        return
    why = f"{' '.join(command)} says {said or 'nothing'}, where NO means that it is alone"
    raise UserError(
        f"a measurement needs a node of its own, and job {job} of Slurm is not known to have one ({why}): ask for it "
        "with --exclusive, in a partition that grants it"
    )


def check_gpu(devices: Iterable[str]) -> None:
    """Raise UserError where a GPU is to be measured and this machine, the one that would do it, shows none."""
    if "gpu" in devices and not machine.gpus():
        raise UserError("devices: gpu was asked for, and this machine shows none; leave it out, or see `make doctor`")


def check_cores(threads: int) -> None:
    """Raise UserError unless Snakemake was given all cores, which a measurement takes."""
    if threads < machine.cores():
        raise UserError(
            f"a measurement takes all {machine.cores()} cores of this machine, and Snakemake was given {threads}: "
            "run it with --cores all"
        )


def check_memory() -> None:
    """Raise UserError where Spark NLP is to be measured in less memory than it needs."""
    if machine.memory_bytes() < MEMORY:
        raise UserError(
            f"frameworks: Spark NLP needs {_size(MEMORY)} of memory, this machine (or its container's limit) has "
            f"{_size(machine.memory_bytes())}: leave sparknlp out, raise the limit, or take a larger machine"
        )


def check_disk(folder: Path, more: float = 0) -> None:
    """Raise UserError unless the disk of `folder` has room for a repeat's scratch files and `more` bytes."""
    free, needed = shutil.disk_usage(folder).free, SCRATCH + more
    if free < needed:
        raise UserError(
            f"{_size(free)} free on the disk of {folder.resolve()}, {_size(needed)} are needed: free some, or run "
            "with --directory on another disk"
        )


def check_writable(folder: Path) -> None:
    """Raise UserError unless something can be written into `folder`, the working directory."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"nothing can be written to {folder.resolve()}: give yourself the right to, or run with --directory "
            "elsewhere"
        )


def check_spark(folder: Path) -> None:
    """Raise UserError where Spark cannot work in `folder`, the working directory, or as this user."""
    if problem := environment.spark_problem(folder):
        raise UserError(problem)


def check_batch_sizes(sizes: Iterable[int], role: str, images: int) -> None:
    """Raise UserError where a batch size is larger than the number of valid images of a role's data set."""
    if (largest := max(sizes)) > images:
        raise UserError(
            f"batch_sizes: {largest} is larger than the {images} images of the data set `{role}`, so no batch is ever "
            "that large; leave it out, or choose more images"
        )


def _size(number: float) -> str:
    """Bytes for people, decimal."""
    return f"{number / 1e9:.1f} GB"
