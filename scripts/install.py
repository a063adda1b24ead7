"""`make install`: the locked environment in .venv, made once; does nothing while it stands and the lock is the same.

Runs on the Python 3.11 that the environment is to have, with the standard library alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import sha256, write_atomically

# What pip and uv call the same setting: a mirror that pip is set up for must serve uv too.
UV_SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}


def install(root: Path) -> bool:
    """Bring `root/.venv` to the state of `root/envs/default.txt`; False if it was there already.

    The stamp is written last and taken away first: without it, an install was cut short, and since a cut install can
    leave packages that look whole, the environment is made anew (from uv's cache). Scripts in it name their folder,
    so a moved checkout makes it anew too.

    Raises:
        UserError: pip or uv failed; what they said stands above it.
    """
    environment = root / ".venv"
    stamp, python = environment / "vitbench-installed.txt", environment / "bin" / "python"
    wanted = stamp_text(root)
    found = stamp.read_text() if stamp.exists() and _runs(python) else ""
    if found == wanted:
        return False
    if environment.is_symlink():  # another checkout's, which is left as it is
        environment.unlink()
    stamp.unlink(missing_ok=True)
    if found.splitlines()[:1] != wanted.splitlines()[:1]:
        if environment.exists():
            print("vitbench: the environment in .venv is incomplete or was made elsewhere; making it anew", flush=True)
            shutil.rmtree(environment)
        # Where .venv is activated, this is its own Python, which is gone now: the one that it was made of is not.
        _run("making .venv", sys._base_executable, "-m", "venv", environment)
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    # Without --no-deps, pip would look for what the lock does not list; uv has no dependencies.
    _run("fetching uv", *pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", root / "envs" / "uv.txt")
    _run(
        "installing envs/default.txt",
        # Compiled now, or every repeat would compile torch and transformers anew where Python may not write there.
        *(environment / "bin" / "uv", "pip", "sync", "--compile-bytecode", "--python", python, "--require-hashes"),
        root / "envs" / "default.txt",
        settings=uv_settings(subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout),
    )
    write_atomically(stamp, wanted)
    return True


def stamp_text(root: Path) -> str:
    """What the stamp of a finished install says: where it is, and the digests of both locks."""
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


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def _run(doing: str, *command: str | Path, settings: dict[str, str] | None = None) -> None:
    print(f"vitbench: {doing}", flush=True)
    status = subprocess.run(command, env=os.environ | (settings or {})).returncode
    if status != 0:
        raise UserError(
            f"{doing} failed (status {status}, see above): check network, proxy and disk, then run make again"
        )


def main() -> None:
    """Install into the checkout that this file lies in."""
    install(Path(__file__).resolve().parent.parent)


if __name__ == "__main__":
    exit_with_user_errors(main)
