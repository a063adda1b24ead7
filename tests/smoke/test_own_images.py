"""Both frameworks on a folder of mixed images, bad ones among them, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys

import mixed_images
import pytest
import yaml
from tree import ROOT

from vitbench import tables
from vitbench.inputs import datasets

pytestmark = pytest.mark.long
IMAGES = 520


@pytest.fixture(scope="module")
def finished(smoke, tmp_path_factory):
    """A finished run: `raw` files as sample, the same for all as full; the network was cut, but for this machine."""
    if shutil.which("unshare") is None:
        pytest.skip("no way to cut the network here")
    folder = tmp_path_factory.mktemp("own") / "a run"
    photographs = folder / 'my "photos", 1'
    bad = mixed_images.plant(photographs, IMAGES)
    (folder / "resources" / "datasets").mkdir(parents=True)
    for part in ("models", "jars", "environments"):
        (folder / "resources" / part).symlink_to(smoke / "resources" / part)
    definition = {"kind": "folder", "folder": str(photographs)}
    config = {
        "define": {"datasets": {"mixed": definition, "mixed-raw": definition | {"feed": "raw"}}},
        "datasets": {"sample": "mixed-raw", "full": "mixed"},
        "frameworks": ["huggingface/pipeline", "sparknlp/tensorflow"],
        "batch_sizes": [4],
        "control": False,
        "profile": False,
    }
    (folder / "more.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config" / "smoke.yaml", "more.yaml"]
    alone = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return folder, bad


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


def test_everything_was_measured_without_a_network(run):
    runs = tables.read(run / "results/runs.csv")
    assert len(runs) == 4 and (runs.status == "ok").all() and (runs.images == IMAGES).all()
    # Grey photographs look like no other to a model that was fitted on coloured ones.
    assert (runs.accuracy[runs.dataset == "full"] > 0.8).all()


def test_what_is_fed_to_all_alike_is_labelled_alike(run):
    parity = tables.read(run / "results/parity.csv")
    full = parity[parity.dataset == "full"].iloc[0]
    assert full.passed and full.agreement >= 0.99 and full.compared == IMAGES and full.lost == ""


def test_of_raw_images_parity_says_which_forms_differ(run):
    parity = tables.read(run / "results/parity.csv")
    raw = parity[parity.dataset == "sample"].iloc[0]
    assert "CMYK" in raw.differing or "rotated" in raw.differing
    assert f"of {2 * IMAGES // len(mixed_images.FORMS)} JPEG;" not in raw.differing + ";", "plain ones are the same"


def test_bad_files_are_listed_with_their_reason_and_counted_where_people_look(finished):
    run, planted = finished
    for manifest in run.glob("resources/datasets/*/manifest.csv"):
        bad = {image.source: image.reason for image in datasets.read_manifest(manifest) if not image.valid}
        assert bad.keys() == planted and all(bad.values())
    images = tables.read(run / "results/images.csv")
    assert images[~images.used].images.sum() == 2 * len(planted)
    assert (
        f"Left out: {len(planted)} files of sample, {len(planted)} files of full (results/images.csv)."
        in (run / "results/summary.txt").read_text()
    )
