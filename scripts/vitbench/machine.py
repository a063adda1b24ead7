"""What this machine is: its hardware class (the `machine` of a record), its limits, and what runs on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


def platform_name() -> str:
    """Operating system and architecture as JavaCPP names them: linux-x86_64, linux-arm64, macosx-arm64, ..."""
    system = {"Darwin": "macosx"}.get(platform.system(), platform.system().lower())
    architecture = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{system}-{architecture}"


@cache
def cpu_model() -> str:
    """The processor's own name, or its architecture where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        match = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if match:
            return " ".join(match[1].split())
    if platform.system() == "Darwin":
        answer = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if answer.returncode == 0:
            return answer.stdout.strip()
    return platform.machine()


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
        quota, period = int(file.read_text()), int(file.with_name("cpu.cfs_period_us").read_text())
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
    return max(found, default=None)


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
        return (f"{cpu_model()} GPU (mps)",)
    return ()


def slug(text: str) -> str:
    """Lower-case letters, digits and single hyphens: fit for a path in any file system."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((?:r|tm)\)", "", text.lower())).strip("-")


def machine_id() -> str:
    """Id of the hardware class: processor, cores, memory (GiB, rounded to even numbers) and accelerators."""
    memory = 2 * round(memory_bytes() / 2**31)
    return slug(" ".join([cpu_model(), f"{cores()}c {memory}g", *sorted(set(gpus()))]))


def describe() -> str:
    """One line for people: processor, cores, memory, accelerators."""
    memory = 2 * round(memory_bytes() / 2**31)
    return ", ".join([cpu_model(), f"{cores()} cores", f"{memory} GB", *gpus()])
