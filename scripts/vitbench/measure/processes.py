"""Measuring alone, and leaving nothing behind: the lock of the machine, marked processes, and their reaper."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# Set in the environment of everything that a repeat starts, the JVM included, so that it can be found again.
MARK = "VITBENCH_REPEAT"
# Names another folder to lock than the system's for temporary files. Tests do, which measure nothing that counts: they
# neither wait for a measurement on this machine nor kill what one has started.
LOCK = "VITBENCH_LOCK"


def _lock_folder(variables: Mapping[str, str]) -> str:
    """The folder whose lock a process with these variables holds or waits for."""
    return os.path.realpath(variables.get(LOCK, "/tmp"))


def _lock_of(pid: int, folder: str) -> tuple[int, int] | str | None:
    """What tells the folder that a process locks from every other; None where that cannot be seen.

    Two processes may each have a /tmp of their own, as Slurm, systemd and containers make them: they hold two locks.
    """
    if not Path("/proc/self/root").exists():
        return folder
    try:
        found = os.stat(f"/proc/{pid}/root{folder}")
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def machine_lock() -> Iterator[int]:
    """Hold the one lock of this machine; waits, and says so, while another measurement runs, whoever's it is.

    The lock is on the system's folder for temporary files, which every user can open: no file is made or left, and
    the kernel lets go of it when the process dies, however it dies. Yields the descriptor that holds it.
    """
    descriptor = os.open(_lock_folder(os.environ), os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting: another vitbench measurement runs on this machine", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def marked(value: str | None = None) -> list[psutil.Process]:
    """Processes of this user that carry the mark (with this value, or any), without the one that asks.

    They were started under the same lock as this process: those of another one are none of its business.
    """
    found, own_lock = [], _lock_of(os.getpid(), _lock_folder(os.environ))
    for process in psutil.process_iter():
        try:
            variables = process.environ() if process.pid != os.getpid() else {}
            mark = variables.get(MARK)
            if mark is None or value not in (None, mark) or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _lock_of(process.pid, _lock_folder(variables)) == own_lock:
                found.append(process)
        except psutil.Error:  # gone meanwhile, or another user's
            continue
    return found


def own_processes() -> list[psutil.Process]:
    """This process, its living descendants, and whatever else bears its own mark: what they started and left to others.

    A daemon whose parent has ended hangs below the system's first process; it is still of this repeat.
    """
    own = psutil.Process()
    found = {process.pid: process for process in [own, *own.children(recursive=True)]}
    if MARK in os.environ:
        found |= {process.pid: process for process in marked(os.environ[MARK])}
    return list(found.values())


def kill_marked(value: str | None = None, patience: float = 30.0) -> int:
    """Kill every marked process and whatever it starts meanwhile; returns how many were killed.

    Raises:
        RuntimeError: some are still there after `patience` seconds.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + patience
    while processes := marked(value):
        if time.monotonic() > deadline:
            raise RuntimeError(f"cannot kill {[process.pid for process in processes]}")
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            killed.add(process.pid)
        psutil.wait_procs(processes, timeout=1)
    return len(killed)


@contextmanager
def reaper(value: str, folder: Path, lock: int) -> Iterator[None]:
    """Run the block beside a tiny process that, should this one die, kills what carries the mark and removes `folder`.

    A SIGKILL cannot be caught, so somebody else must be there to see it: the reaper holds one end of a pipe, whose
    other end the kernel closes when this process dies. It has a session of its own, for a kill of the whole group, and
    a share in the machine's lock, so that the next measurement, maybe in the same folder, begins after it is done.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        kept = sorted((reading, lock))
        for above, below in zip((2, *kept), (*kept, min(os.sysconf("SC_OPEN_MAX"), 65536)), strict=True):
            os.closerange(above + 1, below)
        try:
            if os.read(reading, 1) == b"":
                kill_marked(value)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os._exit(0)
    os.close(reading)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):  # the reaper was killed: this process lives, and cleans up itself
            os.write(writing, b".")
        os.close(writing)
        os.waitpid(pid, 0)
