"""Was the machine quiet? Probes before and after a repeat, and why a repeat is suspect.

What a system does not tell is None, never a guess; the names of such things stand in the record under `unavailable`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import psutil

from vitbench.measure import canary, energy
from vitbench.measure.limits import Limits

# The GPU's own helpers, which hold a context on it without working.
GPU_IDLERS = ("Xorg", "Xwayland", "gnome-shell")


def probe(device: str, known: dict[str, float] | None, limits: Limits) -> dict[str, Any]:
    """The machine at this moment (record.schema.yaml, `probe`); `known` is the canaries' reference."""
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    mains = Path("/sys/class/power_supply")
    on_battery = not battery.power_plugged if battery else (False if mains.is_dir() else None)
    return {
        "load_1min": os.getloadavg()[0],
        "clock_mhz": round(frequency.current, 1) if frequency and frequency.current else None,
        "free_memory_bytes": psutil.virtual_memory().available,
        "on_battery": on_battery,
        "power_mode": power_mode(),
        "foreign_gpu_processes": gpu_processes() if device == "gpu" else None,
        **canary.patient(known, limits),
    }


def power_mode(system: Path = Path("/sys")) -> str | None:
    """The platform's profile, or the frequency governors of the cores; None where the system has neither."""
    profile = system / "firmware/acpi/platform_profile"
    if profile.exists():
        return profile.read_text().strip()
    governors = {path.read_text().strip() for path in system.glob("devices/system/cpu/cpu*/cpufreq/scaling_governor")}
    return ", ".join(sorted(governors)) or None


def gpu_processes() -> list[str] | None:
    """Processes that compute on the GPU that is measured, or, where it is not known which that is, on any, while none
    of ours does; None where the driver's tool does not tell.
    """
    gpu = energy.find_gpu()
    uuid = gpu.uuid() if gpu else ""
    # The tool takes no part of a GPU for one.
    alone = [f"--id={uuid}"] if uuid.startswith("GPU-") else []
    try:
        answer = subprocess.run(
            ["nvidia-smi", *alone, "--query-compute-apps=pid,process_name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    names = [line.partition(",")[2].strip() or line for line in answer.stdout.splitlines() if line.strip()]
    return [Path(name).name for name in names if Path(name).name not in GPU_IDLERS]


def findings(probed: dict[str, Any], known: dict | None, limits: Limits) -> list[str]:
    """Why a repeat is suspect, one line each; empty if it is not.

    Args:
        probed: the probes `before` and `after`, and what `counters.taken` says of the whole repeat (`during`) and,
            where that was counted, of its timed passes alone (`timed`): what hits these alone is little of the whole.
        known: the canaries' reference, None if there is none yet.
    """
    before, after, found = probed["before"], probed["after"], []
    for name, words in (("gemm_gflops", "GEMM, GFLOP/s"), ("decode_per_second", "JPEG decodes a second")):
        slowest = min(before[name], after[name])
        if name in canary.slower(before, known, limits) + canary.slower(after, known, limits):
            found.append(
                f"canary {1 - slowest / known[name]:.0%} slower than usual ({words}: {slowest:.0f}, usually "
                f"{known[name]:.0f}; limit {limits.slower(name):.0%})"
            )
    share, where = largest(probed, "steal_share")
    if share > limits.steal:
        found.append(f"the hypervisor took {share:.1%} of the CPU{where} (limit {limits.steal:.0%})")
    if seconds := probed["during"]["throttled_seconds"]:
        found.append(f"a cgroup's quota held processes back for {seconds:.2f} s")
    share, where = largest(probed, "foreign_cpu_share")
    if share > limits.foreign_cpu:
        holding = probed["during"]["holders"]
        named = f": {', '.join(holding[:3])}" if holding else ""
        found.append(f"other processes took {share:.1%} of the CPU{where} (limit {limits.foreign_cpu:.0%}){named}")
    if before["free_memory_bytes"] < limits.free_memory_gb * 1e9:
        found.append(f"{before['free_memory_bytes'] / 1e9:.1f} GB free before (limit {limits.free_memory_gb:g})")
    if before["on_battery"] or after["on_battery"]:
        found.append("on battery power")
    # Ours have ended by the second probe.
    if others := sorted({*(before["foreign_gpu_processes"] or ()), *(after["foreign_gpu_processes"] or ())}):
        found.append(f"other processes on the GPU: {', '.join(others)}")
    return found


def largest(probed: dict[str, Any], share: str) -> tuple[float, str]:
    """The largest of a share in the whole repeat and in its timed passes, 0 where neither is known; and words of where
    that is, if not in the whole."""
    whole, timed = probed["during"][share] or 0.0, (probed.get("timed") or {}).get(share) or 0.0
    return (timed, " in the timed passes") if timed > whole else (whole, "")


def unavailable(device: str, before: dict, taken: dict) -> list[str]:
    """Names of what this system does not tell."""
    asked = {name: value for name, value in before.items() if name != "foreign_gpu_processes" or device == "gpu"}
    return sorted(name for name, value in {**asked, **taken}.items() if value is None)
