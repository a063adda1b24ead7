"""Was the machine quiet? Probes before and after a repeat, what others took meanwhile, and why a repeat is suspect.

What a system does not tell is None, never a guess; the names of such things stand in the record under `unavailable`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from mmap import mmap
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from vitbench import machine
from vitbench.errors import UserError
from vitbench.measure.processes import own_processes

CANARY = ("gemm_gflops", "decode_per_second")
TAKES, BETWEEN_TAKES = 3, 1.0
# The file beside the records that holds their canaries, a line a record, so that no repeat reads all records again.
KEPT = ".canaries.jsonl"
GEMM_SIZE = 1024
# A process is named as a holder of the machine from this share of one core on.
HOLDER = 0.02
# The GPU's own helpers, which hold a context on it without working.
GPU_IDLERS = ("Xorg", "Xwayland", "gnome-shell")


@dataclass(frozen=True)
class Limits:
    """What a repeat may meet before it is suspect; shares are of 1."""

    canary_seconds: float
    """length of each of the canary's two parts"""
    gemm_slower: float
    """by how much the canary's GEMM may be slower than the median of the canaries so far"""
    decode_slower: float
    """the same for its JPEG decoding"""
    steal: float
    """share of CPU time that the hypervisor gave to others"""
    foreign_cpu: float
    """CPU time of other processes, as a share of all cores"""
    free_memory_gb: float
    """memory that must be free before"""
    retries: int
    """how often a suspect repeat is measured again"""

    def slower(self, name: str) -> float:
        """By how much this part of the canary (see CANARY) may be slower than usual."""
        return {"gemm_gflops": self.gemm_slower, "decode_per_second": self.decode_slower}[name]


# --- the canary -------------------------------------------------------------------------------------------------------


def canary(seconds: float) -> dict[str, float]:
    """The same work each time, `seconds` each: float32 GEMM on all cores (GFLOP/s), JPEG decoding on one (images/s).

    JPEG is decoded into one place, at the beginning of a page. Where the heap puts an image decides how fast it is
    written: by Pillow 5,000, 6,450 or 9,400 small images a second on one machine, for as long as the heap stays so.
    """
    import numpy
    import simplejpeg

    generator = numpy.random.default_rng(1)
    one, two = (generator.standard_normal((GEMM_SIZE, GEMM_SIZE), dtype=numpy.float32) for _ in range(2))
    product = one @ two  # the library's threads start here, before the clock
    products = _rate(lambda: numpy.matmul(one, two, out=product), seconds)
    photograph = numpy.kron(generator.integers(0, 255, (15, 20, 3), dtype=numpy.uint8), numpy.ones((8, 8, 1)))
    jpeg = simplejpeg.encode_jpeg(photograph.astype(numpy.uint8), quality=90)
    pixels = mmap(-1, photograph.size)
    decodes = _rate(lambda: simplejpeg.decode_jpeg(jpeg, buffer=pixels), seconds)
    return {"gemm_gflops": products * 2 * GEMM_SIZE**3 / 1e9, "decode_per_second": decodes}


def _rate(work: Callable[[], Any], seconds: float) -> float:
    """How often a second `work` can be done, by the faster quarter of its times over about `seconds`.

    A hiccup of a few milliseconds says nothing of the minute that follows; a neighbour that stays slows all times down.
    """
    work()
    end, times = time.perf_counter() + seconds, []
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1 / sorted(times)[len(times) // 4]


def slower(taken: dict[str, float], known: dict[str, float] | None, limits: Limits) -> list[str]:
    """Names of a canary's parts that are slower than usual by more than the limit; none if nothing is known."""
    return [name for name in CANARY if known and taken[name] < known[name] * (1 - limits.slower(name))]


def patient_canary(known: dict[str, float] | None, limits: Limits) -> dict[str, float]:
    """A canary; one that is slow is taken again, a second later, and the faster of each part counts.

    Somebody's command of a second beside it is no state of the machine.
    """
    taken = canary(limits.canary_seconds)
    for _ in range(TAKES - 1):
        if not slower(taken, known, limits):
            break
        time.sleep(BETWEEN_TAKES)
        again = canary(limits.canary_seconds)
        taken = {name: max(taken[name], again[name]) for name in CANARY}
    return taken


def first_canaries(limits: Limits, count: int, patience: float) -> list[dict[str, float]]:
    """`count` canaries in a row, each part of which is within its limit of the fastest of them; after `patience`
    seconds the last ones, whatever they are.

    Before the first record they alone say what is usual here: a busy minute must not pass for it.
    """
    taken, end = [canary(limits.canary_seconds) for _ in range(count)], time.monotonic() + patience
    while time.monotonic() < end:
        fastest = {name: max(one[name] for one in taken) for name in CANARY}
        if not any(slower(one, fastest, limits) for one in taken):
            break
        time.sleep(BETWEEN_TAKES)
        taken = [*taken[1:], canary(limits.canary_seconds)]
    return taken


def reference(folder: Path, more: Iterable[dict[str, Any]] = ()) -> dict[str, float] | None:
    """Medians of the canaries so far, and their number (`canaries`); None if there is none.

    They are those in the records below `folder`, attempts that were set aside included, and `more`. Each record is read
    once for all repeats: its canaries are kept in the file KEPT in `folder`, beside what tells that the record is still
    the same.

    Raises:
        UserError: a file there is no record.
    """
    folder, canaries, new = Path(folder), list(more), []
    kept = _kept_canaries(folder / KEPT)
    for path, mark in _record_files(folder):
        place = path.relative_to(folder).as_posix()
        if (found := kept.get((place, *mark))) is None:
            found = _canaries(path)
            new.append(json.dumps({"record": place, "mark": mark, "canaries": found}))
        canaries += [dict(zip(CANARY, rates, strict=True)) for rates in found]
    if new:
        with open(folder / KEPT, "a", encoding="utf-8") as handle:
            # The break before: a line that a kill left half-written then spoils no other.
            handle.write("".join(f"\n{line}" for line in new))
    known = {name: [one[name] for one in canaries if one[name]] for name in CANARY}
    if not all(known.values()):
        return None
    return {name: median(values) for name, values in known.items()} | {"canaries": len(canaries)}


def _record_files(folder: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    """The records below a folder, each with its mark: number of the file, size and time, one of which any edit changes.

    What is hidden is no record yet, or never became one.
    """
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _record_files(Path(entry.path))
            elif fnmatchcase(entry.name, "rep*.json"):
                state = os.stat(entry.path)
                yield Path(entry.path), (state.st_ino, state.st_size, state.st_mtime_ns)


def _kept_canaries(path: Path) -> dict[tuple, list[list[float | None]]]:
    """(record, its mark) → the rates (CANARY) of each of its canaries, as far as they were kept."""
    kept = {}
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        try:
            one = json.loads(line)
            kept[one["record"], *one["mark"]] = [
                [rates[place] for place in range(len(CANARY))] for rates in one["canaries"]
            ]
        except (ValueError, KeyError, TypeError, IndexError):
            continue  # half a line, which a kill left: its record is read again
    return kept


def _canaries(path: Path) -> list[list[float | None]]:
    """The rates (CANARY) of each canary of a record and of its attempts that were set aside."""
    try:
        record = json.loads(path.read_text())
        every = [record["quiet"], *(attempt["quiet"] for attempt in record["attempts"])]
        probes = [quiet[when] for quiet in every if quiet for when in ("before", "after")]
        return [[one[name] for name in CANARY] for one in probes]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record ({error}): remove it to measure it again") from error


# --- probes -----------------------------------------------------------------------------------------------------------


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
        **patient_canary(known, limits),
    }


def power_mode(system: Path = Path("/sys")) -> str | None:
    """The platform's profile, or the frequency governors of the cores; None where the system has neither."""
    profile = system / "firmware/acpi/platform_profile"
    if profile.exists():
        return profile.read_text().strip()
    governors = {path.read_text().strip() for path in system.glob("devices/system/cpu/cpu*/cpufreq/scaling_governor")}
    return ", ".join(sorted(governors)) or None


def gpu_processes() -> list[str] | None:
    """Processes that compute on a GPU, while none of ours does; None where the driver's tool does not tell."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-compute-apps=pid,process_name", "--format=csv,noheader"],
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


# --- what others took -------------------------------------------------------------------------------------------------


def cpu_counters() -> dict[str, float | None]:
    """Seconds since some fixed moment: elapsed, busy and stolen (on the cores that this process may use), throttled.

    None where the system does not tell, or where it tells of a whole machine of which a cgroup gives us a part.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    busy = steal = None
    if machine.cores() == len(allowed):
        times = [one for number, one in enumerate(psutil.cpu_times(percpu=True)) if number in allowed]
        idle = sum(one.idle + getattr(one, "iowait", 0.0) for one in times)
        # Linux counts guest time in user time too.
        steal = sum(one.steal for one in times) if hasattr(times[0], "steal") else None
        busy = sum(sum(one) - getattr(one, "guest", 0) - getattr(one, "guest_nice", 0) for one in times) - idle
        busy -= steal or 0.0
    return {"elapsed": time.monotonic(), "busy": busy, "steal": steal, "throttled": machine.throttled_seconds()}


def tree_cpu_seconds() -> float:
    """CPU seconds of this process and of all that it started and that lives, reparented or not (`own_processes`)."""
    total = 0.0
    for process in own_processes():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def cpu_by_process() -> dict[tuple[int, float], tuple[str, float]]:
    """(pid, time of creation) → (name, CPU seconds) of every process that this user may look at."""
    found = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                times = process.cpu_times()
                if process.status() == psutil.STATUS_ZOMBIE:  # dead, only not yet collected: our own JVM, mostly
                    continue
                found[process.pid, process.create_time()] = (process.name(), times.user + times.system)
        except psutil.Error:  # gone meanwhile, or another user's
            continue
    return found


def holders(before: dict, after: dict, seconds: float, ours: Iterable[int] = ()) -> list[str]:
    """Other processes that took at least HOLDER of one core in these seconds, the greediest first."""
    ours = set(ours)
    taken = sorted(
        ((after[key][1] - before.get(key, ("", 0.0))[1]) / seconds, after[key][0], key[0])
        for key in after
        if key[0] not in ours
    )
    return [f"{name} ({pid}): {share:.0%} of a core" for share, name, pid in reversed(taken) if share >= HOLDER]


class Spans:
    """What `cpu_counters` and `tree_cpu_seconds` count, added up over spans from `start` to `stop`."""

    def __init__(self) -> None:
        self.counted: dict[str, float | None] | None = None
        """seconds; None while no span has ended"""

    def start(self) -> None:
        """Begin a span, with the clock off: it looks at every process."""
        self.begun = self._read()

    def stop(self) -> None:
        """End the span that `start` began."""
        span = {name: _both(end, self.begun[name], -1) for name, end in self._read().items()}
        before = self.counted or dict.fromkeys(span, 0.0)
        self.counted = {name: _both(before[name], seconds, 1) for name, seconds in span.items()}

    def forget(self) -> None:
        """Leave all spans so far out."""
        self.counted = None

    @staticmethod
    def _read() -> dict[str, float | None]:
        return {**cpu_counters(), "own_cpu_seconds": tree_cpu_seconds()}


def _both(one: float | None, other: float | None, sign: int) -> float | None:
    """Sum or difference of two counts, of which none is below 0; None where one is not known."""
    return None if one is None or other is None else max(0.0, one + sign * other)


def taken(counted: dict[str, float | None]) -> dict[str, Any]:
    """What was taken from a repeat, by what `Spans` counted.

    `counters` are the seconds that the shares are made of, so that anybody can make them again.
    """
    cores = machine.cores()
    whole, busy, steal, own = counted["elapsed"] * cores, counted["busy"], counted["steal"], counted["own_cpu_seconds"]
    return {
        "steal_share": None if steal is None else steal / whole,
        "throttled_seconds": counted["throttled"],
        "foreign_cpu_share": None if busy is None else max(0.0, busy - own) / whole,
        "counters": {
            "elapsed": counted["elapsed"],
            "cores": cores,
            "busy": busy,
            "steal": steal,
            "own_cpu_seconds": own,
        },
    }


# --- judgement --------------------------------------------------------------------------------------------------------


def findings(probed: dict[str, Any], known: dict | None, limits: Limits) -> list[str]:
    """Why a repeat is suspect, one line each; empty if it is not.

    Args:
        probed: the probes `before` and `after`, and what was `taken` in the whole repeat (`during`) and, where that was
            counted, in its timed passes alone (`timed`): what hits these alone is little of the whole.
        known: the canaries' reference, None if there is none yet.
    """
    before, after, found = probed["before"], probed["after"], []
    for name, words in (("gemm_gflops", "GEMM, GFLOP/s"), ("decode_per_second", "JPEG decodes a second")):
        slowest = min(before[name], after[name])
        if name in slower(before, known, limits) + slower(after, known, limits):
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
