"""`make install`: the locked environment in .venv, made once; does nothing while it stands and the lock is the same.

The environment is made in a folder of its own beside .venv, looked at, stamped, and only then renamed to .venv: what
bears that name is whole. One installation at a time works in a checkout; another waits for it.

Nothing else is written to. An interpreter whose environment is taken away under it is the user's own Python, and who
asks it where to install (as pip and uv do) changes that one. So both are told the folder, by --target and --prefix.

Runs on the Python 3.11 that the environment is to have, with the standard library alone.
"""

from __future__ import annotations

import csv
import ensurepip
import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import sha256

STAMP = "vitbench-installed.txt"
LOCK = ".venv.lock"
WORK = ".venv.building-"  # what the names of our working folders begin with

# What pip and uv call the same setting: a mirror that pip is set up for must serve uv too.
UV_SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}

# What a user's shell may hold that would have something else installed, or elsewhere. Mirrors, proxies and caches stay.
ELSEWHERE = re.compile(
    r"PYTHON(HOME|PATH|USERBASE|PLATLIBDIR)|VIRTUAL_ENV|CONDA_PREFIX"
    r"|PIP_(TARGET|PREFIX|ROOT|USER|PYTHON|REQUIRE_VIRTUALENV|DRY_RUN)"
    r"|UV_(SYSTEM_PYTHON|PYTHON|PROJECT|PROJECT_ENVIRONMENT|WORKING_DIR|CONFIG_FILE)"
)
# The same in the user's pip.conf, where other settings (the mirror) are wanted: the command line has the last word.
HERE = ("--no-user", "--prefix=", "--root=/")


def install(root: Path) -> bool:
    """Bring `root/.venv` to the state of `root/envs/default.txt`; False if it was there already.

    Raises:
        UserError: pip or uv failed (what they said stands above it), or what they made is not whole.
    """
    if _is_whole(root) and not _left_behind(root):
        return False
    try:
        with _alone(root) as lock:
            if lock is not None:  # whoever made these folders is dead, and so are pip and uv, which hold the lock too
                for folder in _left_behind(root):
                    shutil.rmtree(folder, ignore_errors=True)
            if _is_whole(root):  # made while this one waited
                return False
            _say_why(root)
            with tempfile.TemporaryDirectory(prefix=WORK, dir=root, ignore_cleanup_errors=True) as work:
                _make(root, Path(work), lock)
                # A link is moved, not followed: the environment of another checkout is left as it is.
                with suppress(FileNotFoundError):
                    os.rename(root / ".venv", Path(work) / "replaced")
                os.rename(Path(work) / ".venv", root / ".venv")
    except OSError as error:
        raise UserError(f"no environment can be made in {root} ({error}): put that right and run make again") from error
    return True


def _make(root: Path, work: Path, lock: int | None) -> None:
    """Make the environment in `work/.venv`, whole and stamped, ready to be renamed to `root/.venv`."""
    environment = work / ".venv"
    # Where .venv is activated, this is its own Python, which is about to go: the one that it was made of is not.
    executable = Path(sys._base_executable)
    if executable.is_relative_to(root / ".venv"):  # a broken one, which does not know what it was made of
        executable = executable.resolve()
    base = (executable, "-I", "-B")
    # Without pip: venv would have the new python install it, wherever that then says.
    _run("making .venv", lock, *base, "-m", "venv", "--without-pip", environment)
    wheel = _pip_wheel()
    shutil.unpack_archive(wheel, work / "pip", "zip")
    pip = (*base, work / "pip" / "pip", "--disable-pip-version-check")
    _run(
        "fetching uv",
        lock,
        # Without --no-deps, pip would look for what the lock does not list; uv has no dependencies.
        *(*pip, "install", "--quiet", "--root-user-action=ignore", "--no-deps", "--require-hashes", *HERE),
        *("--target", work / "uv", "-r", root / "envs" / "uv.txt"),
    )
    settings = uv_settings(_output(*pip, "config", "list"))

    def uv(doing: str, command: str, *options: str | Path) -> None:
        if not _is_environment(environment):
            raise UserError(f"{environment} is no virtual environment any more: run make again")
        # No file of settings: its `target` would win over --prefix.
        before = (work / "uv" / "bin" / "uv", "--no-config", "pip", command, "--prefix", environment)
        _run(doing, lock, *before, "--python", environment / "bin" / "python", *options, settings=settings)

    locked = root / "envs" / "default.txt"
    # Compiled now, or every repeat would compile torch and transformers anew where Python may not write there.
    uv("installing envs/default.txt", "sync", "--require-hashes", "--compile-bytecode", locked)
    # Not locked, and for nobody but who activates .venv: without it, `pip` would be that of their own Python there.
    uv("adding pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    uv("looking at what is installed", "install", "--quiet", "--check", "--no-deps", "-r", locked)
    _rename_in_scripts(environment, f"{work.name}/.venv", ".venv")
    if gone := missing_files(environment):
        raise UserError(f"the environment is not whole ({gone[0]} is missing): run make again")
    if not _is_environment(environment):
        raise UserError(f"{environment} is no virtual environment any more: run make again")
    (environment / STAMP).write_text(stamp_text(root))


def stamp_text(root: Path) -> str:
    """What the stamp of a finished install says: where it is, and the digests of both locks.

    Scripts in the environment name their folder, so a moved checkout makes it anew.
    """
    locks = [root / "envs" / name for name in ("uv.txt", "default.txt")]
    return "".join(f"{line}\n" for line in [root, *(f"{sha256(lock)} {lock.name}" for lock in locks)])


def uv_settings(pip_config: str) -> dict[str, str]:
    """Environment variables that give uv what `pip config list` shows, where the user has not set uv's own."""
    answer = {}
    for name, value in re.findall(r"^\S*?\.([a-z-]+)='(.*)'$", pip_config, re.MULTILINE):
        variable = UV_SETTINGS.get(name)
        if variable and value and variable not in os.environ:
            answer[variable] = " ".join(value.replace("\\n", " ").split())
    return answer


def missing_files(environment: Path) -> list[str]:
    """Files that installed packages list and that are not there, or the lists themselves."""
    missing = []
    site = environment / "lib" / "python3.11" / "site-packages"
    for package in sorted(site.glob("*.dist-info")):
        record = package / "RECORD"
        if not record.exists():
            missing.append(f"{package.name}/RECORD")
            continue
        with open(record, newline="") as rows:
            missing += [row[0] for row in csv.reader(rows) if not (site / row[0]).exists()]
    return missing


@contextmanager
def _alone(root: Path) -> Iterator[int | None]:
    """Hold the checkout's lock, after waiting for whoever has it; None on a file system that has no locks.

    The kernel gives it back when the last process that holds it ends, however that comes.
    """
    with open(root / LOCK, "a") as file:
        lock: int | None = file.fileno()
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("vitbench: another installation is going on in this folder: waiting for it", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            print(f"vitbench: this file system has no locks ({error.strerror}): run one make at a time", flush=True)
            lock = None
        yield lock


def _left_behind(root: Path) -> list[Path]:
    """Working folders beside .venv: those of killed installations, for who holds the lock. A link is none of ours."""
    return [folder for folder in root.glob(f"{WORK}*") if folder.is_dir() and not folder.is_symlink()]


def _is_whole(root: Path) -> bool:
    """Whether .venv bears the stamp of this place and these locks, and is still a virtual environment."""
    stamp = root / ".venv" / STAMP
    return stamp.is_file() and stamp.read_text() == stamp_text(root) and _is_environment(root / ".venv")


def _is_environment(environment: Path) -> bool:
    """Whether the Python in there runs and says that it is this virtual environment's."""
    code = "import sys; print(sys.prefix); sys.exit(sys.prefix == sys.base_prefix)"
    return _output(environment / "bin" / "python", "-c", code) == f"{environment}\n"


def _say_why(root: Path) -> None:
    stamp = root / ".venv" / STAMP
    if stamp.is_file() and stamp.read_text().splitlines()[:1] == [str(root)] and _is_environment(root / ".venv"):
        print("vitbench: the locks have changed; making the environment in .venv anew", flush=True)
    elif os.path.lexists(root / ".venv"):
        print("vitbench: the environment in .venv is incomplete or was made elsewhere; making it anew", flush=True)


def _pip_wheel() -> Path:
    """The pip that every Python carries for its virtual environments (some distributions keep it elsewhere)."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(ensurepip.__file__).with_name("_bundled")]
    wheels = [wheel for folder in folders if folder for wheel in sorted(Path(folder).glob("pip-*.whl"))]
    if not wheels:
        raise UserError(f"{sys._base_executable} carries no pip: install the package python3.11-venv")
    return wheels[0]


def _rename_in_scripts(environment: Path, old: str, new: str) -> None:
    """Have the scripts (their first lines, and those that activate) name the folder that they are about to lie in.

    Only the end of the path is looked for: how a script quotes the rest (blanks, apostrophes) is not ours to know.
    """
    for path in [environment / "pyvenv.cfg", *(environment / "bin").iterdir()]:
        # A file that names this environment was written for it: none that uv shares with its cache is changed.
        if not path.is_symlink() and old.encode() in (content := path.read_bytes()):
            path.write_bytes(content.replace(old.encode(), new.encode()))


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not ELSEWHERE.fullmatch(name)}


def _output(*command: str | Path) -> str:
    """What a command prints; nothing where it fails."""
    try:
        answer = subprocess.run(command, env=_variables(), capture_output=True, text=True)
    except OSError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _run(doing: str, lock: int | None, *command: str | Path, settings: dict[str, str] | None = None) -> None:
    """Run a command that holds the lock too: where this process alone is killed, it goes on writing for a while."""
    print(f"vitbench: {doing}", flush=True)
    held = () if lock is None else (lock,)
    try:
        status = subprocess.run(command, env=_variables() | (settings or {}), pass_fds=held).returncode
    except OSError as error:  # somebody removed it under us
        raise UserError(f"{doing} failed ({error}): run make again") from error
    if status != 0:
        raise UserError(
            f"{doing} failed (status {status}, see above): check network, proxy and disk, then run make again"
        )


def main() -> None:
    """Install into the checkout that this file lies in."""
    install(Path(__file__).resolve().parent.parent)


if __name__ == "__main__":
    exit_with_user_errors(main)
