"""Measure on a machine that lives for one job only, and keep its records: clone a bundle, install, measure, pack.

A file of its own, with the standard library alone: it is all that is there before the checkout is (docs/databricks.md).
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path

# What `snakemake import` needs of a run. Of data sets that is the manifest, which names images by their hashes: the
# images themselves, as files or as contents of Parquet files, stay.
MANIFESTS = "resources/datasets/*/manifest.csv"
KEPT = ("measurements", "results/provenance")
# Folders that repeats work in, and remove at their end.
WORKPLACE = ".*.repeat"
# Seconds that Snakemake has to end by itself, once it was told to stop; its repeat needs less than ten of them.
PATIENCE = 60


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: measure_elsewhere.py --bundle /Volumes/a/b/c/vitbench.bundle --out /Volumes/a/b/c/records.tgz "
        "--scratch /local_disk0/vitbench --minutes 100 full --configfile config/standard.yaml",
    )
    parser.add_argument("--bundle", type=Path, required=True, help="the checkout: git bundle create FILE HEAD")
    parser.add_argument("--scratch", type=Path, required=True, help="folder on the machine's own disk, to be made")
    parser.add_argument(
        "--out", type=Path, required=True, help="archive of the records; what an earlier job left in it is gone on with"
    )
    parser.add_argument("--minutes", type=float, help="stop Snakemake after so many, and keep what was measured")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="for Snakemake: targets, then its options")
    return parser.parse_args(arguments)


def prepare(bundle, scratch):
    """The folder of a checkout on this machine, its environment installed."""
    if not bundle.is_file():
        raise SystemExit(f"vitbench: --bundle: there is no {bundle}; make it with `git bundle create FILE HEAD`")
    checkout = scratch / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(bundle), str(checkout)], check=True)
    subprocess.run(["make", "install"], cwd=checkout, check=True, env=environment())
    return checkout


def environment():
    """This process's own, without the Java of whoever runs it, which may be an older one, and without its packages."""
    return {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "PYTHONPATH", "PYTHONHOME")}


def measure(checkout, run, options, minutes):
    """Run Snakemake in the folder `run`; its exit status. After so many minutes it is asked to stop, as by Ctrl-C."""
    snakemake = [str(checkout / ".venv/bin/python"), "-m", "snakemake", "--cores", "all"]
    command = [*snakemake, "--directory", str(run), *options]
    child = subprocess.Popen(command, cwd=checkout, env=environment(), start_new_session=True)
    try:
        return child.wait(None if minutes is None else 60 * minutes)
    except subprocess.TimeoutExpired:
        print(f"vitbench: stopped after {minutes:g} minutes; the next job with the same --out goes on", flush=True)
        return stop(child)
    finally:
        # Where this process is told to end, too.
        stop(child)


def stop(child):
    """Let Snakemake and its jobs end, as by Ctrl-C, or kill them after PATIENCE; its exit status, also if it had ended.

    What still works while the records are packed would change them under the packer's hands.
    """
    if child.poll() is None:
        # To its jobs as well, as a terminal does: Snakemake alone would wait until the repeat has ended.
        os.killpg(child.pid, signal.SIGINT)
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"vitbench: Snakemake did not stop within {PATIENCE} s and is killed", flush=True)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def unpack(archive, run):
    """What an earlier job left."""
    run.mkdir(parents=True, exist_ok=True)
    if archive.exists():
        with tarfile.open(archive) as earlier:
            earlier.extractall(run, filter="data")


def kept(run):
    """The files of a run that are to be packed.

    Not what lies where a repeat works: after a kill somebody may still be removing that.
    """
    for name in KEPT:
        for folder, below, names in os.walk(run / name):
            below[:] = [one for one in below if not fnmatch(one, WORKPLACE)]
            yield from (Path(folder, one) for one in names)
    yield from run.glob(MANIFESTS)


def pack(run, archive):
    """Write the records of `run` to `archive`, whole or not at all; how many there are.

    It is written on the machine's own disk first: a volume may take no more than one file written from front to back.
    """
    packed, paths = run.with_name("records.tgz"), list(kept(run))
    with tarfile.open(packed, "w:gz") as whole:
        for path in paths:
            whole.add(path, path.relative_to(run))
    partial = archive.with_name(f".{archive.name}.partial")
    shutil.copyfile(packed, partial)
    partial.replace(archive)
    return sum(1 for path in paths if run / "measurements" in path.parents and fnmatch(path.name, "rep*.json"))


def end(number, _):
    """End once what was measured is packed; to be told again does not cut that short."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main(arguments=None):
    options = parse(arguments)
    signal.signal(signal.SIGTERM, end)
    checkout, run = prepare(options.bundle, options.scratch), options.scratch / "run"
    unpack(options.out, run)
    try:
        status = measure(checkout, run, options.options, options.minutes)
    finally:
        print(f"vitbench: {pack(run, options.out)} records are in {options.out}", flush=True)
    return status


# No exit where all is well: a runtime that runs this file in a shell of its own may take any for a failure.
if __name__ == "__main__" and (failed := main()):
    sys.exit(failed)
