"""Both frameworks on a folder of mixed images, bad ones among them, without a network."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys

import pytest
import yaml
from PIL import Image as Pillow
from tree import ROOT

from vitbench import datasets, photographs, tables

pytestmark = pytest.mark.long
IMAGES = 48
BAD = {"empty.jpg": b"", "text.png": b"no image", "cut.jpg": None}


def encode(image: Pillow.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def rotated(image: Pillow.Image) -> bytes:
    """Lying on its side, with the EXIF entry that sets it upright."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return encode(image.transpose(Pillow.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def transparent(image: Pillow.Image) -> bytes:
    image = image.convert("RGBA")
    image.putalpha(Pillow.new("L", image.size, 255))
    return encode(image, "PNG")


FORMS = {
    ".jpg": lambda image: encode(image, "JPEG", quality=90),
    ".JPEG": lambda image: encode(image, "JPEG", quality=90, progressive=True),
    ".rotated.jpg": rotated,
    ".cmyk.jpg": lambda image: encode(image.convert("CMYK"), "JPEG", quality=95),
    ".png": lambda image: encode(image, "PNG"),
    ".transparent.png": transparent,
    ".webp": lambda image: encode(image, "WEBP", quality=95),
    ".bmp": lambda image: encode(image, "BMP"),
}


@pytest.fixture(scope="module")
def run(smoke, tmp_path_factory):
    """A finished run: `raw` files as sample, the same for all as full; the network was cut, but for this machine."""
    if shutil.which("unshare") is None:
        pytest.skip("no way to cut the network here")
    folder = tmp_path_factory.mktemp("own") / "a run"
    photographs_ = folder / 'my "photos", 1'
    for number, crop in enumerate(photographs.crops(IMAGES, 1, "heldout")):
        ending = list(FORMS)[number % len(FORMS)]
        place = photographs_ / crop.label
        place.mkdir(parents=True, exist_ok=True)
        with Pillow.open(io.BytesIO(crop.jpeg)) as image:
            image.load()
        (place / f"{number} é,\n{ending}").write_bytes(FORMS[ending](image))
    for name, content in BAD.items():
        (photographs_ / name).write_bytes(crop.jpeg[:5000] if content is None else content)
    (folder / "resources" / "datasets").mkdir(parents=True)
    for part in ("models", "jars", "environments"):
        (folder / "resources" / part).symlink_to(smoke / "resources" / part)
    definition = {"kind": "folder", "folder": str(photographs_)}
    config = {
        "define": {"datasets": {"mixed": definition, "mixed-raw": definition | {"feed": "raw"}}},
        "datasets": {"sample": "mixed-raw", "full": "mixed"},
        "frameworks": ["huggingface/pipeline", "sparknlp/tensorflow"],
        "batch_sizes": [4],
        "control": False,
        "profile": False,
        # So small a model takes one of 48 for another where the frameworks' ways of resizing differ.
        "parity": {"agreement": 0.95},
    }
    (folder / "more.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config" / "smoke.yaml", "more.yaml"]
    alone = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return folder


def test_everything_was_measured_without_a_network(run):
    runs = tables.read(run / "results/runs.csv")
    assert len(runs) == 4 and (runs.status == "ok").all() and (runs.images == IMAGES).all()
    assert (runs.accuracy[runs.dataset == "full"] > 0.9).all()


def test_what_is_fed_to_all_alike_is_labelled_alike(run):
    parity = tables.read(run / "results/parity.csv")
    full = parity[parity.dataset == "full"].iloc[0]
    assert full.passed and full.compared == IMAGES and full.lost == ""


def test_of_raw_images_parity_says_which_forms_differ(run):
    parity = tables.read(run / "results/parity.csv")
    raw = parity[parity.dataset == "sample"].iloc[0]
    assert "CMYK" in raw.differing or "rotated" in raw.differing
    assert "of 12 JPEG;" not in raw.differing + ";", "plain ones are the same"


def test_bad_files_are_listed_with_their_reason_and_counted_where_people_look(run):
    for manifest in run.glob("resources/datasets/*/manifest.csv"):
        bad = {image.source: image.reason for image in datasets.read_manifest(manifest) if not image.valid}
        assert bad.keys() == BAD.keys() and all(bad.values())
    images = tables.read(run / "results/images.csv")
    assert images[~images.used].images.sum() == 2 * len(BAD)
    assert (
        "Left out: 3 files of sample, 3 files of full (results/images.csv)."
        in (run / "results/summary.txt").read_text()
    )
