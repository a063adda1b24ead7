"""How long a process takes to become steady.

Run in a folder that holds nothing else, with a configuration for the model and the variants:

python tests/benchmarks/steady.py --images 1000 --configfile config/standard.yaml
    one long process a variant over one data set; writes curves.csv and curves.png, and prints how much slower than in
    the end an image was in each hundred of them
python tests/benchmarks/steady.py --curves curves.csv
    draws and prints the same of a table that is there
python tests/benchmarks/steady.py --records resources/campaigns/standard
    prints how much longer each pass of a full run took than its last three, means over the processes of a variant

It lets Snakemake prepare what is missing, and measures with scripts/measure.py, as a run does. No test: hours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from vitbench.cells import CONTROL  # noqa: E402
from vitbench.plan.configuration import load  # noqa: E402
from vitbench.records.archive import is_record, open_archive  # noqa: E402

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


def curves(asked: argparse.Namespace) -> None:
    """One process a variant that goes on for so many images, whatever the rule would say."""
    passes = -(-asked.images // asked.size)
    endless = {"warm_images": asked.size, "warm_seconds": 0, "settling": 100, "shift": 1, "extensions": 0}
    endless["short_passes"] = asked.short_passes
    config = configuration(asked, asked.size, "curves", **endless, timed=passes - 1, timed_images=asked.images)
    variants, rows = load(config)["frameworks"], []
    for variant in variants:
        record = measure(config, variant, asked.batch_size, Path("curves") / variant / "rep0.json")
        rows += [
            {"variant": variant, "images": (number + 1) * asked.size, "seconds_an_image": one["seconds"] / asked.size,
             "settling_share": one["settling_seconds"] / one["seconds"]}
            for number, one in enumerate(record["passes"])
        ]  # fmt: skip
    frame = pandas.DataFrame(rows)
    frame.to_csv("curves.csv", index=False)
    show(frame)


def passes(records: Path) -> None:
    """Print a Markdown table of the full runs in a folder of records: a row a variant, a column a pass."""
    archive, rows = open_archive(records), []
    for record in map(archive.record, filter(is_record, archive.paths())):
        if record["status"] != "ok" or record["dataset"] != "full":
            continue
        seconds = [one["seconds"] for one in record["passes"]]
        end = sum(seconds[-3:]) / 3
        variant = f"{record['framework']}/{record['variant'].removesuffix(CONTROL)}"
        rows += [
            {"variant": variant, "number": number, "longer": each / end - 1, "last": len(seconds) - 1}
            for number, each in enumerate(seconds)
        ]  # fmt: skip
    frame = pandas.DataFrame(rows)
    shown = range(frame["last"].min() + 1)
    print(f"| variant | processes | {' | '.join(f'pass {number}' for number in shown)} |")
    print("| --- " * (len(shown) + 2) + "|")
    for name, of_variant in frame.groupby("variant", sort=False):
        means = of_variant.groupby("number").longer.mean()
        count = (of_variant.number == 0).sum()
        print(f"| {name} | {count} | {' | '.join(f'{means[number]:+.1%}' for number in shown)} |")


LAST = 300  # images at the end of a curve that say how long an image takes when all has settled


def show(frame: pandas.DataFrame) -> None:
    """Draw curves.png, and print a Markdown table: how much longer an image took in each hundred of them."""
    end = {name: rows.seconds_an_image[rows.images > rows.images.max() - LAST].mean() for name, rows in of(frame)}
    hundreds = (frame.images - 1) // 100
    slower = frame.assign(hundred=hundreds[hundreds < frame.images.max() // 100])
    slower = slower.pivot_table("seconds_an_image", "variant", "hundred", sort=False)
    print(f"| variant | {' | '.join(f'to {100 * (number + 1):.0f}' for number in slower)} | s an image in the end |")
    print("| --- " * (len(slower.columns) + 2) + "|")
    for name, row in slower.iterrows():
        print(f"| {name} | {' | '.join(f'{seconds / end[name] - 1:+.0%}' for seconds in row)} | {end[name]:.4f} |")
    draw(frame, end)


def of(frame: pandas.DataFrame) -> Iterator[tuple[str, pandas.DataFrame]]:
    """Each variant's rows, in the order of the table."""
    return iter(frame.groupby("variant", sort=False))


def draw(frame: pandas.DataFrame, end: dict[str, float]) -> None:
    """Each variant's seconds an image, relative to its end, against images; a line a variant."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name, rows in of(frame):
        axes.plot(rows.images, rows.seconds_an_image / end[name] - 1, marker=".", label=name)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="images that the process has classified", ylim=(-0.1, 0.6), xlim=(0, frame.images.max()))
    axes.set_ylabel(f"an image takes longer than in the last {LAST}")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False)
    figure.savefig("curves.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, help="model and variants (default: the embedded default)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--images", type=int, default=1000, help="images that each process classifies")
    parser.add_argument("--short-passes", type=int, default=0, help="after the first pass, of who plans each anew")
    parser.add_argument("--size", type=int, default=16, help="images a pass")
    parser.add_argument("--curves", type=Path, help="a table that an earlier run has written")
    parser.add_argument("--records", type=Path, help="a working directory or a campaign, whose passes are looked at")
    asked = parser.parse_args()
    if asked.configfile:
        asked.configfile = asked.configfile.resolve()
    if asked.records:
        passes(asked.records)
    elif asked.curves:
        show(pandas.read_csv(asked.curves))
    else:
        curves(asked)


if __name__ == "__main__":
    main()
