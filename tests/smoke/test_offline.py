"""Without a network: with everything present nobody even asks for it; with something missing, one line says what."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tree

from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

# In a network of its own that consists of the loopback interface, the kernel counts who wanted to go further: packets
# without a route, and questions to a name server on this machine that nobody answers.
COUNTED = """
import subprocess, sys
def count():
    lines = [line.split() for line in open("/proc/net/snmp")]
    four = {names[0] + name: int(value) for names, values in zip(lines[::2], lines[1::2])
            for name, value in zip(names[1:], values[1:])}
    six = dict(line.split() for line in open("/proc/net/snmp6"))
    return four["Ip:OutNoRoutes"] + four["Udp:NoPorts"] + int(six["Ip6OutNoRoutes"]) + int(six["Udp6NoPorts"])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
before = count()
status = subprocess.run(sys.argv[1:]).returncode
print("asked the network", count() - before, "times")
sys.exit(status)
"""
# Variables of a process that does not wait long between two tries.
STARTUP = {"PYTHONPATH": str(tree.ROOT / "tests" / "startup")}
CUT_OFF = ["unshare", "--map-root-user", "--net", sys.executable, "-c", COUNTED]

pytestmark = pytest.mark.skipif(
    subprocess.run([*CUT_OFF, "true"], capture_output=True).returncode != 0,
    reason="this system lets nobody make a network of their own (unshare, ip)",
)


def snakemake(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """The smoke configuration's workflow in `folder`, without a network and without anybody's settings of one."""
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | variables
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(tree.ROOT / "Snakefile"), *arguments]
    more = [str(path) for path in folder.glob("more.yaml")]
    return subprocess.run(
        [*CUT_OFF, *command, "--configfile", str(tree.ROOT / "config" / "smoke.yaml"), *more],
        cwd=folder, env=clean, capture_output=True, text=True,
    )  # fmt: skip


def test_the_counter_counts(tmp_path):
    ask = "import socket\ntry: socket.create_connection(('192.0.2.1', 80))\nexcept OSError: pass"
    done = subprocess.run([*CUT_OFF, sys.executable, "-c", ask], capture_output=True, text=True)
    assert "asked the network 1 times" in done.stdout


def test_what_the_machine_can_do_is_measured_without_asking_anybody(smoke, tmp_path):
    """ONNX Runtime would report its use from native threads, which no setting of Python's shows.

    It does so after some seconds: with products of a moment only, nobody is asked, telemetry or not.
    """
    measure = [sys.executable, str(tree.ROOT / "scripts/measure_peak.py"), "--config", "results/provenance/config.yaml"]
    command = [*CUT_OFF, *measure, "--threads", "1", "--out", str(tmp_path / "peak.json")]
    done = subprocess.run(command, cwd=smoke, capture_output=True, text=True)
    assert done.returncode == 0 and "asked the network 0 times" in done.stdout, done.stdout + done.stderr


@pytest.mark.long
def test_with_everything_present_no_request_is_made(smoke, tmp_path):
    """From data set and checkpoint to the report: only what was downloaded is taken over."""
    folder = tmp_path / "cut off"
    (folder / "resources").mkdir(parents=True)
    for part in ("jars", "environments"):
        (folder / "resources" / part).symlink_to(smoke / "resources" / part)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (folder / "reports" / "speedup.png").exists()
    assert "asked the network 0 times" in done.stdout


def test_a_missing_jar_is_one_line_with_its_place(smoke, tmp_path, monkeypatch):
    monkeypatch.setenv("M2_REPO", str(tmp_path / "no repository"))
    done = snakemake(tmp_path, "resources/jars/onnx-cpu", **STARTUP)
    lines = [line for line in done.stdout.splitlines() + done.stderr.splitlines() if "vitbench: cannot" in line]
    assert done.returncode == 1 and len(set(lines)) == 1, done.stderr[-3000:]
    assert ".jar" in lines[0] and str(tmp_path / "no repository") in lines[0] and "put the file at" in lines[0]


def test_a_missing_model_of_the_hub_is_one_line_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no cache"))
    (tmp_path / "more.yaml").write_text("model: vit-base-patch16-224\nframeworks: [huggingface/pipeline]\n")
    done = snakemake(tmp_path, "prepare", **STARTUP)
    lines = [line for line in done.stdout.splitlines() + done.stderr.splitlines() if "vitbench: model google" in line]
    assert done.returncode == 1 and len(set(lines)) == 1, done.stderr[-3000:]
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
    done = snakemake(folder, target)
    lines = [line for line in done.stdout.splitlines() + done.stderr.splitlines() if "John Snow Labs' hub (" in line]
    assert done.returncode == 1 and len(set(lines)) == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert target in lines[0] and "unpack" in lines[0]
