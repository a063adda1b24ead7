"""Packages beside the environment: whole or not at all, of the lock that is there, and nothing that it has already."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import lock
import planted
import pytest

from vitbench.errors import UserError
from vitbench.files import sha256
from vitbench.inputs import packages
from vitbench.measure import repeat
from vitbench.plan import estimate
from vitbench.plan.grid import Grid
from vitbench.records import peak_file

ENVS = Path(lock.__file__).parents[1] / "envs"
OPENVINO = {"frameworks": ["huggingface/pipeline", "openvino/float32"], "baseline": "huggingface/pipeline"}


def wheel(folder: Path, name: str) -> Path:
    """A wheel with one module that says which version it is."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "version = '1.0'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return path


@pytest.fixture
def locked(tmp_path, monkeypatch) -> Path:
    """A lock of one package, whose wheel lies in a folder; no registry is asked."""
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    path = tmp_path / "extra.txt"
    path.write_text(f"beside-us==1.0 \\\n    --hash=sha256:{sha256(wheel(tmp_path, 'beside_us'))}\n")
    return path


def test_a_lock_is_installed_and_imported_after_what_is_there(locked, tmp_path):
    folder = tmp_path / "a folder" / "extra"
    packages.install(locked, folder)
    packages.verify(locked, folder)
    code = f"from vitbench.inputs import packages; packages.use({str(folder)!r}); import sys, beside_us, json; "
    code += f"print(beside_us.version, sys.path[-1] == {str(folder)!r}, json.__file__)"
    there = {"PYTHONPATH": str(Path(lock.__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True)
    assert done.stdout.split()[:2] == ["1.0", "True"], done.stderr


def test_a_wheel_that_was_not_locked_is_refused_and_leaves_nothing(locked, tmp_path):
    locked.write_text(f"beside-us==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(UserError, match=r"extra\.txt cannot be installed"):
        packages.install(locked, tmp_path / "extra")
    assert not (tmp_path / "extra").exists() and not list(tmp_path.glob(".extra*"))


def test_a_folder_of_another_lock_or_of_none_is_named(locked, tmp_path):
    folder = tmp_path / "extra"
    with pytest.raises(UserError, match="missing: make them with `snakemake prepare`"):
        packages.verify(locked, folder)
    packages.install(locked, folder)
    locked.write_text(locked.read_text() + "# another\n")
    with pytest.raises(UserError, match="was not made of .*extra.txt"):
        packages.verify(locked, folder)
    (folder / packages.STAMP).unlink()
    with pytest.raises(UserError, match="was not made of"):
        packages.verify(locked, folder)


@pytest.mark.parametrize("name", lock.beside(ENVS.parent))
def test_what_is_locked_beside_the_environment_is_not_in_it(name):
    """Or the record's versions, which are the environment's, would not be those that were imported."""
    beside, default = (lock.names((ENVS / f"{each}.txt").read_text()) for each in (name, "default"))
    assert beside and not beside & default and not beside & set(lock.beside(ENVS.parent)[name]["without"])


def test_a_lock_beside_leaves_out_what_the_default_one_has_and_what_it_is_to_be_without(tmp_path):
    default = "numpy==2.0 \\\n    --hash=sha256:0\ntorch==3.0 ; sys_platform == 'linux'\n"
    constraint, file, *rest = lock._beside(["telemetry"], tmp_path, default)
    assert constraint == "-c" and Path(file).read_text() == default
    assert set(rest) == {f"--no-emit-package={name}" for name in ("numpy", "torch", "telemetry")}


def test_only_the_variants_that_need_packages_have_them_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    without, with_them = Grid(planted.CONFIG, "linux-x86_64"), Grid(planted.CONFIG | OPENVINO, "linux-x86_64")
    assert {without.packages(cell) for cell in without.cells} == {None}
    folders = {cell.framework: with_them.packages(cell) for cell in with_them.cells}
    assert folders["huggingface"] is None and folders["openvino"].as_posix() == "resources/environments/openvino"
    monkeypatch.setattr(estimate, "platform_name", lambda: "linux-x86_64")
    before = estimate.to_prepare(with_them)[1]
    Path(folders["openvino"]).mkdir(parents=True)
    assert before - estimate.to_prepare(with_them)[1] > 10e6


def test_what_the_machine_can_do_is_measured_again_with_libraries_that_the_file_says_nothing_of():
    without, with_them = Grid(planted.CONFIG, "linux-x86_64"), Grid(planted.CONFIG | OPENVINO, "linux-x86_64")
    assert (without.peak.name, with_them.peak.name) == ("peak.json", "peak+openvino.json")
    assert without.peak.parent == with_them.peak.parent and peak_file.is_peak(str(with_them.peak))
    assert not peak_file.is_peak(str(with_them.record(with_them.cells[0], 0)))


def test_a_repeat_is_refused_without_its_packages_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = Grid(planted.CONFIG | OPENVINO, "linux-x86_64")
    cell = next(cell for cell in grid.cells if cell.framework == "openvino")
    with pytest.raises(UserError, match="environments/openvino are missing"):
        repeat._packages(grid, cell)
    assert repeat._packages(grid, grid.find("sample", "huggingface/pipeline/cpu/w1/bs8")) == (None, None)
