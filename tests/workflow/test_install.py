"""Installations that race, are killed, or lose their environment meanwhile: the user's own Python stays as it was."""

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import install
import pytest
from test_make import OF_MAKE, PYTHON, installed, make, said, tree, write_small_lock  # noqa: F401 - a fixture among them

STARTS, KILLED, SECONDS = 20, 9, 12  # how many installations, how many of them are killed, over how long a time
SEED = 11


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of a throw-away copy of the interpreter; packages that the lock would replace or remove are in it."""
    folder = tmp_path_factory.mktemp("base") / "python"
    library = Path(sysconfig.get_path("stdlib"))
    there = folder / library.relative_to(sys.base_prefix)
    unneeded = ("site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "config-*", "__pycache__")
    shutil.copytree(library, there, symlinks=True, ignore=shutil.ignore_patterns(*unneeded))
    (folder / "bin").mkdir()
    shutil.copy(os.path.realpath(PYTHON), folder / "bin" / "python3.11")
    site = there / "site-packages"
    for name in ("xlsxwriter", "of_the_user"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("version = '0.1'\n")
        (site / f"{name}-0.1.dist-info").mkdir()
        (site / f"{name}-0.1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (site / f"{name}-0.1.dist-info" / "INSTALLER").write_text("pip\n")
        files = [f"{name}/__init__.py", *(f"{name}-0.1.dist-info/{one}" for one in ("METADATA", "INSTALLER", "RECORD"))]
        (site / f"{name}-0.1.dist-info" / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    python = folder / "bin" / "python3.11"
    # All that a Python compiles when it first imports it, so that nothing changes by its being run.
    subprocess.run([python, "-m", "compileall", "-q", there], stdout=subprocess.DEVNULL, check=True)
    code = "import sys, sysconfig; print(sys.prefix, sysconfig.get_path('purelib'), sep='\\n')"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == str(folder) and Path(told[1]).is_relative_to(folder)
    return folder


def listing(folder):
    """All that is in a folder: kind, size, and when its content, and anything else about it, last changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        now = path.lstat()
        kind = os.readlink(path) if path.is_symlink() else stat.filemode(now.st_mode)
        found[path.relative_to(folder).as_posix()] = (kind, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
    return found


@pytest.fixture
def python(base):
    """The copied interpreter; the test fails if anything in it has changed."""
    before = listing(base)
    yield base / "bin" / "python3.11"
    assert listing(base) == before


def start(root, python, *command, **variables):
    """An installation in the background, in a process group of its own, as a user's shell starts it."""
    clean = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return subprocess.Popen(
        command or [python, "scripts/install.py"],
        cwd=root,
        env=clean | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def assert_whole(root):
    """The environment is whole, in its place, and nothing else of ours lies there."""
    environment = root / ".venv"
    assert (environment / "vitbench-installed.txt").read_text() == install.stamp_text(root)
    assert install.missing_files(environment) == []
    assert installed(environment / "bin" / "python") == {"xlsxwriter", "uv", "pip"}
    code = "import sys, xlsxwriter; print(sys.prefix)"
    answer = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True)
    assert answer.stdout == f"{environment}\n", answer.stderr
    assert not list(root.glob(".venv.building*"))


def test_two_at_once_are_one_after_the_other(tree, python):  # noqa: F811
    both = [start(tree, python, "make", "install", f"PYTHON={python}") for _ in range(2)]
    output = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], output
    assert sorted("installing envs/default.txt" in each for each in output) == [False, True]
    waiting = "vitbench: another installation is going on in this folder: waiting for it\n"
    assert sum(waiting in each for each in output) <= 1  # none, where one had ended before the other came so far
    assert_whole(tree)

    before = listing(tree / ".venv")
    answer = start(tree, python)
    assert answer.communicate()[0] == "" and answer.returncode == 0
    assert listing(tree / ".venv") == before  # it had nothing to do


def test_twenty_at_random_times_some_of_them_killed(tree, python):  # noqa: F811
    dice = random.Random(SEED)
    # What is to happen when: a start, the SIGKILL of one of them (alone, or with all that it started), `rm -rf .venv`.
    plan = [(dice.uniform(0, SECONDS), "start", number) for number in range(STARTS)]
    plan += [(plan[number][0] + dice.uniform(0, 3), "kill", number) for number in range(0, 2 * KILLED, 2)]
    plan += [(dice.uniform(0, SECONDS), "remove", number) for number in range(5)]
    running, begin = {}, time.monotonic()
    for moment, what, number in sorted(plan):
        time.sleep(max(0, begin + moment - time.monotonic()))
        if what == "start":
            running[number] = start(tree, python)
        elif what == "remove":
            subprocess.run(["rm", "-rf", ".venv"], cwd=tree)
        elif running[number].poll() is None:
            (os.killpg if number % 4 else os.kill)(running[number].pid, signal.SIGKILL)
    killed = 0
    for number, process in running.items():
        output = process.communicate(timeout=1800)[0]
        assert "Traceback" not in output, output
        if process.returncode == -signal.SIGKILL:
            killed += 1
        else:
            assert process.returncode == 0, (number, output)
    assert killed > 0

    answer = make(tree, "install", f"PYTHON={python}")
    assert answer.returncode == 0, answer.stderr
    assert_whole(tree)


def test_with_its_working_folders_removed_at_random_times(tree, python):  # noqa: F811
    dice = random.Random(SEED)
    running = [start(tree, python) for _ in range(6)]
    while any(process.poll() is None for process in running):
        time.sleep(dice.uniform(0, 2))
        subprocess.run("rm -rf .venv .venv.building-*", shell=True, cwd=tree, stderr=subprocess.DEVNULL)
    for process in running:
        output = process.communicate()[0]
        # pip or uv may have lost their own files and end in a traceback of theirs; ours is a line.
        assert process.returncode == 0 or output.splitlines()[-1].startswith("vitbench: "), output
        assert "scripts/install.py" not in output
    assert start(tree, python).wait() == 0
    assert_whole(tree)


# Runs install.py, and does something right before the command in which a given word stands: the worst moment.
AT_THE_WORST_MOMENT = """
import os, shutil, subprocess, sys
from pathlib import Path
sys.path.insert(0, "scripts")
import install
word, deed, other = sys.argv[1:]
real = subprocess.run
def run(command, **options):
    if word in map(str, command):
        subprocess.run = real
        work, = Path.cwd().glob(".venv.building-*")
        real(["sh", "-c", deed], env={"WORK": work, "OTHER": other, "PATH": os.environ["PATH"]}, check=True)
    return real(command, **options)
subprocess.run = run
install.exit_with_user_errors(install.main)
"""


def at(tree, python, moment, deed, other=""):  # noqa: F811
    return subprocess.run(
        [python, "-c", AT_THE_WORST_MOMENT, moment, deed, other], cwd=tree, capture_output=True, text=True
    )


GONE = {"cfg": 'rm "$WORK"/.venv/pyvenv.cfg', "all": 'rm -rf "$WORK"'}


@pytest.mark.parametrize("moment", ["--target", "sync", "--no-index", "--check"])
@pytest.mark.parametrize("gone", GONE)
def test_an_environment_that_is_taken_away_meanwhile_ends_the_installation(tree, python, gone, moment):  # noqa: F811
    answer = at(tree, python, moment, GONE[gone])
    assert answer.returncode == 1 and "install.py" not in answer.stderr, answer.stderr
    assert said(answer)[-1].startswith("vitbench: ")
    assert not os.path.lexists(tree / ".venv") and not list(tree.glob(".venv.building*"))


@pytest.mark.parametrize("gone", ["xlsxwriter/utility.py", "xlsxwriter-*.dist-info/RECORD", "xlsxwriter*"])
def test_an_environment_that_lacks_something_is_not_stamped(tree, python, gone):  # noqa: F811
    answer = at(tree, python, "--no-index", f'rm -r "$WORK"/.venv/lib/python3.11/site-packages/{gone}')
    assert answer.returncode == 1, answer.stdout
    assert said(answer)[-1].startswith("vitbench: ")
    assert not os.path.lexists(tree / ".venv")


@pytest.mark.parametrize("planted", ["nothing", "link to the base", "link to another's", "another's"])
def test_what_is_put_in_place_of_the_environment_meanwhile_is_not_written_to(
    tree,  # noqa: F811
    python,
    tmp_path,
    planted,
):
    other = tmp_path / "other checkout" / ".venv"
    subprocess.run([python, "-m", "venv", "--without-pip", other], check=True)
    subprocess.run([python, "-m", "venv", "--without-pip", tree / ".venv"], check=True)
    before = listing(other)
    deed, target = {
        "nothing": ("rm -rf .venv", ""),
        "link to the base": ('rm -rf .venv; ln -s "$OTHER" .venv', str(python.parents[1])),
        "link to another's": ('rm -rf .venv; ln -s "$OTHER" .venv', str(other)),
        "another's": ('rm -rf .venv; cp -a "$OTHER" .venv', str(other)),
    }[planted]
    answer = at(tree, python, "sync", deed, target)
    assert answer.returncode == 0, answer.stderr
    assert listing(other) == before
    assert not (tree / ".venv").is_symlink()
    assert_whole(tree)


def test_what_a_killed_installation_left_is_removed_and_no_link_is_followed(tree, python, tmp_path):  # noqa: F811
    left, mine = tree / ".venv.building-killed", tmp_path / "mine"
    for folder in (left / ".venv", mine):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (left / "link").symlink_to(mine)
    (tree / ".venv.building-link").symlink_to(mine)
    (tree / ".venv-of-the-user").mkdir()
    assert start(tree, python).wait() == 0
    assert not left.exists() and (mine / "file").exists() and (tree / ".venv-of-the-user").exists()
    (tree / ".venv.building-link").unlink()
    assert_whole(tree)
    left.mkdir()  # the next one has nothing to install, and removes it all the same
    assert start(tree, python).communicate()[0] == ""
    assert not left.exists()


@pytest.mark.parametrize("damage", ["no stamp", "another place", "no environment", "half a stamp"])
def test_what_is_no_whole_environment_is_not_taken_for_one(tree, python, damage):  # noqa: F811
    stamp = tree / ".venv" / "vitbench-installed.txt"
    subprocess.run([python, "-m", "venv", "--without-pip", tree / ".venv"], check=True)
    text = install.stamp_text(tree)
    texts = {"another place": f"{tree}/elsewhere\n{text.partition(chr(10))[2]}", "half a stamp": text[:-30]}
    if damage != "no stamp":
        stamp.write_text(texts.get(damage, text))
    if damage == "no environment":
        (tree / ".venv" / "pyvenv.cfg").unlink()  # its python is the user's own now
    # The Makefile may find no other Python 3.11 than that one.
    installing = start(tree, tree / ".venv" / "bin" / "python")
    output = installing.communicate()[0]
    assert installing.returncode == 0, output
    assert "anew" in output
    assert_whole(tree)


def test_nothing_in_the_users_shell_or_settings_leads_elsewhere(tree, python, base, tmp_path):  # noqa: F811
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    subprocess.run([python, "-m", "venv", "--without-pip", elsewhere], check=True)
    for file, text in {
        "uv/uv.toml": f'[pip]\nsystem = true\ntarget = "{elsewhere}"\nprefix = "{elsewhere}"\npython = "{python}"\n',
        "pip/pip.conf": f"[install]\nuser = true\ntarget = {elsewhere}\nprefix = {elsewhere}\nroot = {elsewhere}\n",
    }.items():
        (home / ".config" / file).parent.mkdir(parents=True)
        (home / ".config" / file).write_text(text)
    shutil.copytree(home / ".config" / "pip", home / ".pip")
    before = listing(tmp_path / "home"), listing(elsewhere)
    redirecting = dict.fromkeys(
        ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONUSERBASE", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"),
        str(elsewhere),
    )
    redirecting |= dict.fromkeys(("UV_PYTHON", "PIP_PYTHON"), str(python))
    redirecting |= dict.fromkeys(("UV_PROJECT_ENVIRONMENT", "UV_PROJECT", "UV_WORKING_DIR"), str(elsewhere))
    redirecting |= dict.fromkeys(("PIP_USER", "PIP_REQUIRE_VIRTUALENV", "UV_SYSTEM_PYTHON", "PIP_DRY_RUN"), "1")
    redirecting |= {"UV_CONFIG_FILE": str(home / ".config" / "uv" / "uv.toml"), "PYTHONHOME": str(base)}
    caches = {
        "RUSTUP_HOME": str(tmp_path),  # pip asks rustc, where there is one, for its version
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
    }
    answer = start(tree, python, HOME=str(home), XDG_CONFIG_HOME=str(home / ".config"), **caches, **redirecting)
    output = answer.communicate()[0]
    assert answer.returncode == 0, output
    assert (listing(tmp_path / "home"), listing(elsewhere)) == before
    assert_whole(tree)


def test_a_file_system_without_locks_gets_a_line(tree, python):  # noqa: F811
    code = (
        "import errno, fcntl, sys; sys.path.insert(0, 'scripts'); import install\n"
        "def flock(*_): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = flock\ninstall.exit_with_user_errors(install.main)"
    )
    (tree / ".venv.building-another").mkdir()  # may be at work: it is left alone
    answer = subprocess.run([python, "-c", code], cwd=tree, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "vitbench: this file system has no locks (No locks available): run one make at a time" in answer.stdout
    (tree / ".venv.building-another").rmdir()
    assert_whole(tree)


def test_scripts_and_activation_work_in_their_place(tree, python):  # noqa: F811
    write_small_lock(tree, "pygments")
    root = tree.rename(tree.with_name("it's a checkout, with spaces"))
    assert start(root, python).wait() == 0
    environment = root / ".venv"
    for path in environment.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":  # those are told their file when they are loaded
            assert b".venv.building" not in path.read_bytes(), path
    for name, option in (("pygmentize", "-V"), ("uv", "--version"), ("pip", "--version")):
        answer = subprocess.run([environment / "bin" / name, option], capture_output=True, text=True)
        assert answer.returncode == 0, (name, answer.stderr)
    for shell in ("sh", "bash"):
        code = '. .venv/bin/activate && type pygmentize && pip --version && python -c "import sys; print(sys.prefix)"'
        answer = subprocess.run([shell, "-c", code], cwd=root, capture_output=True, text=True)
        lines = answer.stdout.splitlines()
        assert f"{environment}/bin/pygmentize" in lines[0], answer.stderr
        assert f"{environment}/lib" in lines[1] and lines[2] == str(environment)
