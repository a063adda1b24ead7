"""Labelling with real engines: no kill loses an image or labels one twice; by Snakemake, and inside Spark, too."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
import tree

from vitbench.inputs import contents, parquet, photographs

GOOD, BAD, PART = 240, 5, 20
KILLS, MOST_SECONDS = 10, 15
SEED = 7
MODEL, VARIANT = "vit-tiny-seeded", "huggingface/pipeline"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A working directory with photographs, and files between them that are none."""
    folder = tmp_path_factory.mktemp("labelling") / "a job"
    (folder / "images").mkdir(parents=True)
    for number, crop in enumerate(photographs.crops(GOOD, SEED, "heldout")):
        (folder / "images" / f"{number:03d}.jpg").write_bytes(crop.jpeg)
    for number in range(BAD):
        (folder / "images" / f"{number * GOOD // BAD:03d} no image.jpg").write_bytes(b"no image")
    return folder


def command(place: Path, out: str, *more: str) -> list[str]:
    script = str(tree.ROOT / "scripts" / "classify_images.py")
    options = ["--images", "images", "--out", out, "--model", MODEL, "--part-images", str(PART), *more]
    return [sys.executable, script, *options]


def run(place: Path, out: str, *more: str) -> str:
    done = subprocess.run(command(place, out, *more), cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def rows(out: Path, what: str = "labels") -> list[tuple[str, str]]:
    files = sorted((out / what).glob("*.parquet"))
    return duckdb.sql(f"select * from {parquet.relation(files)} order by id").fetchall()


@pytest.fixture(scope="module")
def undisturbed(place) -> dict[str, str]:
    """id → label of a run that nobody disturbed."""
    said = run(place, "undisturbed", "--variant", VARIANT)
    assert f"{GOOD} of {GOOD + BAD} images are labelled, each once" in said
    assert len(rows(place / "undisturbed", "quarantine")) == BAD
    labels = {row[0]: row[1] for row in rows(place / "undisturbed")}
    assert len(labels) == GOOD and len(set(labels.values())) > 3
    return labels


@pytest.mark.long
def test_ten_kills_at_random_moments_lose_nothing_and_label_nothing_twice(place, undisturbed):
    moments, kills = random.Random(SEED), 0
    out = place / "killed"
    done: dict[Path, int] = {}
    begin = command(place, "killed", "--variant", VARIANT)
    while kills < KILLS:
        child = subprocess.Popen(begin, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.2, MOST_SECONDS))
        if child.poll() is not None:
            assert child.returncode == 0
            break
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        kills += 1
        end = time.monotonic() + 300
        while tree.processes_of(out) or (out / ".work").exists():
            assert time.monotonic() < end, "something of the killed job is left"
            time.sleep(0.2)
        now = {path: path.stat().st_mtime_ns for path in (out / "labels").glob("part-*.parquet")}
        assert done.items() <= now.items()
        done = now
    assert kills >= 3, "hardly anything was killed"
    run(place, "killed", "--variant", VARIANT)
    found = rows(out)
    assert len(found) == GOOD and {row[0]: row[1] for row in found} == undisturbed
    assert [row[0] for row in rows(out, "quarantine")] == sorted(
        f"{number * GOOD // BAD:03d} no image.jpg" for number in range(BAD)
    )
    assert json.loads((out / "summary.json").read_text())["labelled"] == GOOD


@pytest.mark.long
def test_the_files_and_their_contents_in_parquet_get_the_same_labels(place, undisturbed):
    images = [(path.name, path.read_bytes()) for path in sorted((place / "images").iterdir())]
    parquet.write(place / "images.parquet", contents.COLUMNS, images)
    run(place, "packed", "--variant", VARIANT, "--images", "images.parquet")
    assert {row[0]: row[1] for row in rows(place / "packed")} == undisturbed


@pytest.mark.long
def test_snakemake_makes_what_a_variant_needs_and_labels_with_it(place, undisturbed):
    """In a working directory of its own, where nothing is made yet."""
    folder = place / "by snakemake"
    folder.mkdir()
    shutil.copytree(place / "images", folder / "images")
    settings = ["images=images", f"model={MODEL}", "variant=onnxruntime/float32", "out=labelled", f"part_images={PART}"]
    said = tree.smoke(folder, "classify", "--cores", "all", "--config", *settings)
    assert "onnxruntime/float32" in said and f"{GOOD} of {GOOD + BAD} images" in said
    assert {row[0]: row[1] for row in rows(folder / "labelled")} == undisturbed
    # Begun again, it only counts.
    before = {path: path.stat().st_mtime_ns for path in (folder / "labelled/labels").iterdir()}
    tree.smoke(folder, "classify", "--cores", "all", "--config", *settings)
    assert {path: path.stat().st_mtime_ns for path in (folder / "labelled/labels").iterdir()} == before
    assert not (folder / "measurements").exists()


@pytest.mark.long
@pytest.mark.jvm
def test_a_job_inside_spark_takes_bytes_and_writes_parquet(place, undisturbed):
    folder = place / "in spark"
    folder.mkdir()
    (folder / "more.yaml").write_text(
        "define: {variants: {spark-onnxruntime: {scale: {image_processor: pil, threads_a_slot: 1, input: bytes,"
        " sink: parquet}}}}\n"
    )
    settings = ["images=../images", f"model={MODEL}", "variant=spark-onnxruntime/scale", f"part_images={PART * 3}"]
    tree.smoke(folder, "classify", "--cores", "all", "--config", *settings)
    found = rows(folder / "classified")
    assert {row[0]: row[1] for row in found} == undisturbed
    assert all("in Spark's tasks" in row[5] for row in found)
