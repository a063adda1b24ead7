"""The Makefile in a copied tree whose path holds spaces: interpreter, installation, options, locks of killed runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import install
import pytest
import unlock
from snakemake.cli import parse_config

from vitbench.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys._base_executable  # what .venv was made with
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "PYTHON", "VITBENCH_PHOTOS")
WRONG = "vitbench needs Python 3.11, found 3.12.1 ({python}); point to one with: make PYTHON=/path/to/python3.11".format


@pytest.fixture
def tree(tmp_path):
    """What `make` needs of the checkout, in a folder with spaces; its lock asks for two small packages.

    So it asks for little room on the disk: what `make` says here does not depend on how full this machine is.
    """
    root = tmp_path / "a checkout; with spaces"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "envs").mkdir()
    for name in ("Makefile", "envs/uv.txt"):
        shutil.copy(ROOT / name, root / name)
    (root / "envs" / "downloads.json").write_text("{}")
    write_small_lock(root, "xlsxwriter")
    return root


def write_small_lock(root, *packages):
    """A lock of some packages without dependencies, cut out of the real one, and of uv."""
    blocks = (ROOT / "envs" / "default.txt").read_text().split("\n")
    lines, keep = [], False
    for line in blocks:
        if not line.startswith((" ", "#")):
            keep = line.split("==")[0] in packages
        lines += [line] if keep else []
    assert len(lines) >= 2 * len(packages)
    (root / "envs" / "default.txt").write_text("\n".join(lines) + "\n" + (root / "envs" / "uv.txt").read_text())


def script(path, text):
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(root, *arguments, **environment):
    """Run make in `root` as a user would, who has not called these tests through make as we have."""
    clean = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return subprocess.run(["make", *arguments], cwd=root, env=clean | environment, capture_output=True, text=True)


def said(answer):
    """Lines on standard error, without make's own."""
    return [line for line in answer.stderr.splitlines() if not line.startswith("make: ")]


@pytest.fixture
def python_3_12(tmp_path):
    """The Python at hand, which says of itself that it is 3.12.1."""
    folder = tmp_path / "pretend"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 12, 1, 'final', 0)\n")
    return script(tmp_path / "bin" / "python3.12", f'PYTHONPATH="{folder}" exec "{PYTHON}" "$@"')


@pytest.mark.parametrize("target", ["all", "install", "test"])
def test_another_python_gets_one_line_before_anything_is_installed(tree, python_3_12, target):
    answer = make(tree, target, f"PYTHON={python_3_12}")
    assert answer.returncode != 0
    assert said(answer) == [WRONG(python=python_3_12)]
    assert answer.stdout == ""
    assert not (tree / ".venv").exists()


def test_all_problems_are_told_at_once_each_in_a_line(tree, python_3_12):
    for target, table in (("all", False), ("doctor", True)):
        answer = make(tree, target, f"PYTHON={python_3_12}", JAVA_HOME="/nowhere")
        assert answer.returncode != 0
        assert said(answer) == [
            WRONG(python=python_3_12),
            "vitbench: JAVA_HOME=/nowhere holds no working bin/java: correct it, or unset it",
        ]
        assert ("Memory" in answer.stdout) == table


def test_a_missing_interpreter_gets_one_line(tree):
    answer = make(tree, "PYTHON=/nowhere/python3.11")
    assert answer.returncode != 0
    assert len(said(answer)) == 1
    assert "found no Python that runs as /nowhere/python3.11" in said(answer)[0]


def test_a_python_too_old_for_the_doctor_gets_one_line(tree, tmp_path):
    old = script(
        tmp_path / "python2",
        f'shift; exec "{PYTHON}" -c "import sys; sys.version_info = (2, 7, 18); exec(sys.argv.pop(1))" "$@"',
    )
    answer = make(tree, f"PYTHON={old}")
    assert said(answer) == [WRONG(python=old).replace("3.12.1", "2.7.18")]


def test_the_right_python_is_found_among_wrong_ones(tree, tmp_path, python_3_12):
    for name in ("python3.11", "python3"):
        script(tmp_path / "path" / name, f'exec "{python_3_12}" "$@"')
    script(tmp_path / "path" / "python", f'exec "{PYTHON}" "$@"')
    answer = make(tree, "-n", PATH=f"{tmp_path / 'path'}:/usr/bin:/bin")
    assert '"python" scripts/install.py' in answer.stdout


def test_dry_make_shows_the_steps_and_does_none(tree):
    answer = make(tree, "-n")
    assert answer.returncode == 0, answer.stderr
    steps = ["scripts/doctor.py", "scripts/install.py", "scripts/unlock.py", "-m snakemake --cores all"]
    places = [answer.stdout.index(step) for step in steps]
    assert places == sorted(places)
    assert not (tree / ".venv").exists()


def test_install_once_and_again_after_a_failure_a_new_lock_and_a_move(tree, capfd):
    lock, python, mark = tree / "envs" / "uv.txt", tree / ".venv" / "bin" / "python", tree / ".venv" / "mark"
    right = lock.read_text()
    lock.write_text(right.replace("--hash=sha256:", "--hash=sha256:00000000"))
    answer = make(tree, "install", f"PYTHON={PYTHON}")
    assert answer.returncode != 0
    assert said(answer)[-1].startswith("vitbench: fetching uv failed (status ")
    assert "Traceback" not in answer.stderr
    assert not list(tree.glob(".venv/*")) and not list(tree.glob(".venv.building*"))

    lock.write_text(right)
    mark.parent.mkdir()
    mark.touch()
    answer = make(tree, "install", f"PYTHON={PYTHON}")
    assert answer.returncode == 0, answer.stderr
    assert not mark.exists()  # nothing of an environment without a stamp is trusted
    assert installed(python) >= {"xlsxwriter", "uv", "pip"}

    mark.touch()
    answer = make(tree, "install")  # finds the interpreter, whatever it was called
    assert answer.returncode == 0, answer.stderr
    assert "making .venv" not in answer.stdout
    assert "installing" not in answer.stdout
    assert install.install(tree) is False

    right = (tree / "envs" / "default.txt").read_text()
    (tree / "envs" / "default.txt").write_text(right.replace("--hash=sha256:", "--hash=sha256:00000000"))
    with pytest.raises(UserError, match="installing envs/default.txt failed"):
        install.install(tree)
    assert mark.exists()  # what was there stands until the new one is whole
    (tree / "envs" / "default.txt").write_text(right)
    assert install.install(tree) is False

    write_small_lock(tree, "xlsxwriter", "threadpoolctl")
    assert install.install(tree) is True
    assert "the locks have changed" in capfd.readouterr().out
    assert not mark.exists() and "threadpoolctl" in installed(python)

    moved = tree.rename(tree.with_name("moved to here"))
    assert install.install(moved) is True
    assert "was made elsewhere" in capfd.readouterr().out
    uv = moved / ".venv" / "bin" / "uv"
    assert subprocess.run([uv, "--version"], capture_output=True).returncode == 0

    (moved / ".venv" / "vitbench-installed.txt").unlink()
    activated = f"{moved / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    answer = make(moved, "install", PATH=activated)  # is run by the very environment that it takes away
    assert answer.returncode == 0, answer.stderr
    assert "making it anew" in answer.stdout and "xlsxwriter" in installed(moved / ".venv" / "bin" / "python")


def test_the_environment_of_another_checkout_is_left_as_it_is(tree):
    other = tree / "other checkout" / ".venv"
    other.mkdir(parents=True)
    (other / "vitbench-installed.txt").write_text("another folder\n")
    (tree / ".venv").symlink_to(other)
    assert install.install(tree) is True
    assert not (tree / ".venv").is_symlink() and "xlsxwriter" in installed(tree / ".venv" / "bin" / "python")
    assert (other / "vitbench-installed.txt").read_text() == "another folder\n"


def installed(python):
    """Names of the packages in an environment."""
    code = "import importlib.metadata as m; print(*{d.metadata['Name'].lower() for d in m.distributions()})"
    return set(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_uv_is_given_the_mirror_that_pip_is_set_up_for(monkeypatch):
    for name in install.UV_SETTINGS.values():
        monkeypatch.delenv(name, raising=False)
    config = "global.index-url='mirror/simple'\n:env:.extra-index-url='one\\ntwo'\nglobal.timeout='60'\n"
    assert install.uv_settings(config) == {"UV_DEFAULT_INDEX": "mirror/simple", "UV_INDEX": "one two"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "mine")
    assert install.uv_settings(config) == {"UV_INDEX": "one two"}


@pytest.fixture
def recorder(tree):
    """An installed tree whose Python writes its arguments and PATH to `called.jsonl` instead of running."""
    code = (
        "import json, os, sys; "
        "print(json.dumps([os.environ['PATH'].split(':')[0], *sys.argv[1:]]), file=open('called.jsonl', 'a'))"
    )
    prefix = '[ "$1" != -c ] || exec dirname "$(dirname "$0")"'  # what it is asked for before anything else
    script(tree / ".venv" / "bin" / "python", f'{prefix}\nexec "{PYTHON}" -c "{code}" "$@"')
    (tree / ".venv" / "vitbench-installed.txt").write_text(install.stamp_text(tree))

    def run(*arguments, **environment):
        answer = make(tree, f"PYTHON={PYTHON}", *arguments, **environment)
        assert answer.returncode == 0, answer.stderr
        return [json.loads(line) for line in (tree / "called.jsonl").read_text().splitlines()]

    return run


def test_make_unlocks_then_runs_snakemake_in_the_environment(tree, recorder):
    unlocking, running = recorder("ARGS=--dry-run --quiet")
    assert unlocking[1:] == ["scripts/unlock.py"]
    assert running == [str(tree / ".venv" / "bin"), *["-m", "snakemake", "--cores", "all", "--dry-run", "--quiet"]]


@pytest.mark.parametrize(("target", "repeats"), [("quick", 3), ("standard", 5), ("rigorous", 10)])
def test_stages_set_the_repeats(recorder, target, repeats):
    assert recorder(target)[-1][-2:] == ["--config", f"repeats={repeats}"]


@pytest.mark.parametrize("name", ["My Pictures", 'it\'s "$HOME" #1: new', "2024", "a $(touch pwned) `touch pwned`"])
def test_photos_reach_snakemake_as_typed(tree, recorder, tmp_path, name):
    (tmp_path / name).mkdir()
    arguments = recorder("standard", f"photos=~/{name}", HOME=str(tmp_path))[-1]
    given = arguments[arguments.index("--config") + 1 :]
    assert parse_config(given) == {"repeats": 5, "photos": str(tmp_path / name)}
    assert not list(tmp_path.rglob("pwned")) and not list(tree.rglob("pwned"))


def test_relative_photos_are_made_absolute(tree, recorder):
    (tree / "my photos").mkdir()
    assert parse_config(recorder("photos=my photos")[-1][-1:]) == {"photos": str(tree / "my photos")}


def test_photos_that_are_not_there_get_one_line(tree):
    answer = make(tree, f"PYTHON={PYTHON}", "photos=~/none of these", HOME=str(tree))
    assert answer.returncode != 0
    assert said(answer) == ["vitbench: no folder photos=~/none of these"]
    assert not (tree / ".venv").exists()


def test_smoke_keeps_to_its_own_folder(tree, recorder):
    unlocking, running = recorder("smoke")
    assert unlocking[1:] == ["scripts/unlock.py", "--directory", ".smoke"]
    assert running[-4:] == ["--configfile", "config/smoke.yaml", "--directory", ".smoke"]


def test_clean_removes_no_measurement(tree):
    for folder in ("measurements", "results", "resources", ".venv", ".smoke"):
        (tree / folder).mkdir()
    assert make(tree, "clean").returncode == 0
    assert {path.name for path in tree.iterdir()} >= {"measurements", "results", "resources", ".venv"}
    assert not (tree / ".smoke").exists()


def start_unlock(folder, *arguments):
    """Run scripts/unlock.py in `folder`."""
    command = [sys.executable, ROOT / "scripts" / "unlock.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_lock_of_a_live_run_is_kept_and_that_of_a_killed_one_removed(tmp_path, elsewhere):
    workflow = tmp_path / "a workflow"
    workflow.mkdir()
    (workflow / "Snakefile").write_text('rule wait:\n    output: "done.txt"\n    shell: "sleep 1000"\n')
    folder = workflow / "own folder" if elsewhere else workflow
    directory = ["--directory", str(folder)] if elsewhere else []
    assert start_unlock(workflow, *directory).stdout == ""  # nothing to unlock

    command = [sys.executable, "-m", "snakemake", "--cores", "1", *directory]
    running = subprocess.Popen(
        command, cwd=workflow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 300
        while not unlock.lock_files(folder):
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.1)
        answer = start_unlock(workflow, *directory)
        assert answer.returncode == 1
        assert f"(process {running.pid}): wait for it or stop it" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
        assert unlock.lock_files(folder)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    assert unlock.lock_files(folder)
    answer = start_unlock(workflow, *directory)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [f"vitbench: removed the lock that a killed run left in {folder}"]
    assert not unlock.lock_files(folder)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/x/.venv/bin/python -m snakemake --cores all", True),
        ("/x/.venv/bin/python3.11 -u -m snakemake", True),
        ("/x/.venv/bin/python /x/.venv/bin/snakemake -n", True),
        ("snakemake -n", True),
        ("python -m pytest tests/snakemake", False),
        ("vim snakemake", False),
        ("python scripts/unlock.py snakemake", False),
        ("", False),
    ],
)
def test_snakemake_is_known_by_its_command_line(command, expected):
    assert unlock.is_snakemake(command.split()) is expected
