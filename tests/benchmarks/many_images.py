"""Very many images through `classify` on a standalone cluster of our own, of which a worker is killed meanwhile.

`python tests/benchmarks/many_images.py [--images 34745] [--input bytes] [--kill 1] [--stop]` in a folder of its own
makes the images (once; 40 files among them are none) and the tiny model, labels by ONNX Runtime in Spark's tasks on two
workers of one core each, kills a worker with SIGKILL at random moments and, with `--stop`, the process that labels at
another, after which the same command is given again. It prints what became of every id, and the memory of each kind of
process. Takes many minutes: no test.
"""

import argparse
import io
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import duckdb
import psutil
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), *(str(ROOT / "tests" / place) for place in ("", "unit", "smoke"))]

import test_real_cluster as real  # noqa: E402
import tree  # noqa: E402

from vitbench.inputs import parquet, photographs  # noqa: E402

BAD, SEED, SHOWN = 40, 5, (160, 120)
# What a process is called, by what stands in its command.
KINDS = {real.DRIVER: "driver's JVM", real.EXECUTOR: "executors' JVMs", "pyspark.daemon": "Python of the tasks",
         "vitbench.classify.worker": "process that labels", "spawn_main": "those that open images"}  # fmt: skip
SECONDS_BETWEEN_LOOKS = 5.0


def make_images(folder: Path, number: int) -> None:
    """Small JPEG, each another part of a crop, and BAD files that are no images, in folders of a thousand."""
    chance = random.Random(SEED)
    base = [Image.open(io.BytesIO(crop.jpeg)).convert("RGB") for crop in photographs.crops(200, SEED, "heldout")]
    for at in range(number):
        below = folder / f"{at // 1000:03d}"
        below.mkdir(parents=True, exist_ok=True)
        crop, share = base[at % len(base)], chance.uniform(0.6, 1)
        width, height = crop.width * share, crop.height * share
        left, top = chance.uniform(0, crop.width - width), chance.uniform(0, crop.height - height)
        part = crop.resize(SHOWN, box=(left, top, left + width, top + height))
        part.save(below / f"{at:06d}.jpg", quality=80)
        if at % (number // BAD) == 0:
            (below / f"{at:06d} none.jpg").write_bytes(b"no image at all")


def memory(out: Path) -> Counter[str]:
    """MB that each kind of process of the job has to itself, shared pages by their part."""
    found: Counter[str] = Counter()
    for one in tree.processes_of(out):
        try:
            command = " ".join(one.cmdline())
            kind = next((kind for word, kind in KINDS.items() if word in command), None)
            if kind:
                found[kind] += one.memory_full_info().pss // 2**20
        except psutil.Error:  # gone meanwhile
            continue
    return found


def watch(out: Path, ended: threading.Event, kills: list[tuple[float, str]], told: list[Counter[str]]) -> None:
    """Look at the memory until the job has ended; kill one process of a kind when a share of the parts is done."""
    kills = sorted(kills)
    while not ended.wait(SECONDS_BETWEEN_LOOKS):
        told.append(memory(out))
        there = real.processes(out, kills[0][1]) if kills else []
        if there and share_done(out) >= kills[0][0]:
            share, kind = kills.pop(0)
            random.Random(SEED).choice(there).kill()
            print(f"at {share:.0%} of the parts: killed one {kind.rpartition('.')[2]} of {len(there)}", flush=True)


def share_done(out: Path) -> float:
    """Share of the parts that are done."""
    if not (out / "job.json").exists():
        return 0.0
    job = json.loads((out / "job.json").read_text())
    return len(list((out / "labels").glob("*.parquet"))) * job["part_images"] / job["total"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=34745)
    parser.add_argument("--input", choices=("files", "bytes"), default="files")
    parser.add_argument("--kill", type=int, default=1, help="how many times a worker is killed")
    parser.add_argument("--stop", action="store_true", help="kill the process that labels once")
    parser.add_argument("--part-images", type=int, default=2500)
    asked = parser.parse_args()
    images, out = Path("images"), Path(f"labelled-{asked.input}").absolute()
    if not images.exists():
        make_images(images, asked.images)
    variant = {"image_processor": "pil", "threads_a_slot": 1, "input": asked.input, "sink": "parquet"}
    settings = {"model": "vit-tiny-seeded", "workers": [2], "spark": {"worker_cores": 1, "worker_memory_gb": 1},
                "define": {"variants": {"spark-onnxruntime": {"many": variant}}}}  # fmt: skip
    Path("many.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "snakemake", "classify", "--snakefile", str(ROOT / "Snakefile"), "--cores", "all",
               "--configfile", "many.yaml", "--config", "images=images", f"out={out.name}",
               "variant=spark-onnxruntime/many", f"part_images={asked.part_images}"]  # fmt: skip
    chance, told, ended = random.Random(SEED), [], threading.Event()
    kinds = [real.WORKER] * asked.kill + ["vitbench.classify.worker"] * asked.stop
    kills = [(chance.uniform(0.1, 0.9), kind) for kind in kinds]
    beside = threading.Thread(target=watch, args=(out, ended, kills, told))
    beside.start()
    begin, status = time.monotonic(), []
    try:
        while len(status) <= asked.stop and 0 not in status:
            status.append(subprocess.run(command).returncode)
    finally:
        ended.set()
        beside.join()
    print(f"ended with {status} after {time.monotonic() - begin:.0f} s; left: {tree.processes_of(out)}")
    wanted = {path.relative_to(images).as_posix() for path in images.rglob("*.jpg")}
    good = {name for name in wanted if " none" not in name}
    for what, given in (("labels", good), ("quarantine", wanted - good)):
        files = parquet.relation(sorted((out / what).glob("*.parquet")))
        found = [row[0] for row in duckdb.sql(f"select id from {files}").fetchall()]
        print(f"{what}: {len(found):,} rows, {len(given - set(found))} of {len(given):,} ids missing, "
              f"{len(found) - len(set(found))} twice, {len(set(found) - given)} that should not be there")  # fmt: skip
    print(
        "| memory, MB | median of the second quarter | median of the last quarter | most |\n| --- | --- | --- | --- |"
    )
    quarter = len(told) // 4
    for kind in KINDS.values():
        second, last = ([look[kind] for look in looks] for looks in (told[quarter : 2 * quarter], told[-quarter:]))
        most = max(look[kind] for look in told)
        print(f"| {kind} | {statistics.median(second):,.0f} | {statistics.median(last):,.0f} | {most:,} |")


if __name__ == "__main__":
    main()
