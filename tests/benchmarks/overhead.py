"""What the workflow costs in the timed passes: its throughput against that of the plain scripts in tests/plain.

`python tests/benchmarks/overhead.py [--pairs 7] [--framework sparknlp]` in a folder that a run of the workflow has
prepared. Pairs are interleaved, who begins alternates, and each side is a fresh process with the same passes; prints
the ratio of throughputs (workflow / plain) of each pair and their median. Takes two to three minutes a pair: no test.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import yaml  # noqa: E402

from vitbench.plan.configuration import resolve  # noqa: E402
from vitbench.plan.grid import Grid  # noqa: E402

PASSES = 4  # one cold, three warm
THREADS = {"OMP_NUM_THREADS": str(os.cpu_count())}  # as Snakemake sets it for the rule `measure`


def workflow_seconds(config: Path, cell: str, folder: Path) -> float:
    """Median of the passes after the first that the workflow measures for a cell on the sample."""
    out = folder / "rep0.json"
    command = [sys.executable, ROOT / "scripts/measure.py", "--config", config, "--cell", cell, "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | THREADS)
    return json.loads(out.read_text())["wall_seconds"]


def plain_seconds(script: str, *arguments: str) -> float:
    """Median of the passes after the first of a plain script."""
    variables = os.environ | THREADS | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    command = [sys.executable, ROOT / "tests" / "plain" / script, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    seconds = [float(line.split()[0]) for line in done.stdout.splitlines()]
    return statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--framework", help="this one alone")
    asked = parser.parse_args()
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["passes"] |= {"warm_images": 1, "warm_seconds": 0, "timed": PASSES - 1, "extensions": 0}
    config["passes"] |= {"shift": 1, "settling": 100, "short_passes": 0}  # plain scripts make none
    grid = Grid(resolve(config))
    images = str(Path(grid.manifest("sample")).parent / "images")
    sides = {}
    for cell in (cell for cell in grid.sweep if cell.batch_size == 8 and asked.framework in (None, cell.framework)):
        script, model = f"plain_{cell.framework}.py", str(grid.model_folder(cell))
        jars = [str(grid.jars(cell))] if grid.jars(cell) else []
        sides[cell.name] = (script, images, model, "8", str(PASSES), *jars)
    ratios = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        for pair in range(asked.pairs):
            for name, plain in sides.items():
                if pair % 2:
                    ours, theirs = workflow_seconds(path, name, Path(folder)), plain_seconds(*plain)
                else:
                    theirs, ours = plain_seconds(*plain), workflow_seconds(path, name, Path(folder))
                ratios[name].append(theirs / ours)
                print(f"{name} pair {pair}: workflow {ours:.2f} s, plain {theirs:.2f} s", flush=True)
    for name, found in ratios.items():
        print(f"{name}: median {statistics.median(found):.3f} [{min(found):.3f}, {max(found):.3f}], n = {len(found)}")


if __name__ == "__main__":
    main()
