"""What Spark leaves of an engine's rate: with one worker on one core, with two on two, and from one to two.

    python tests/benchmarks/engine_in_spark.py results/campaigns/workers/runs.csv

Reads the runs table of a run of config/cluster.yaml and prints a table of Markdown. Ratios are geometric means of those
within blocks, with the range of the blocks. `spark-onnxruntime` runs the very engine that it is held against; Spark
NLP's is an older ONNX Runtime behind its own decoding and resizing, `spark-huggingface` is torch.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from vitbench import tables  # noqa: E402
from vitbench.analysis.summary import seconds_by_block  # noqa: E402
from vitbench.cells import variant_key  # noqa: E402

# The engine without Spark, on one core and on all of this machine's.
ONE, BOTH = "onnxruntime/one-slot", "onnxruntime/float32"
Seconds = dict[int, float]


def shown(*ratios: tuple[Seconds, Seconds], times: float = 1.0) -> str:
    """The product of ratios of seconds within blocks, `times` a factor: its geometric mean, the range, and n."""
    common = sorted(set.intersection(*(one.keys() & other.keys() for one, other in ratios)))
    if not common:
        return "–"
    logs = [sum(math.log(one[block] / other[block]) for one, other in ratios) for block in common]
    mean, low, high = (times * math.exp(value) for value in (numpy.mean(logs), min(logs), max(logs)))
    ends = f" [{low:.2f}, {high:.2f}]" if len(common) > 1 else ""
    return f"{mean:.2f}{ends}, n = {len(common)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the table runs.csv")
    runs = tables.read(parser.parse_args().runs, "runs")
    full = runs[runs.dataset == "full"]
    seconds: dict[tuple[str, int], Seconds] = {
        (variant_key(rows.iloc[0]), int(workers)): seconds_by_block(rows)
        for (_, _, workers), rows in full.groupby(["framework", "variant", "workers"], sort=False)
    }
    one, both = seconds[ONE, 1], seconds[BOTH, 1]
    rows = [["without Spark", "1", "1", shown((one, both), times=0.5), "1"]]
    for variant in dict.fromkeys(name for name, workers in seconds if workers == 2):
        first, second = seconds[variant, 1], seconds[variant, 2]
        rows.append([variant, shown((one, first)), shown((both, second)), shown((first, second), times=0.5),
                     shown((first, second), (both, one))])  # fmt: skip
    heads = ["", "of the engine's rate, one core", "two cores", "efficiency from one to two", "of the engine's own"]
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
