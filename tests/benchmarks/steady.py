"""How long a process takes to become steady.

Run in a folder that holds nothing else, with a configuration for the model and the variants:

python tests/benchmarks/steady.py --images 1000 --configfile config/standard.yaml
    one long process a variant over one data set; writes curves.csv, curves.png, and prints where each became steady

It lets Snakemake prepare what is missing, and measures with scripts/measure.py, as a run does. No test: hours.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from vitbench.plan.configuration import load  # noqa: E402
from vitbench.steady import changes  # noqa: E402

THREADS = {"OMP_NUM_THREADS": str(os.cpu_count())}  # as Snakemake sets it for the rule `measure`


def configuration(asked: argparse.Namespace, images: int, name: str, **passes: float) -> Path:
    """Write the configuration of the benchmark on photos-N and prepare it; the file's path."""
    own = yaml.safe_load(asked.configfile.read_text()) if asked.configfile else {}
    own |= {"datasets": dict.fromkeys(("sample", "full"), f"photos-{images}"), "batch_sizes": [asked.batch_size]}
    own |= {"repeats": 1, "control": False, "profile": False, "passes": own.get("passes", {}) | passes}
    path = Path(f"{name}.yaml")
    path.write_text(yaml.safe_dump(own))
    command = [sys.executable, "-m", "snakemake", "prepare", "--cores", "all", "--quiet", "all"]
    command += ["--snakefile", ROOT / "Snakefile", "--directory", Path.cwd(), "--configfile", path.resolve()]
    subprocess.run(command, check=True)
    return path.resolve()


def measure(config: Path, variant: str, batch_size: int, out: Path) -> dict:
    """Measure one repeat of a variant's cell with scripts/measure.py; its record."""
    cell = f"{variant}/cpu/w1/bs{batch_size}"
    command = [sys.executable, ROOT / "scripts/measure.py", "--config", config, "--cell", cell, "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | THREADS)
    record = json.loads(out.read_text())
    if record["status"] != "ok":
        raise SystemExit(f"{cell}: {record['status']}, {record['reason']}")
    return record


def write(path: str, rows: list[dict]) -> None:
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def curves(asked: argparse.Namespace) -> None:
    """One process a variant that goes on for so many images, whatever the rule would say."""
    passes = -(-asked.images // asked.size)
    endless = {"warm_images": asked.size, "warm_seconds": 0, "settling": 100, "shift": 1, "extensions": 0}
    config = configuration(asked, asked.size, "curves", **endless, timed=passes - 1, timed_images=asked.images)
    variants, rows = load(config)["frameworks"], []
    for variant in variants:
        record = measure(config, variant, asked.batch_size, Path("curves") / variant / "rep0.json")
        seconds = [one["seconds"] for one in record["passes"]]
        rows += [
            {"variant": variant, "images": (number + 1) * asked.size, "seconds_an_image": one["seconds"] / asked.size,
             "settling_share": one["settling_seconds"] / one["seconds"]}
            for number, one in enumerate(record["passes"])
        ]  # fmt: skip
        last = [each / asked.size for each in seconds[-max(2, len(seconds) // 4) :]]
        # Of the whole curve, in pieces that the search for changes looks at.
        places = sorted({place for end in range(8, len(seconds) + 1) for place in changes(seconds[:end], 0.03)})
        told = ", ".join(str(place * asked.size) for place in places) or "none"
        settling = [one["settling_seconds"] / one["seconds"] for one in record["passes"]]
        print(f"{variant}: the last quarter {numpy.median(last):.4f} s an image; level changes seen at {told} images; "
              f"share of compiling first {settling[0]:.1%}, last {settling[-1]:.1%}", flush=True)  # fmt: skip
    write("curves.csv", rows)
    draw(rows, variants)


def draw(rows: list[dict], variants: list[str]) -> None:
    """Seconds an image against images, a line a variant."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for variant in variants:
        own = [row for row in rows if row["variant"] == variant]
        axes.plot([row["images"] for row in own], [row["seconds_an_image"] for row in own], marker=".", label=variant)
    axes.set(xlabel="images classified by the process", ylabel="seconds an image", yscale="log")
    axes.legend()
    figure.savefig("curves.png", dpi=120)
    print("curves.csv, curves.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, help="model and variants (default: the embedded default)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--images", type=int, default=1000, help="images that each process classifies")
    parser.add_argument("--size", type=int, default=16, help="images a pass")
    asked = parser.parse_args()
    if asked.configfile:
        asked.configfile = asked.configfile.resolve()
    curves(asked)


if __name__ == "__main__":
    main()
