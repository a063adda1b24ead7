"""Checkpoints from a hub: a local server with cuts, wrong sizes, wrong hashes and refusals, and no network at all."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path

import hub_server
import pytest
from hub_server import COMMIT, HUB, NAME
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from vitbench.errors import UserError
from vitbench.inputs import hub

WANTED = {"config.json", "preprocessor_config.json", "model.safetensors"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """What a hub holds of a model: also weights in a pickle, code and a subfolder, none of which is to be fetched."""
    folder = tmp_path_factory.mktemp("hub") / "checkpoint"
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling.py").write_text("raise SystemExit('remote code ran')")
    (folder / "onnx").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "onnx" / "other.safetensors")
    return folder


@pytest.fixture
def served(checkpoint):
    with hub_server.serving(checkpoint) as server:
        yield server


@pytest.fixture
def fetch(tmp_path):
    """Fetch in a process with an empty cache, no proxy and no token."""
    return functools.partial(hub_server.fetch, tmp_path)


def fetched(done: subprocess.CompletedProcess) -> Path:
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


def refused(done: subprocess.CompletedProcess) -> str:
    """The one line of vitbench, which also says where the file may be put by hand."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitbench: ")]
    assert done.returncode == 1 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


def assert_same(folder: Path, checkpoint: Path) -> None:
    assert {path.name for path in folder.iterdir()} == WANTED
    for name in WANTED:
        assert (folder / name).read_bytes() == (checkpoint / name).read_bytes()


def test_a_checkpoint_is_fetched_into_the_cache_without_pickles_and_code(served, fetch, checkpoint, tmp_path):
    folder = fetched(fetch(served.address))
    assert_same(folder, checkpoint)
    assert folder.is_relative_to(tmp_path / "home")


def test_what_is_there_is_used_without_a_request(served, fetch, checkpoint):
    fetched(fetch(served.address))
    served.asked.clear()
    assert_same(fetched(fetch(served.address)), checkpoint)
    assert_same(fetched(fetch(served.address, HF_HUB_OFFLINE="1")), checkpoint)
    assert served.asked == []


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("model.safetensors", ["cut", "cut"]),
        ("model.safetensors", ["short"]),
        ("model.safetensors", ["other"]),
        ("config.json", ["other"]),
        ("config.json", ["cut"]),
        ("tree", [500, 429]),
        ("config.json", [500]),
        ("model.safetensors", [429, 503]),
    ],
)
def test_what_goes_wrong_once_is_tried_again(served, fetch, checkpoint, name, faults):
    served.faults[name] = list(faults)
    assert_same(fetched(fetch(served.address)), checkpoint)
    assert served.faults[name] == []


def test_a_cut_file_goes_on_where_it_was_cut(served, fetch, checkpoint):
    served.faults["model.safetensors"] = ["cut"]
    fetched(fetch(served.address))
    assert len([path for method, path in served.asked if method == "GET" and path.endswith("/model.safetensors")]) == 2


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("model.safetensors", "other", ("model.safetensors is not the file that the commit lists", "mirror")),
        ("model.safetensors", "short", ("not what it announced", "run again")),
        ("model.safetensors", "cut", ("model.safetensors",)),
        ("tree", 500, ("status 500", "HF_ENDPOINT")),
        ("tree", 429, ("status 429", "hf auth login")),
        ("tree", 403, ("status 403",)),
        ("model.safetensors", 500, ("status 500",)),
    ],
)
def test_what_goes_wrong_every_time_is_one_line_and_leaves_nothing(served, fetch, tmp_path, name, fault, words):
    served.faults[name] = [fault] * 1000
    line = refused(fetch(served.address))
    for word in (*words, HUB, str(tmp_path / "download")):
        assert word in line
    assert not list((tmp_path / "home").rglob("*.incomplete")) and not list((tmp_path / "home").rglob(f"{name}"))
    served.faults.clear()
    assert fetched(fetch(served.address)).is_dir()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"no/such@{COMMIT}", ("has no such model", "hf auth login")),
        (f"{NAME}@{COMMIT[::-1]}", ("has no such commit",)),
        (f"{NAME}@main", ("40 digits", "model_info")),
        (NAME, ("40 digits",)),
    ],
)
def test_a_name_that_is_not_there_is_told(served, fetch, name, words):
    line = refused(fetch(served.address, name))
    assert all(word in line for word in words), line


def test_a_file_that_the_model_lacks_is_named(checkpoint, fetch, tmp_path):
    pickled = tmp_path / "pickled"
    shutil.copytree(checkpoint, pickled)
    (pickled / "model.safetensors").unlink()
    with hub_server.serving(pickled) as server:
        assert "has no model.safetensors at the hub" in refused(fetch(server.address))


def test_without_a_network_the_places_are_told(fetch, tmp_path):
    line = refused(fetch("http://127.0.0.1:9"))
    for word in (
        str(tmp_path / "home"),
        "http://127.0.0.1:9",
        "HTTPS_PROXY",
        "model.safetensors",
        str(tmp_path / "download"),
    ):
        assert word in line
    line = refused(fetch("http://127.0.0.1:9", HF_HUB_OFFLINE="1"))
    assert "HF_HUB_OFFLINE" in line and str(tmp_path / "download") in line


def test_a_server_that_is_no_hub_is_told(fetch, tmp_path):
    (tmp_path / "empty").mkdir()
    with hub_server.serving(tmp_path / "empty") as server:
        assert NAME in refused(fetch(f"{server.address}/elsewhere"))


def test_files_put_there_by_hand_are_used_and_never_written_to(served, fetch, checkpoint, tmp_path):
    by_hand = tmp_path / "download"
    by_hand.mkdir()
    assert "has no config.json: put it there" in refused(fetch(served.address))
    for name in WANTED:
        shutil.copy(checkpoint / name, by_hand)
    before = {path: path.stat().st_mtime_ns for path in by_hand.iterdir()}
    assert fetched(fetch(served.address)) == by_hand
    assert served.asked == [] and {path: path.stat().st_mtime_ns for path in by_hand.iterdir()} == before


def test_a_damaged_cache_is_mended(served, fetch, checkpoint):
    weights = fetched(fetch(served.address)) / "model.safetensors"
    content = weights.read_bytes()
    weights.resolve().write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert_same(fetched(fetch(served.address)), checkpoint)


def test_weights_in_parts_are_complete_when_every_part_is_there(tmp_path):
    for name in ("config.json", "preprocessor_config.json", "model-1.safetensors"):
        (tmp_path / name).touch()
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert hub.missing(tmp_path) == ["model-2.safetensors"]
    (tmp_path / "model-2.safetensors").touch()
    assert hub.missing(tmp_path) == []
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert hub.missing(tmp_path) == ["usable model.safetensors.index.json"]


def test_a_proxy_is_gone_through(served, fetch, checkpoint):
    assert_same(fetched(fetch("http://hub.invalid", HTTP_PROXY=served.address)), checkpoint)
    assert served.asked and all(path.startswith("http://hub.invalid/") for _, path in served.asked)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """Key and certificate of an organisation that no system trusts."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_organisations_certificates_are_honoured(checkpoint, fetch, certificate, variable):
    with hub_server.serving(checkpoint, certificate) as server:
        assert_same(fetched(fetch(server.address, **{variable: f"{certificate}.crt"})), checkpoint)


def test_a_certificate_that_is_not_trusted_is_told(checkpoint, fetch, certificate):
    with hub_server.serving(checkpoint, certificate) as server:
        assert "SSL_CERT_FILE" in refused(fetch(server.address))


def test_a_branch_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(UserError, match="a branch moves"):
        hub.fetch(f"{NAME}@main", tmp_path)
