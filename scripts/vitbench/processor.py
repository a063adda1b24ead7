"""The processor: its microarchitecture, the instruction sets that decide how fast it multiplies, its caches."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from vitbench.errors import UserError

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
# Any of these flags means products in bfloat16.
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
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


@cache
def name() -> str:
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


def read(root: Path = Path("/")) -> dict[str, Any]:
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
        "name": name(),
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
        "smt": text_of(system / "cpu/smt/active"),
        "caches": caches(system),
        "governor": text_of(system / "cpu/cpu0/cpufreq/scaling_governor"),
        "max_khz": text_of(system / "cpu/cpu0/cpufreq/cpuinfo_max_freq"),
        "boost": text_of(system / "cpu/cpufreq/boost"),
        "no_turbo": text_of(system / "cpu/intel_pstate/no_turbo"),
        "virtual": "hypervisor" in (first.get("flags") or "").split() if first else None,
    }


def multiplies_bfloat16() -> bool:
    """Whether this processor has products in bfloat16, of x86 or of ARM, so that nobody has to emulate them."""
    return not BFLOAT16.isdisjoint(read()["instruction_sets"])


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


def line(facts: dict[str, Any]) -> str | None:
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
        kind = {"Data": "d", "Instruction": "i"}.get(text_of(folder / "type") or "", "")
        found[f"L{text_of(folder / 'level')}{kind}"] = (
            f"{text_of(folder / 'size')}, cpu {text_of(folder / 'shared_cpu_list')}"
        )
    return found


def text_of(file: Path) -> str | None:
    """Content of a small file of the kernel; None where there is none."""
    try:
        return file.read_text().strip()
    except OSError:
        return None
