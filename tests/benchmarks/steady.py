"""How long a process takes to become steady, and whether the size of a data set changes the answer.

Run in a folder that holds nothing else, with a configuration for the model and the variants:

python tests/benchmarks/steady.py curves --images 1000 --configfile config/standard.yaml
    one long process a variant over one data set; writes curves.csv, curves.png, and prints where each became steady
python tests/benchmarks/steady.py sizes --sizes 16 48 200 --repeats 5 --configfile config/standard.yaml
    the same cell on data sets of several sizes; writes sizes.csv and prints seconds an image, the range of the repeats,
    and the ratio to the largest size with its 95% interval

Both let Snakemake prepare what is missing, and measure with scripts/measure.py, as a run does. No test: hours.
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
from scipy import stats

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
    command += ["--snakefile", ROOT / "Snakefile", "--directory", Path.cwd(), "--configfile", path]
    subprocess.run(command, check=True, cwd=ROOT if asked.configfile else None)
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


def sizes(asked: argparse.Namespace) -> None:
    """The same cell on data sets of several sizes, sizes interleaved in each block."""
    configs = {size: configuration(asked, size, f"photos-{size}") for size in asked.sizes}
    variants, rows = load(configs[asked.sizes[0]])["frameworks"], []
    for block in range(asked.repeats):
        for variant in variants:
            for size, config in configs.items():
                out = Path("sizes") / f"{size}" / variant / f"rep{block}.json"
                record = measure(config, variant, asked.batch_size, out)
                rows.append(
                    {"variant": variant, "images": size, "block": block, "steady": record["steady"]["classification"],
                     "warm_up_images": record["steady"]["warm_up_images"],
                     "seconds_an_image": record["wall_seconds"] / size}
                )  # fmt: skip
                write("sizes.csv", rows)
    print("| variant | images | seconds an image [range] | ratio to the largest [95% interval] | unsteady |")
    print("| --- | --- | --- | --- | --- |")
    for variant in variants:
        by_size = {
            size: [row for row in rows if (row["variant"], row["images"]) == (variant, size)] for size in configs
        }
        largest = numpy.log([row["seconds_an_image"] for row in by_size[max(by_size)]])
        for size, own in by_size.items():
            each = numpy.array([row["seconds_an_image"] for row in own])
            ratios = numpy.log(each) - largest
            ratio = f"{numpy.exp(ratios.mean()):.3f}"
            if len(own) > 1 and size != max(by_size):
                half = stats.t.ppf(0.975, len(own) - 1) * ratios.std(ddof=1) / len(own) ** 0.5
                ratio += f" [{numpy.exp(ratios.mean() - half):.3f}, {numpy.exp(ratios.mean() + half):.3f}]"
            unsteady = sum(row["steady"] == "no steady state" for row in own)
            print(f"| {variant} | {size} | {numpy.exp(numpy.log(each).mean()):.4f} "
                  f"[{each.min():.4f}, {each.max():.4f}] | {ratio} | {unsteady} of {len(own)} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, help="model and variants (default: the embedded default)")
    parser.add_argument("--batch-size", type=int, default=8)
    ways = parser.add_subparsers(required=True)
    one = ways.add_parser("curves")
    one.add_argument("--images", type=int, default=1000, help="images that each process classifies")
    one.add_argument("--size", type=int, default=16, help="images a pass")
    one.set_defaults(run=curves)
    other = ways.add_parser("sizes")
    other.add_argument("--sizes", type=int, nargs="+", default=[16, 48, 200])
    other.add_argument("--repeats", type=int, default=5)
    other.set_defaults(run=sizes)
    asked = parser.parse_args()
    if asked.configfile:
        asked.configfile = asked.configfile.resolve()
    asked.run(asked)


if __name__ == "__main__":
    main()
