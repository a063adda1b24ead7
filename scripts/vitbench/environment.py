"""The environment of every process that vitbench starts: what the user's shell may bring, and what it may not.

It is a list of what is left out, not of what may pass. Nobody can name all that a site needs to reach its network, its
disks and its GPU (proxies, certificates, HOME, LD_LIBRARY_PATH, HF_HOME, CUDA_VISIBLE_DEVICES, what a scheduler sets),
and a missing one breaks a machine that works. What changes *what* is measured can be named, and has no use here:

left out    other packages than the locked ones (PYTHON…), another Spark, its settings and its cluster (SPARK_…,
            PYSPARK_…, HADOOP_…, YARN_…, HIVE_…), options of any Java (JAVA_TOOL_OPTIONS and its like, but for those
            that name a proxy or a certificate), and what a variant decides itself (USE_TORCH, TF_ENABLE_ONEDNN_OPTS)
set         UTF-8 and the C locale, so that names of files and labels survive and a number has a point (C.UTF-8)
recorded    what changes how *fast* a library is, such as MKL_…, KMP_…, ONEDNN_… or a preloaded allocator: a choice that
            people make on purpose for their machine. It passes, and stands in every record (`variables`).

Standard library only, since `make doctor` asks before anything is installed.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import shlex
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vitbench.errors import UserError
from vitbench.files import HOME

LEFT_OUT = re.compile(
    r"PYTHON(?!(DONTWRITEBYTECODE|PYCACHEPREFIX|HASHSEED|UNBUFFERED|WARNINGS)$)[A-Z0-9]+$"
    r"|(PYSPARK|SPARK|HADOOP|HDFS|MAPRED|YARN|HIVE)_"
    r"|(JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|JAVA_OPTS|IBM_JAVA_OPTIONS|OPENJ9_JAVA_OPTIONS|CLASSPATH)$"
    r"|(USE_(TF|TORCH|JAX|FLAX)|TF_ENABLE_ONEDNN_OPTS|TF_NUM_INT(RA|ER)OP_THREADS|TF_CPP_MIN_LOG_LEVEL)$"
)
# None of them holds a secret.
RECORDED = re.compile(
    r"(OMP|GOMP|GOTO|KMP|MKL|OPENBLAS|BLIS|VECLIB|NUMEXPR|TBB|DNNL|ONEDNN|CUDA|CUDNN|NVIDIA|MALLOC|PYTORCH)_"
    r"|TORCH[A-Z]*_|TF_(CUDNN|DISABLE|ENABLE|FORCE|GPU|NUM|XLA)_"
    r"|(VITBENCH_LOCK|ATEN_CPU_CAPABILITY|GLIBC_TUNABLES|LD_(PRELOAD|LIBRARY_PATH|AUDIT|BIND_NOW)|XLA_FLAGS)$"
)
# Variables with options for every Java, and those of these options that a site needs to reach the network.
_JAVA_OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_NETWORK = re.compile(r"-D(https?|ftp|socks|java\.net|javax\.net\.ssl|jdk\.tls|jdk\.http)[A-Z.]")
# Spark parts lists of folders at the comma, and takes the rest for patterns or for parts of an address.
ODD = frozenset(",?[]{}*#\\:")
# The parts of the checkout that PYTHONPATH may name: the library, and adapters that tests bring.
_OURS = (HOME / "scripts", HOME / "tests")


def variables(temporary: Path | None = None, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of ours, made of `base` (this process's own).

    Args:
        temporary: the folder for what it writes: where temporary files go, and the home of who has none.
    """
    base = os.environ if base is None else base
    answer = {name: value for name, value in base.items() if not LEFT_OUT.match(name)}
    answer |= {
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",  # ~/.local is on the path of an environment that is no virtual one (conda)
        "LC_ALL": "en_US.UTF-8" if platform.system() == "Darwin" else "C.UTF-8",
    }
    if ours := [folder for folder in base.get("PYTHONPATH", "").split(os.pathsep) if folder and _is_ours(folder)]:
        answer["PYTHONPATH"] = os.pathsep.join(ours)
    if options := _network_options(base):
        answer["JAVA_TOOL_OPTIONS"] = shlex.join(options)
    if not {"LOGNAME", "USER"} & answer.keys() and not user_name():
        answer["LOGNAME"] = f"uid{os.getuid()}"  # Python's getpass knows no other way
    if temporary is not None:
        answer["TMPDIR"] = str(temporary)
        if home_problem(base):
            answer["HOME"] = str(temporary)
    return answer


def adopt(temporary: Path | None = None) -> list[str]:
    """Make this process's environment, and where it imports from, those of `variables`; the names that were left out.

    Raises:
        UserError: a package was imported already from a folder that is left out.
    """
    left_out = named_left_out()
    listed = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    own = {os.path.realpath(folder) for folder in sysconfig.get_paths().values()}
    foreign = {os.path.realpath(folder) for folder in listed if not _is_ours(folder)} - own
    kept = variables(temporary)
    for name in os.environ.keys() - kept.keys():
        del os.environ[name]
    os.environ.update(kept)
    if not foreign:
        return left_out
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) not in foreign]
    for name, module in list(sys.modules.items()):
        # sitecustomize runs before anybody can object, and brings no package.
        if (file := getattr(module, "__file__", None)) and "." not in name and not name.endswith("customize"):
            place = Path(os.path.realpath(file)).parents[1 if hasattr(module, "__path__") else 0]
            if str(place) in foreign:
                raise UserError(
                    f"PYTHONPATH brings another {name} ({file}) than the locked one, and it is loaded already: run "
                    "again without PYTHONPATH"
                )
    return left_out


def named_left_out(base: Mapping[str, str] | None = None) -> list[str]:
    """Names in `base` (this process's environment) that are left out of every process of ours."""
    base = os.environ if base is None else base
    harmless = {"PYTHONUTF8", "PYTHONNOUSERSITE"}
    found = {name for name, value in base.items() if value and LEFT_OUT.match(name)} - harmless
    if all(_is_ours(folder) for folder in base.get("PYTHONPATH", "").split(os.pathsep) if folder):
        found.discard("PYTHONPATH")
    if base.get("JAVA_TOOL_OPTIONS") == shlex.join(_network_options(base)):
        found.discard("JAVA_TOOL_OPTIONS")
    return sorted(found)


def recorded(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that pass and change how fast a library is, for a record; the user's home folder as ~."""
    base = os.environ if base is None else base
    home = base.get("HOME", "").rstrip("/")
    return {
        name: re.sub(rf"(?<![^:]){re.escape(home)}(?=[/:]|$)", "~", value) if home else value
        for name, value in sorted(base.items())
        if value and RECORDED.match(name) and not LEFT_OUT.match(name)
    }


def user_name() -> str | None:
    """The name of the user that this process runs as; None where the number has none (`docker run -u 12345`)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def user_problem() -> str:
    """What keeps Spark from running as this user, "" if nothing does: Hadoop, inside it, asks for the user's name."""
    if user_name() is not None:
        return ""
    return (
        f"user id {os.getuid()} has no name, and Spark does not start without one: add a line to /etc/passwd, for "
        f"instance vitbench:x:{os.getuid()}:{os.getgid()}::/tmp:/bin/sh, or run as a user that has one (docker run -u)"
    )


def spark_problem(folder: Path) -> str:
    """What keeps Spark from working in `folder`, with what to do; "" if nothing does."""
    return user_problem() or name_problem(folder) or noexec_problem(folder)


def name_problem(folder: Path, remedy: str = "rename that folder, or run with --directory elsewhere") -> str:
    """Whether the name of a folder, or of one around it, means something else to Spark than a name, and what to do."""
    folder = folder.resolve()
    if not (odd := sorted({letter for letter in str(folder) if letter in ODD or ord(letter) < 32})):
        return ""
    return (
        f"{repr(str(folder))[1:-1]}: Spark takes {' '.join(map(ascii, odd))} in a folder's name for something else: "
        f"{remedy}"
    )


def noexec_problem(folder: Path) -> str:
    """Whether the disk of a folder forbids to run what lies on it, as Spark's and the engines' libraries must be."""
    if not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        return ""
    disk = folder.resolve()
    while not disk.is_mount():
        disk = disk.parent
    return (
        f"the disk at {disk} is mounted noexec, and the engines' libraries must run from {folder.resolve()}: mount it "
        f"with exec (mount -o remount,exec {disk}), or run with --directory on another disk"
    )


def plain_temporary() -> str:
    """The system's folder for temporary files, or /tmp where Spark would not take that one's name for a name."""
    folder = tempfile.gettempdir()
    return "/tmp" if " " in folder or name_problem(Path(folder)) else folder


def home_problem(base: Mapping[str, str] | None = None) -> str:
    """What keeps the user's home folder from being used, "" if nothing does."""
    home = (os.environ if base is None else base).get("HOME")
    if not home:
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return "HOME is not set"
    if not os.path.isdir(home):
        return f"HOME={home} is no folder"
    return "" if os.access(home, os.W_OK | os.X_OK) else f"HOME={home} cannot be written to"


def _is_ours(folder: str) -> bool:
    return any(Path(folder).resolve().is_relative_to(ours) for ours in _OURS)


def _network_options(base: Mapping[str, str]) -> list[str]:
    """The options of the user's Java that name proxies and certificates."""
    found: list[str] = []
    for name in _JAVA_OPTIONS:
        try:
            found += [option for option in shlex.split(base.get(name, "")) if _NETWORK.match(option)]
        except ValueError:  # a quotation mark without its second
            continue
    return found
