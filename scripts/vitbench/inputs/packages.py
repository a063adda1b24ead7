"""Packages that a variant needs beside the locked environment: a folder of their own, made of a lock of their own.

The lock, `envs/<name>.txt`, lists only what `envs/default.txt` does not (`make lock`), and the folder stands last on
the path of the process that needs it. So it adds packages and replaces none: all else that is measured stays what
`envs/default.txt` says. It is made when a configured variant needs it, and never before.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vitbench.errors import UserError
from vitbench.files import sha256, staged

# Says in the folder which lock it was made of.
STAMP = "vitbench-installed.txt"


def install(lock: Path, folder: Path) -> None:
    """Make `folder` of the packages in `lock`, each file checked against its hash; whole or not at all.

    Raises:
        UserError: uv could not install them; what it said stands above.
    """
    with staged(folder) as temporary:
        command = [
            *(Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
            # A repeat would compile them anew each time where Python may not write there.
            *("--compile-bytecode", "--python", sys.executable, "--target", temporary, "--requirements", lock),
        ]
        if subprocess.run(command).returncode != 0:
            raise UserError(
                f"the packages of {lock.parent.name}/{lock.name} cannot be installed, see above: check network and "
                "proxy, set UV_DEFAULT_INDEX to a mirror, or put their wheels into a folder and set UV_FIND_LINKS to it"
            )
        (temporary / STAMP).write_text(f"{sha256(lock)}\n")


def verify(lock: Path, folder: Path) -> None:
    """Raise UserError unless `folder` was made of `lock` as it is now."""
    if not folder.exists():
        raise UserError(f"the packages {folder} are missing: make them with `snakemake prepare`")
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text().strip() != sha256(lock):
        raise UserError(f"{folder} was not made of {lock}: remove it and run again to install it anew")


def use(folder: str) -> None:
    """Let this process import what is in `folder`; what the environment has comes first."""
    if folder not in sys.path:
        sys.path.append(folder)
