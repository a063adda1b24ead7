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

from vitbench import environment
from vitbench.errors import UserError

PACKAGES = (
    *("numpy", "onnxruntime", "openvino", "pillow", "psutil", "pyspark", "safetensors", "spark-nlp"),
    *("torch", "torchvision", "transformers"),
)
# Processors by (vendor, family) and then by model, as Linux tells them apart (arch/x86/kernel/cpu/amd.c and
# arch/x86/include/asm/intel-family.h): archspec goes by flags alone, which a hypervisor hides; these numbers it leaves.
GENERATIONS = {
    ("AuthenticAMD", 23): (
        ("zen", (*range(0x00, 0x30), *range(0x50, 0x60))),
        ("zen2", (*range(0x30, 0x50), *range(0x60, 0x80), 0x90, 0x91, *range(0xA0, 0xB0))),
    ),
    ("AuthenticAMD", 25): (
        ("zen3", (*range(0x00, 0x10), *range(0x20, 0x60))),
        ("zen4", (*range(0x10, 0x20), *range(0x60, 0xB0))),
    ),
    ("AuthenticAMD", 26): (
        ("zen5", (*range(0x00, 0x30), *range(0x40, 0x50), *range(0x60, 0x80))),
        ("zen6", (*range(0x50, 0x60), *range(0x90, 0xB0), *range(0xC0, 0xD0))),
    ),
    ("GenuineIntel", 6): (
        ("haswell", (63,)),
        ("broadwell", (79,)),
        ("skylake", (78, 94)),
        ("icelake", (106, 108)),
        ("sapphirerapids", (143,)),
        ("emeraldrapids", (207,)),
        ("graniterapids", (173, 174)),
        ("sierraforest", (175,)),
    ),
}
# Flags that decide how fast matrices are multiplied.
FAST = re.compile("(avx|amx|fma|f16c|asimd|fphp|bf16|i8mm|sve|sme)")
# The widest of these that a processor has stands in the id of its machine: word, flags that make it.
WIDEST = (
    ("amx", {"amx_tile", "amx_bf16"}),
    ("avx512bf16", {"avx512f", "avx512_bf16"}),
    ("avx512vnni", {"avx512f", "avx512_vnni"}),
    ("avx512", {"avx512f"}),
    ("avxvnni", {"avx2", "avx_vnni"}),
    ("avx2", {"avx2"}),
    ("avx", {"avx"}),
    ("sme", {"sme"}),
    ("svebf16", {"sve", "bf16"}),
    ("sve", {"sve"}),
    ("bf16", {"asimd", "bf16"}),
    ("asimd", {"asimd"}),
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
    word = next((word for word, needed in WIDEST if needed <= flags), "")
    # skylake-avx512 says it already.
    words = [name] if name.endswith(word) else [name, word]
    size = f"{facts['cores']}c {memory_gib(facts['memory_bytes'])}g"
    return slug(" ".join([*words, size, *(sorted(set(facts["gpus"])) if "gpu" in devices else [])]))


def machine_id(devices: Iterable[str] = ("cpu",)) -> str:
    """Id of the hardware class that this is, for a run on `devices` (see `identify`)."""
    facts = {"processor": processor(), "cores": cores(), "memory_bytes": memory_bytes(), "gpus": list(gpus())}
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
    drawn = _text(Path("/proc/sys/kernel/random/boot_id"))
    return sha256(drawn.encode()).hexdigest()[:8] if drawn else None


def describe() -> str:
    """One line for people: processor, microarchitecture, cores, memory, accelerators."""
    name, kind = cpu_model(), processor()["microarchitecture"].replace("_", " ")
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
    flags = (first.get("flags") or first.get("Features") or "").split()
    system = root / "sys/devices/system"
    places = {(block.get("physical id"), block.get("core id")) for block in blocks if "core id" in block}
    return {
        "name": cpu_model(),
        "microarchitecture": microarchitecture(blocks),
        "instruction_sets": sorted(flag for flag in flags if FAST.match(flag)),
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


def microarchitecture(blocks: list[dict[str, str]]) -> str:
    """Name of a processor's microarchitecture, from the blocks of /proc/cpuinfo (one a logical core; none: macOS).

    The name alone (zen5, neoverse_v1) where the processor's numbers give it. Where only its instruction sets do, the
    numbers follow (skylake 6.158): two processors that archspec cannot tell apart then still have two names.
    """
    try:
        from archspec import cpu
    except ModuleNotFoundError:  # in an environment with Snakemake alone
        raise UserError("archspec, which names the processor, is missing: install it beside Snakemake") from None

    if not blocks:
        return cpu.host().name
    first = blocks[0]
    arm = "CPU implementer" in first
    flags = set((first.get("flags") or first.get("Features") or "").split())
    known = [one for one in cpu.TARGETS.values() if one.family.name == ("aarch64" if arm else "x86_64")]
    if arm:
        # On some processors the cores are of several kinds.
        parts = {(block.get("CPU implementer"), block.get("CPU part")) for block in blocks}
        vendors = cpu.schema.TARGETS_JSON["conversions"]["arm_vendors"]
        names = {one.name for one in known for maker, part in parts if one.cpu_part == part if
                 one.vendor == vendors.get(maker)}  # fmt: skip
        if names:
            return "_".join(sorted(names))
        vendor, number = first["CPU implementer"], "_".join(sorted(f"{maker}.{part}" for maker, part in parts))
    else:
        vendor, number = first.get("vendor_id", ""), f"{first.get('cpu family')}.{first.get('model')}"
    # Only flags that make a processor fast are compared: hypervisors hide many of the others.
    fast = {one.name: {flag for flag in one.features if FAST.match(flag)} for one in known}
    fitting = [one for one in known if one.vendor in (vendor, "generic") and fast[one.name] <= flags]
    like = max(fitting, key=lambda one: (len(one.ancestors), len(one.features))).name if fitting else "x86_64"
    name = None if arm else generation(vendor, first)
    # Where the numbers are of a processor that lacks instructions which this one has, a hypervisor made them up.
    if name and not fast.get(name, fast[like]) < fast[like]:
        return name
    return f"{like} {number}"


def generation(vendor: str, block: dict[str, str]) -> str | None:
    """Name of an x86 processor by its vendor, family, model and stepping; None where these are not in the table."""
    try:
        family, model, stepping = (int(block[key]) for key in ("cpu family", "model", "stepping"))
    except (KeyError, ValueError):
        return None
    if (vendor, family, model) == ("GenuineIntel", 6, 85):
        return "skylake_avx512" if stepping < 5 else "cascadelake" if stepping < 8 else "cooperlake"
    return next((name for name, models in GENERATIONS.get((vendor, family), ()) if model in models), None)


def processor_line(facts: dict[str, Any]) -> str | None:
    """One line that differs where two processors do, from a fingerprint's `processor`; None where that says too little.

    Vendor, family, model, stepping, microarchitecture and the flags that decide speed; no microcode, which an update
    of the system changes.
    """
    known = facts.get("processor") or {}
    if not known.get("microarchitecture"):
        return None
    numbers = ".".join(str(known.get(key) or "?") for key in ("family", "model", "stepping"))
    sets = sha256(" ".join(known.get("instruction_sets") or ()).encode()).hexdigest()[:8]
    return f"{known['microarchitecture']} ({known.get('vendor') or known.get('name')} {numbers}, flags {sets})"


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
