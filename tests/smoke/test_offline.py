"""Without a network: with everything present nobody even asks for it; with something missing, one line says what."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tree
from network import CUT_OFF, NOBODY_ASKED, may_be_cut

from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

# Variables of a process that does not wait long between two tries.
STARTUP = {"PYTHONPATH": str(tree.ROOT / "tests" / "startup")}
pytestmark = pytest.mark.skipif(
    not may_be_cut(), reason="this system lets nobody make a network of their own (unshare, ip)"
)


def snakemake(folder: Path, target: str) -> list[str]:
    """The lines that the smoke configuration's workflow in `folder` says, which fails for want of a network."""
    return tree.smoke(folder, target, fails=True, before=CUT_OFF, **STARTUP).splitlines()


def test_the_counter_counts(tmp_path):
    ask = "import socket\ntry: socket.create_connection(('192.0.2.1', 80))\nexcept OSError: pass"
    done = subprocess.run([*CUT_OFF, sys.executable, "-c", ask], capture_output=True, text=True)
    assert "asked the network 1 times" in done.stdout


def test_nothing_that_measures_or_draws_asks_anybody(smoke):
    """ONNX Runtime would report its use from native threads, which no setting of Python's shows.

    It does so after some seconds, as the measuring of what the machine can do takes them.
    """
    said = (smoke / "output.txt").read_text()
    assert "measuring what this machine can do at most" in said and NOBODY_ASKED in said


@pytest.mark.long
def test_with_everything_present_no_request_is_made(smoke, tmp_path):
    """From data set and checkpoint to the report: only what was downloaded is taken over."""
    folder = tmp_path / "cut off"
    (folder / "resources").mkdir(parents=True)
    for part in ("jars", "environments"):
        (folder / "resources" / part).symlink_to(smoke / "resources" / part)
    said = tree.smoke(folder, before=CUT_OFF)
    assert (folder / "reports" / "speedup.png").exists()
    assert NOBODY_ASKED in said


def test_a_missing_jar_is_one_line_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("M2_REPO", str(tmp_path / "no repository"))
    lines = [line for line in snakemake(tmp_path, "resources/jars/onnx-cpu") if "vitbench: cannot" in line]
    assert len(set(lines)) == 1, lines
    assert ".jar" in lines[0] and str(tmp_path / "no repository") in lines[0] and "put the file at" in lines[0]


def test_a_missing_model_of_the_hub_is_one_line_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no cache"))
    (tmp_path / "more.yaml").write_text("model: vit-base-patch16-224\nframeworks: [huggingface/pipeline]\n")
    target = f"resources/models/{Grid(load(tmp_path / 'more.yaml')).model.slug}/checkpoint"
    lines = [line for line in snakemake(tmp_path, target) if "vitbench: model google" in line]
    assert len(set(lines)) == 1, lines
    for word in ("model.safetensors", "no cache", "cannot be reached", "/download"):
        assert word in lines[0]


@pytest.mark.long
def test_john_snow_labs_hub_out_of_reach_is_one_line(smoke, tmp_path):
    folder = tmp_path / "pretrained"
    (folder / "resources").mkdir(parents=True)
    shutil.copytree(smoke / "resources" / "jars", folder / "resources" / "jars")
    (folder / "more.yaml").write_text(
        "model: vit-base-patch16-224\nframeworks: [huggingface/pipeline, sparknlp/pretrained]\n"
    )
    ready = "sparknlp-pretrained-image_classifier_vit_base_patch16_224"
    target = f"resources/models/{Grid(load(folder / 'more.yaml')).model.slug}/{ready}"
    lines = [line for line in snakemake(folder, target) if "John Snow Labs' hub (" in line]
    assert len(set(lines)) == 1, lines
    assert target in lines[0] and "unpack" in lines[0]
