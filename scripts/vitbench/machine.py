"""What this machine is: its hardware class (the `machine` of a record), its limits, and what runs on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from vitbench import environment
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


def check_configured(configured: str) -> None:
    """Raise a UserError where the configuration's `machine` is not the one that this runs on."""
    if configured != (here := machine_id()):
        raise UserError(
            f"machine: {configured} is configured, this machine is {here}; set `machine: auto`, or measure over there"
        )


def describe() -> str:
    """One line for people: processor, cores, memory, accelerators."""
    memory = 2 * round(memory_bytes() / 2**31)
    return ", ".join([cpu_model(), f"{cores()} cores", f"{memory} GB", *gpus()])


def fingerprint() -> dict[str, Any]:
    """What the hardware, its limits and the software are, and how busy they were, for a record (JSON).

    Without network addresses, names of the host or user, and serial numbers. What a system does not tell is None.
    """
    return {
        "machine": describe(),
        "id": machine_id(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "gpus": list(gpus()),
        "gpu_facts": gpu_facts(),
        "processor": processor(),
        "limits": limits(),
        "kernel": kernel(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_before": list(os.getloadavg()),
        "variables": environment.recorded(),
    }


def processor(root: Path = Path("/")) -> dict[str, Any]:
    """Processor by /proc/cpuinfo and /sys; on systems without them its name and number alone."""
    cpuinfo = root / "proc/cpuinfo"
    blocks = [
        dict(re.findall(r"^([^\t:]+?)\s*: ?(.*)$", block, re.MULTILINE))
        for block in (cpuinfo.read_text().strip().split("\n\n") if cpuinfo.exists() else [])
    ]
    blocks = [block for block in blocks if "processor" in block]
    first = blocks[0] if blocks else {}
    system = root / "sys/devices/system"
    places = {(block.get("physical id"), block.get("core id")) for block in blocks if "core id" in block}
    return {
        "name": cpu_model(),
        "vendor": first.get("vendor_id") or first.get("CPU implementer"),
        "family": first.get("cpu family") or first.get("CPU architecture"),
        "model": first.get("model") or first.get("CPU part"),
        "stepping": first.get("stepping") or first.get("CPU revision"),
        "microcode": first.get("microcode"),
        "flags": first.get("flags") or first.get("Features"),
        "logical": len(blocks) or os.cpu_count(),
        "physical": len(places) or None,
        "sockets": len({place[0] for place in places}) or None,
        "numa_nodes": len(list((system / "node").glob("node[0-9]*"))) or None,
        "smt": _text(system / "cpu/smt/active"),
        "caches": caches(system),
        "governor": _text(system / "cpu/cpu0/cpufreq/scaling_governor"),
        "max_khz": _text(system / "cpu/cpu0/cpufreq/cpuinfo_max_freq"),
        "boost": _text(system / "cpu/cpufreq/boost"),
        "no_turbo": _text(system / "cpu/intel_pstate/no_turbo"),
        "virtual": "hypervisor" in (first.get("flags") or "").split() if first else None,
    }


def caches(system: Path) -> dict[str, str]:
    """Cache → its size and the logical cores that share one, as the kernel writes them: {"L2": "1024K, cpu 0"}."""
    found = {}
    for folder in sorted((system / "cpu/cpu0/cache").glob("index*")):
        kind = {"Data": "d", "Instruction": "i"}.get(_text(folder / "type") or "", "")
        found[f"L{_text(folder / 'level')}{kind}"] = (
            f"{_text(folder / 'size')}, cpu {_text(folder / 'shared_cpu_list')}"
        )
    return found


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
        "transparent_hugepage": _text(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        "numa_balancing": _text(root / "proc/sys/kernel/numa_balancing"),
        "swappiness": _text(root / "proc/sys/vm/swappiness"),
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


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
