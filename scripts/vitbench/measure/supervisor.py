"""One repeat from outside: alone on the machine, in a process of its own, recorded whatever becomes of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from vitbench import environment
from vitbench.accuracy import share_right
from vitbench.errors import UserError
from vitbench.files import HOME, staged, write_atomically
from vitbench.flags import CHANGED, IMAGES_LOST, NOT_REACHED, SUSPECT, UNSTEADY, WORK_LOST
from vitbench.frameworks import ADAPTERS, Prediction, plans_each_pass
from vitbench.measure import counters, quiet
from vitbench.measure.harness import BUG, says_out_of_memory
from vitbench.measure.processes import MARK, kill_marked, machine_lock, marked, reaper
from vitbench.measure.repeat import Repeat
from vitbench.records.record import (
    check,
    kept,
    lost_seconds,
    may_be_null,
    predictions_path,
    read_predictions,
    write,
)
from vitbench.steady import TIMED, Course, Pass, follow

# The Snakemake process that ordered this repeat; when it is gone, nobody waits for the record any more.
ORDERED_BY = "VITBENCH_ORDERED_BY"
ORPHANED = "the Snakemake that ordered this measurement is gone"
# What asks a process to stop: Ctrl-C, kill, a terminal that is closed.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL = 4000
# Bytes; with fewer, not even the events of a repeat can be written.
LEAST_FREE = 1e6
# How Java begins the line that repeats the options of its variable, of which a proxy's password may be one.
PICKED_UP = "Picked up "


class Cancelled(Exception):
    """The repeat was stopped from outside; there is nothing to record."""


def measure(repeat: Repeat, out: Path) -> dict[str, Any]:
    """Measure one repeat; write its record to `out` and its predictions beside it; return the record.

    One that is suspect is measured again up to `limits.retries` times. The first attempt that is not counts, else the
    last; the others stand under `attempts`. One that never became steady is not: that is what it is like, and another
    draw would only be a luckier one. Whatever the framework does, there is a record, with its status. Nothing is left
    running, and nothing on disk but these two files.

    Raises:
        RuntimeError: a mistake in vitbench itself, found in the child; no record is written.
        UserError: the disk is full; no record is written.
        Cancelled: this process was told to stop, or the Snakemake that ordered the repeat is gone.
    """
    folder = Path(repeat.task.temporary)
    with stoppable(), alone(folder) as ordered_by:
        attempts: list[dict[str, Any]] = []
        while True:
            record = _attempt(repeat, folder, ordered_by)
            if SUSPECT not in record["flags"] or len(attempts) == repeat.limits.retries:
                break
            print(f"measuring again: {'; '.join(record['quiet']['findings'])}", flush=True)
            attempts.append(_set_aside(record))
        record["attempts"] = attempts
        check(out, record)
        with deaf():
            with staged(predictions_path(out)) as temporary:
                if record["status"] == "ok":
                    shutil.copyfile(folder / "predictions.csv", temporary)
                else:
                    temporary.write_text(",".join(Prediction._fields) + "\n")
            write(out, record)
        return record


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a signal that asks this process to stop raise `Cancelled` in the block, once: cleaning up is not interrupted.

    A hang-up that is ignored, as under nohup, stays ignored.
    """

    def stop(number: int, _frame: Any) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Cancelled(f"stopped by signal {number}")

    heard = (number for number in STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN)
    before = {number: signal.getsignal(number) for number in heard}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf() -> Iterator[None]:
    """Hear no signal that asks to stop in the block: what was measured is written whole, which takes milliseconds."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def alone(folder: Path) -> Iterator[psutil.Process | None]:
    """Hold the machine for a repeat that works in `folder`; gives the process that ordered it.

    Afterwards nothing of the repeat runs, and the folder is gone, even if this process is killed.
    """
    ordered_by = who_ordered()
    with machine_lock() as lock:
        if killed := kill_marked():
            print(f"killed {killed} processes that an earlier, killed measurement had left", flush=True)
        with reaper(str(folder), folder, lock):
            try:
                yield ordered_by
            finally:
                kill_marked(str(folder))
                shutil.rmtree(folder, ignore_errors=True)


def _attempt(repeat: Repeat, folder: Path, ordered_by: psutil.Process | None) -> dict[str, Any]:
    """Run the repeat once, between two probes of the machine; its record, still without `attempts`."""
    begin, started = time.monotonic(), datetime.now(UTC)
    device = repeat.task.device
    before = quiet.probe(device, repeat.reference, repeat.limits)
    processes = counters.cpu_by_process()
    launched = time.monotonic()
    exit_status = run_child(repeat, folder, ordered_by)
    ended = time.monotonic()
    ours = [os.getpid(), *(process.pid for process in marked(str(folder)))]  # a JVM may outlive its driver by a moment
    held_by = counters.holders(processes, counters.cpu_by_process(), ended - launched, ours)
    events, tail = what_it_said(folder, exit_status)
    after = quiet.probe(device, repeat.reference, repeat.limits)
    record = repeat.known | {"started": started.isoformat(timespec="seconds")}
    record |= _outcome(repeat, folder, events, exit_status, tail)
    cpu = next((event["cpu"] for event in events if event["event"] == "done"), None)
    unknown = dict.fromkeys(("steal_share", "throttled_seconds", "foreign_cpu_share"))
    taken = {span: counters.taken(counted) for span, counted in cpu.items()} if cpu else {"during": unknown}
    taken["during"]["holders"] = held_by
    probed = {"before": before, "after": after, **taken}
    found = quiet.findings(probed, repeat.reference, repeat.limits) if cpu else []
    if found:
        record["flags"] = [*record["flags"], SUSPECT]
    for line in held_by:
        print(f"beside this repeat ran {line}", flush=True)
    return record | {
        "total_seconds": time.monotonic() - begin,
        "quiet": {
            **probed,
            "reference": repeat.reference,
            "unavailable": quiet.unavailable(device, before, taken["during"]) + _unprobed(events) if cpu else [],
            "findings": found,
            "seconds": launched - begin + time.monotonic() - ended,
        },
    }


def _unprobed(events: list[dict[str, Any]]) -> list[str]:
    """What no probe here tells of: the hosts of a cluster whose workers are not processes of this machine."""
    cluster = next((event.get("cluster") for event in events if event["event"] == "done"), None)
    return [] if cluster is None or cluster["here"] else ["workers' hosts"]


def _set_aside(record: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of an earlier attempt."""
    return kept(record, "attempts") | {"pass_seconds": [one["seconds"] for one in record["passes"]]}


def record_without_running(repeat: Repeat, out: Path, status: str, reason: str) -> dict[str, Any]:
    """Write the record of a repeat that cannot even be started, with its status and reason; return the record."""
    record = repeat.known | _failed(repeat, status, reason)
    record |= {"started": datetime.now(UTC).isoformat(timespec="seconds"), "total_seconds": 0.0, "attempts": []}
    write_atomically(predictions_path(out), ",".join(Prediction._fields) + "\n")
    write(out, record)
    return record


def run_child(
    repeat: Repeat,
    folder: Path,
    ordered_by: psutil.Process | None,
    profile: bool = False,
    watch: Callable[[int], AbstractContextManager[Any]] | None = None,
) -> int | str:
    """Run the harness in `folder`, with instrumented passes or without; its exit status, or "timeout".

    `watch` makes, of the child's process id, what is to go on beside it.
    """
    job = {
        "adapter": ADAPTERS[repeat.known["framework"]](repeat.task.variant),
        "task": asdict(repeat.task),
        "passes": asdict(repeat.passes),
        "short_passes": repeat.passes.short_passes if plans_each_pass(repeat.known["framework"]) else 0,
        "profile": profile,
        "launched": time.monotonic(),
    }
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps(job))
    command = ["vitbench.measure.harness", "task.json"]
    with open(folder / "output.log", "wb") as output:
        return run_marked(command, folder, ordered_by, repeat.timeout_seconds, output, watch)


def run_marked(
    command: list[str],
    folder: Path,
    ordered_by: psutil.Process | None,
    seconds: float | None = None,
    output: BinaryIO | None = None,
    watch: Callable[[int], AbstractContextManager[Any]] | None = None,
) -> int | str:
    """Run a module of ours with its arguments in `folder`, and let nothing that it starts outlive it.

    Args:
        seconds: after which it is stopped; None: never.
        output: the file for what it prints; None: where this process prints.
        watch: as of `run_child`.
    Returns:
        Its exit status, or "timeout".
    Raises:
        Cancelled: the process that ordered it is gone.
    """
    inherited = environment.variables(folder)
    variables = inherited | {
        MARK: str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HOME / "scripts"), inherited.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",  # everything is there; a look at the hub would only be timed
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }

    try:
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = None if seconds is None else time.monotonic() + seconds
        with watch(child.pid) if watch else nullcontext():
            while True:
                if ordered_by and not _lives(ordered_by):
                    raise Cancelled(ORPHANED)
                try:
                    return child.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    if deadline is not None and time.monotonic() > deadline:
                        return "timeout"
    finally:
        kill_marked(str(folder))


def who_ordered() -> psutil.Process | None:
    """The process that ordered this repeat, None if it was started by hand; it is looked up before any waiting."""
    try:
        return psutil.Process(int(os.environ[ORDERED_BY])) if ORDERED_BY in os.environ else None
    except psutil.NoSuchProcess:
        raise Cancelled(ORPHANED) from None


def _lives(process: psutil.Process) -> bool:
    """Whether a process still runs; one that is dead but not yet reaped, as in many containers, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def what_it_said(folder: Path, exit_status: int | str) -> tuple[list[dict[str, Any]], str]:
    """The events of a child that has ended, and the end of what it printed, which is printed here.

    Raises:
        UserError: it came to no good end, and the disk is full.
        RuntimeError: it ended by a mistake in vitbench itself.
    """
    output = (folder / "output.log").read_text(errors="replace")
    print(output, end="", flush=True)
    events = _events(folder)
    if not any(event["event"] == "done" for event in events):
        _refuse_full_disk(folder, output)
    if exit_status == BUG:
        raise RuntimeError("a mistake in vitbench itself, see the traceback above: nothing was recorded")
    return events, output[-TAIL:]


def _refuse_full_disk(folder: Path, output: str) -> None:
    """Raise UserError where a child that came to no good end had no room to write: that says nothing of its cell."""
    full = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
    said = [line for line in output.splitlines() if any(words in line for words in full)]
    if any("shared memory" in line for line in said):
        raise UserError(
            "shared memory (/dev/shm), through which processes of torch hand over images, is full: a container needs "
            "more of it (docker run --shm-size=2g), or the variant fewer `loader_workers`; this repeat was not "
            "recorded, and what was measured before stays"
        )
    if said or shutil.disk_usage(folder).free < LEAST_FREE:
        raise UserError(
            f"the disk of {folder.parent.resolve()} is full: free some room, then run again; this repeat was not "
            "recorded, and what was measured before stays"
        )


def _events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    if not path.exists():
        return []
    # The last line may be half a line, if the child was killed while it wrote.
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _failed(repeat: Repeat, status: str, reason: str) -> dict[str, Any]:
    """The outcome of a repeat that gave no number."""
    nothing = {name: None for name in may_be_null() if name not in repeat.known}
    return nothing | {"status": status, "reason": reason, "timed_passes": 0, "passes": [], "flags": [], "versions": {}}


def why_failed(repeat: Repeat, failed: dict[str, Any] | None, exit_status: int | str, tail: str) -> tuple[str, str]:
    """Status and reason of a child that did not come to its end; `failed` is its own word on it, if it had one."""
    if failed:  # it may have hung afterwards
        return failed["status"], failed["reason"]
    if exit_status == "timeout":
        return "timeout", f"not done after {repeat.timeout_seconds:.0f} s"
    said = (line.strip() for line in reversed(tail.splitlines()))
    last = next((line for line in said if line and not line.startswith(PICKED_UP)), "no output")
    how = f"signal {-exit_status}" if exit_status < 0 else f"exit status {exit_status}"
    # A SIGKILL that nobody here sent is the kernel's answer to too little memory.
    out_of_memory = says_out_of_memory(tail) or exit_status == -signal.SIGKILL
    return "oom" if out_of_memory else "error", f"the process died ({how}): {last[:300]}"


def _outcome(
    repeat: Repeat, folder: Path, events: list[dict[str, Any]], exit_status: int | str, tail: str
) -> dict[str, Any]:
    """The part of the record that depends on what happened."""
    by_name = {event["event"]: event for event in events}
    passes = [event for event in events if event["event"] == "pass"]
    ended = [Pass(one["seconds"], one["settling_seconds"]) for one in passes]
    course = follow(repeat.passes, len(repeat.task.images), ended)
    if "done" in by_name:
        outcome = {"status": "ok", "reason": None} | _succeeded(repeat, folder, by_name["done"], passes, course)
    else:
        outcome = _failed(repeat, *why_failed(repeat, by_name.get("failed"), exit_status, tail))
    for event, column in (("started", "start_seconds"), ("loaded", "load_seconds")):
        outcome[column] = by_name[event]["seconds"] if event in by_name else None
    if passes:
        outcome["cold_seconds"] = passes[0]["seconds"]
        outcome["first_batch_seconds"] = passes[0]["first"]
    if short := by_name.get("short passes"):
        outcome["short_passes"] = kept(short, "short_passes")
    phases = course.phases()
    outcome["passes"] = [{"phase": phase} | kept(one, "passes") for phase, one in zip(phases, passes, strict=True)]
    outcome["timed_passes"] = phases.count(TIMED)
    return outcome


def _succeeded(
    repeat: Repeat, folder: Path, done: dict[str, Any], passes: list[dict[str, Any]], course: Course
) -> dict[str, Any]:
    timed = passes[course.begin :]
    seconds = statistics.median(one["seconds"] for one in timed)
    valid = min(one["valid"] for one in timed)
    flags = {
        UNSTEADY: not course.settled,
        CHANGED: any(one["changed"] for one in passes),
        IMAGES_LOST: min(one["valid"] for one in passes[1:]) < len(repeat.labels),
    }
    histogram = done["effective_batch_sizes"]
    effective = max(int(size) for size in histogram) if histogram else None
    flags[NOT_REACHED] = effective is not None and effective < repeat.known["batch_size"]
    cluster = done.get("cluster")
    # A new executor is cold, and fewer of them are another cluster: what was lost counts for the whole repeat.
    flags[WORK_LOST] = cluster is not None and cluster["executors_lost"] + cluster["tasks_retried"] > 0
    known = kept(done)
    if (cost := lost_seconds(passes)) is not None:
        known["cluster"] = cluster | {"lost_seconds": cost}
    return known | {
        "environment": repeat.known["environment"] | done["environment"],
        "effective_batch_size": effective,
        "waves": -(-done["partitions"] // done["slots"]) if done["partitions"] else None,
        "steady": course.steady(),
        "wall_seconds": seconds,
        "throughput": valid / seconds,
        "valid_predictions": valid,
        "accuracy": share_right(read_predictions(folder / "predictions.csv"), repeat.labels),
        "flags": [flag for flag, raised in flags.items() if raised],
    }
