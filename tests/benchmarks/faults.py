"""What a standalone cluster of our own makes of executors that are killed at random moments: the tables of
docs/cluster.md.

`python tests/benchmarks/faults.py [--times 10] [--seed 0] [--variant sparknlp/tensorflow]`, in an empty folder. It
measures one repeat of the tiny model with two workers of one core, kills one of its executors with SIGKILL at a random
moment of every other pass, and prints a row for each. Takes minutes: no test. What the tests hold of single faults:
tests/smoke/test_real_cluster.py.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), *(str(ROOT / "tests" / place) for place in ("", "unit", "smoke"))]

import test_real_cluster as real  # noqa: E402
from test_kill import wait_until  # noqa: E402

from vitbench.measure.repeat import Repeat, prepare  # noqa: E402
from vitbench.plan import configuration  # noqa: E402
from vitbench.plan.grid import Grid  # noqa: E402
from vitbench.steady import Passes  # noqa: E402

HEAD = ("pass", "killed after, s", "executors lost", "tasks tried again", "images with one answer", "that pass, s",
        "the next, s")  # fmt: skip
BATCH_SIZE = 4


def repeat_of(variant: str, images: int, out: Path, timed: int) -> Repeat:
    """A repeat of a variant on two workers of this machine, with so many timed passes; what it loads is made here."""
    asked = {"model": "vit-tiny-seeded", "workers": [1, 2], "batch_sizes": [BATCH_SIZE], "control": False}
    asked |= {"datasets": {"sample": f"photos-{images}", "full": f"photos-{images}"}, "profile": False}
    asked |= {"frameworks": [variant], "baseline": variant, "passes": {"short_passes": 0}}
    Path("faults.yaml").write_text(yaml.safe_dump(asked))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", "faults.yaml"]
    subprocess.run([*command, "--cores", "all", "--quiet", "all", "--", "prepare"], check=True)
    default = configuration.load(ROOT / "config" / "config.yaml")
    asked |= {name: default[name] | asked[name] for name in ("passes", "datasets")}  # as Snakemake merges them
    grid = Grid(configuration.resolve(default | asked))
    repeat = prepare(grid, grid.find("sample", f"{variant}/cpu/w2/bs{BATCH_SIZE}"), out, threads=2)
    passes = Passes(
        warm_images=1, warm_seconds=0, shift=1, settling=100, timed=timed, timed_images=10**6, extensions=0,
        most_seconds=1800,
    )  # fmt: skip
    return replace(repeat, passes=passes, limits=real.PATIENT, timeout_seconds=1800)


def passes_of(folder: Path) -> list[dict]:
    """The passes that a repeat below `folder` has reported so far."""
    events = (folder / "measurements" / ".rep0.repeat" / "events.jsonl").read_text().splitlines(keepends=True)
    told = [json.loads(line) for line in events if line.endswith("\n")]
    return [one for one in told if one["event"] == "pass"]


def kill_every_other(folder: Path, times: int, chance: random.Random, told: dict[int, float]) -> None:
    """Kill one executor in every other pass; `told` gets pass → seconds after its begin."""
    real.wait_for_a_pass(folder)
    for _ in range(times):
        begun = len(passes_of(folder))
        moment = chance.uniform(0, passes_of(folder)[-1]["seconds"])
        time.sleep(moment)
        chance.choice(real.processes(folder, real.EXECUTOR)).kill()
        told[begun] = moment
        # The pass in which it died, and the one in which its successor takes part.
        wait_until(lambda begun=begun: len(passes_of(folder)) >= begun + 2, 600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variant", default="spark-onnxruntime/float32")
    parser.add_argument("--images", type=int, default=480)
    asked = parser.parse_args()
    told: dict[int, float] = {}
    folder = Path("a repeat").absolute()
    repeat = repeat_of(asked.variant, asked.images, folder / "measurements" / "rep0.json", 2 * asked.times + 2)
    record = real.measured(
        repeat, folder, lambda: kill_every_other(folder, asked.times, random.Random(asked.seed), told)
    )
    passes = record["passes"]
    undisturbed = set(range(1, len(passes))) - told.keys() - {place + 1 for place in told}
    print(f"{record['status']}, {record['flags']}, {record['cluster']}")
    print(f"undisturbed passes: {statistics.median(passes[place]['seconds'] for place in undisturbed):.1f} s (median)")
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for place, moment in told.items():
        one, after = passes[place], passes[place + 1]
        print(
            f"| {place} | {moment:.1f} | {one['executors_lost']} | {one['tasks_retried']} "
            f"| {one['valid']} of {record['images']} | {one['seconds']:.1f} | {after['seconds']:.1f} |"
        )


if __name__ == "__main__":
    main()
