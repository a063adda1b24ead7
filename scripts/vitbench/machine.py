"""What this machine is: its hardware class (the `machine` of a record), its limits, and what runs on it."""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from vitbench import environment, processor
from vitbench.errors import UserError

PACKAGES = (
    *("numpy", "onnxruntime", "openvino", "pillow", "psutil", "pyspark", "safetensors", "spark-nlp"),
    *("torch", "torchvision", "transformers"),
)
GPU_FACTS = (
    *("name", "driver_version", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.max.memory", "power.limit"),
    *("ecc.mode.current", "mig.mode.current", "pstate"),
)


def platform_name() -> str:
    """Operating system and architecture as JavaCPP names them: linux-x86_64, linux-arm64, macosx-arm64, ..."""
    system = {"Darwin": "macosx"}.get(platform.system(), platform.system().lower())
    architecture = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{system}-{architecture}"


def _cgroup_files(controller: str, name: str) -> list[Path]:
    """A limit's files in this process's control group and in all around it (version 2, and 1 by `controller`)."""
    listing = Path("/proc/self/cgroup")
    files = []
    for line in listing.read_text().splitlines() if listing.exists() else []:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = Path("/sys/fs/cgroup", controllers and controller)
        inside = base / group.strip("/")
        files += [folder / name for folder in (inside, *inside.parents) if folder.is_relative_to(base)]
    return [file for file in files if file.exists()]


def cores() -> int:
    """Cores that this process may use: its affinity, cut by its cgroups' quotas (rounded down, at least 1)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for file in _cgroup_files("cpu", "cpu.max"):
        limit, period = file.read_text().split()
        if limit != "max":
            allowed = min(allowed, int(limit) // int(period))
    for file in _cgroup_files("cpu", "cpu.cfs_quota_us"):
        quota, period = (
            int(file.read_text()),
            int(file.with_name("cpu.cfs_period_us").read_text()),
        )
        if quota > 0:
            allowed = min(allowed, quota // period)
    return max(1, allowed)


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, or a cgroup's limit where it is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _cgroup_files("memory", "memory.max") + _cgroup_files("memory", "memory.limit_in_bytes"):
        limit = file.read_text().strip()
        if limit != "max":
            total = min(total, int(limit))
    return total


def throttled_seconds() -> float | None:
    """Seconds for which cgroups' quotas have held processes back so far; None where no cgroup tells."""
    found = []
    for file in _cgroup_files("cpu", "cpu.stat"):
        told = dict(line.split() for line in file.read_text().splitlines())
        if "throttled_usec" in told:
            found.append(int(told["throttled_usec"]) / 1e6)
        elif "throttled_time" in told:  # version 1
            found.append(int(told["throttled_time"]) / 1e9)
    # Groups within each other each count what their own quota did.
    return sum(found) if found else None


@cache
def gpus() -> tuple[str, ...]:
    """Names of the accelerators that a framework could use; empty if there is none."""
    if shutil.which("nvidia-smi"):
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
        )
        if answer.returncode == 0:
            return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())
    if platform_name() == "macosx-arm64":
        return (f"{processor.name()} GPU (mps)",)
    return ()


def slug(text: str) -> str:
    """Lower-case letters, digits and single hyphens: fit for a path in any file system."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((?:r|tm)\)", "", text.lower())).strip("-")


def memory_gib(size: int) -> int:
    """GiB of a memory of `size` bytes as it was sold: rounded up to a step of 2, from 32 GiB on of a sixteenth.

    A system shows a few percent less than there is, and another share after each update of its kernel.
    """
    gib = size / 2**30
    step = max(2, 2 ** (math.ceil(math.log2(max(gib, 2))) - 4))
    return step * math.ceil((gib - 0.05) / step)


def identify(facts: dict[str, Any], devices: Iterable[str]) -> str:
    """Id of the hardware class that a fingerprint is of: a segment of a path, such as zen5-avx512bf16-2c-24g.

    It names what decides speed: microarchitecture, widest instruction set, cores, memory (`memory_gib`), and the
    accelerators where `devices` use them. The same hardware has the same id after another start or update.
    """
    chip = facts["processor"]
    name, flags = slug(chip["microarchitecture"]), set(chip["instruction_sets"])
    word = next((word for word, needed in processor.WIDEST if needed <= flags), "")
    # skylake-avx512 says it already.
    words = [name] if name.endswith(word) else [name, word]
    size = f"{facts['cores']}c {memory_gib(facts['memory_bytes'])}g"
    return slug(" ".join([*words, size, *(sorted(set(facts["gpus"])) if "gpu" in devices else [])]))


def machine_id(devices: Iterable[str] = ("cpu",)) -> str:
    """Id of the hardware class that this is, for a run on `devices` (see `identify`)."""
    facts = {"processor": processor.read(), "cores": cores(), "memory_bytes": memory_bytes(), "gpus": list(gpus())}
    return identify(facts, devices)


def check_configured(configured: str, devices: Iterable[str] = ("cpu",)) -> None:
    """Raise a UserError where the configuration's `machine` is not the one that this runs on."""
    if configured != (here := machine_id(devices)):
        raise UserError(
            f"machine: {configured} is configured, this machine is {here}; set `machine: auto`, or measure over there"
        )


def boot() -> str | None:
    """Digits that tell this start of this node from every other one; None where the system does not tell.

    What was read since then is in the page cache. The kernel draws the number at each start (random(4)), so that it
    names no machine.
    """
    drawn = processor.text_of(Path("/proc/sys/kernel/random/boot_id"))
    return sha256(drawn.encode()).hexdigest()[:8] if drawn else None


def describe() -> str:
    """One line for people: processor, microarchitecture, cores, memory, accelerators."""
    name, kind = processor.name(), processor.read()["microarchitecture"].replace("_", " ")
    chip = name if kind.lower() in name.lower() else f"{name} ({kind})"
    return ", ".join([chip, f"{cores()} cores", f"{memory_gib(memory_bytes())} GB", *gpus()])


def fingerprint(devices: Iterable[str] = ("cpu",)) -> dict[str, Any]:
    """What the hardware, its limits and the software are, and how busy they were, for a record (JSON).

    `devices` are those of the run, which decide what stands in the machine's id.

    Without network addresses, names of the host or user, and serial numbers. What a system does not tell is None.
    """
    return {
        "machine": describe(),
        "id": machine_id(devices),
        "boot": boot(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "gpus": list(gpus()),
        "gpu_facts": gpu_facts(),
        "processor": processor.read(),
        "limits": limits(),
        "kernel": kernel(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_before": list(os.getloadavg()),
        "variables": environment.recorded(),
    }


def limits() -> dict[str, Any]:
    """What bounds this process: cores by its affinity, and each limit of a cgroup as the kernel writes it."""
    quotas = [file.read_text().strip() for file in _cgroup_files("cpu", "cpu.max")]
    for file in _cgroup_files("cpu", "cpu.cfs_quota_us"):
        quotas.append(f"{file.read_text().strip()} {file.with_name('cpu.cfs_period_us').read_text().strip()}")
    memory = _cgroup_files("memory", "memory.max") + _cgroup_files("memory", "memory.limit_in_bytes")
    return {
        "affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "cgroup_cpu": quotas,
        "cgroup_memory": [file.read_text().strip() for file in memory],
    }


def kernel(root: Path = Path("/")) -> dict[str, str | None]:
    """The kernel and those of its settings that change how fast memory is."""
    return {
        "release": platform.release(),
        "version": platform.version(),
        "transparent_hugepage": processor.text_of(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        "numa_balancing": processor.text_of(root / "proc/sys/kernel/numa_balancing"),
        "swappiness": processor.text_of(root / "proc/sys/vm/swappiness"),
    }


@cache
def gpu_facts() -> list[dict[str, str]]:
    """What the driver tells of each NVIDIA GPU: its version, memory, clocks, power limit, modes."""
    if not shutil.which("nvidia-smi"):
        return []
    answer = subprocess.run(
        ["nvidia-smi", f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader"], capture_output=True, text=True
    )
    if answer.returncode != 0:
        return []
    return [
        dict(zip(GPU_FACTS, map(str.strip, line.split(",")), strict=True))
        for line in answer.stdout.splitlines()
        if line.strip()
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
