"""What a grid of ten thousand repeats costs before, while and after it is measured: planning, canaries, collecting.

`python tests/benchmarks/large_grid.py [--sizes 100] [--repeats 20]` in an empty folder. Five variants, so many batch
sizes and repeats; prints the seconds of a dry run by Snakemake, those in which a repeat finds the canaries of all
before it (the first time, and after that), and seconds and peak memory of collecting planted records. Takes minutes: no
test.
"""

import argparse
import copy
import resource
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]

FRAMEWORKS = ["huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/tensorflow-no-onednn", "sparknlp/onnx",
              "sparknlp/onnx-tuned"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=100, help="batch sizes")
    parser.add_argument("--repeats", type=int, default=20)
    asked = parser.parse_args()
    asked_for = {"frameworks": FRAMEWORKS, "batch_sizes": list(range(1, asked.sizes + 1)), "control": False}
    asked_for["datasets"] = dict.fromkeys(("sample", "full"), f"photos-{asked.sizes}")
    asked_for |= {"repeats": {"sample": asked.repeats, "full": 5}, "profile": False}
    Path("large.yaml").write_text(yaml.safe_dump(asked_for))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", "large.yaml"]
    begin = time.perf_counter()
    subprocess.run([*command, "--dry-run", "--quiet", "all"], check=True)
    print(f"dry run: {time.perf_counter() - begin:.1f} s")

    import planted
    from collect_records import runs_table

    from vitbench.measure import canary
    from vitbench.plan.grid import Grid
    from vitbench.records.archive import open_archive, record_paths

    grid = Grid(copy.deepcopy(planted.CONFIG) | asked_for | {"machine": "xeon-2"}, "linux-x86_64")
    planted.plant_run(Path(), grid)
    for when in ("the first time", "again"):
        begin = time.perf_counter()
        found = canary.reference(Path(grid.peak).parents[1])
        print(f"{found['canaries']} canaries, {when}: {time.perf_counter() - begin:.2f} s")
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    archive = open_archive(Path())
    table = runs_table(archive, record_paths(archive.grid))
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{len(table)} records collected: {seconds:.1f} s, {before / 1024:.0f} MB before, {after / 1024:.0f} at most")


if __name__ == "__main__":
    main()
