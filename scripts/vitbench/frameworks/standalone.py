"""A standalone Spark cluster of our own: a master and its workers, processes of this machine that listen on 127.0.0.1.

Spark's scripts start daemons that outlive whoever started them. These are children of the process that measures: they
and their executors inherit the mark by which the supervisor finds what it must kill, their folders lie in the repeat's
own, and they are stopped with the session. Where the system can, each worker is held to cores of its own, with all
that it starts: an engine that takes every core it sees then takes those of its worker, as on a node of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from functools import partial
from itertools import zip_longest
from pathlib import Path

from vitbench.errors import UserError
from vitbench.frameworks.spark import LOG4J

MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
LOOPBACK = "127.0.0.1"
# Heap of a daemon, which moves no data.
DAEMON_MEMORY = "512m"
# Seconds in which the master must listen: a JVM starts in two, but on a machine that is busy it took over sixty.
PATIENCE = 300.0
# Seconds in which a daemon that is told to end must be gone.
TO_END = 60.0
# Of each log, where a cluster did not come up.
TOLD_LINES = 30
# The master says at this level which port it got.
_LOG4J = f"{LOG4J}logger.master.name = {MASTER}\nlogger.master.level = info\n"
_STARTED = re.compile(r"Starting Spark master at (spark://\S+:\d+)\s")


class Standalone:
    """The daemons of one cluster, with their logs and folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.pinned = False
        """whether each worker is held to cores of its own"""

    def start(self, workers: int, cores: int, memory_mb: int) -> str:
        """Start master and workers; the master's address, `spark://127.0.0.1:PORT`. All ports are chosen free.

        Args:
            workers: how many, each of so many `cores` and so much memory for executors (MB of 2^20 bytes).

        Raises:
            UserError: the master does not listen within PATIENCE seconds, or has ended.
        """
        self.folder.mkdir(parents=True)
        (self.folder / "log4j2.properties").write_text(_LOG4J)
        self._run("master", MASTER, [])
        address = self._address()
        own = cores_of_each(workers, cores)
        self.pinned = own is not None
        for number in range(workers):
            name = f"worker-{number}"
            size = ["--cores", str(cores), "--memory", f"{memory_mb}M", "--work-dir", str(self.folder / name)]
            self._run(name, WORKER, [*size, address], own[number] if own else None)
        return address

    def check(self) -> None:
        """Raise UserError if a daemon has ended, with the last line that it said."""
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                said = (self.folder / f"{name}.log").read_text(errors="replace").split("\n")
                last = next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
                raise UserError(f"Spark's {name} ended (exit status {daemon.returncode}): {last[:300]}")

    @property
    def workers_gone(self) -> bool:
        """Whether every worker has ended, so that nobody is left to do a task."""
        return all(daemon.poll() is not None for name, daemon in self.daemons.items() if name != "master")

    def tell(self) -> None:
        """Print the ends of what daemons and executors said: a cluster that did not come up leaves no other trace."""
        for log in sorted([*self.folder.glob("*.log"), *self.folder.glob("worker-*/*/*/stderr")]):
            said = log.read_text(errors="replace").splitlines()
            print(f"--- {log.relative_to(self.folder)}", *said[-TOLD_LINES:], sep="\n", flush=True)

    def stop(self) -> None:
        """End all daemons, and with the workers their executors; when this returns, no daemon is left."""
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(TO_END)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _run(self, name: str, kind: str, options: list[str], cores: set[int] | None = None) -> None:
        import pyspark

        home = Path(pyspark.__file__).parent
        java_options = [
            f"-Djava.io.tmpdir={self.folder}",
            f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.properties').as_uri()}",
            "-XX:-UsePerfData",  # no file in the system's temporary folder
        ]
        variables = os.environ | {
            "SPARK_HOME": str(home),
            "SPARK_CONF_DIR": str(self.folder),
            "SPARK_LOCAL_DIRS": str(self.folder),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_DAEMON_MEMORY": DAEMON_MEMORY,
            "SPARK_DAEMON_JAVA_OPTS": shlex.join(java_options),
            "SPARK_LAUNCHER_OPTS": "-XX:-UsePerfData",
        }
        command = [str(home / "bin" / "spark-class"), kind, "--host", LOOPBACK, "--port", "0", "--webui-port", "0"]
        with open(self.folder / f"{name}.log", "wb") as output:
            # The script becomes the daemon (exec), so that its process is the one that is stopped.
            self.daemons[name] = subprocess.Popen(
                [*command, *options],
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(os.sched_setaffinity, 0, cores) if cores else None,
            )

    def _address(self) -> str:
        """What the master says that it listens on."""
        log, deadline = self.folder / "master.log", time.monotonic() + PATIENCE
        while not (found := _STARTED.search(log.read_text(errors="replace"))):
            self.check()
            if time.monotonic() > deadline:
                raise UserError(f"Spark's master did not listen on {LOOPBACK} within {PATIENCE:.0f} s")
            time.sleep(0.05)
        return found[1]


def cores_of_each(workers: int, cores: int) -> list[set[int]] | None:
    """Numbers of the logical CPUs that each worker is held to; None where the system holds no process, or has too few.

    The hardware threads of one core belong to one worker, whatever their numbers are. Workers that are smaller than a
    core get one each, as long as there are any: two of them on one core would take from each other.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    of_core: dict[tuple[int, int], list[int]] = {}
    for number in sorted(os.sched_getaffinity(0)):
        of_core.setdefault(_core_of(number), []).append(number)
    each = [of_core[core] for core in sorted(of_core)]
    if cores < max(map(len, each)):
        each = [[thread for thread in threads if thread is not None] for threads in zip_longest(*each)]
    there = [number for threads in each for number in threads]
    if workers * cores > len(there):
        return None
    return [set(there[number * cores : (number + 1) * cores]) for number in range(workers)]


def _core_of(number: int, root: Path = Path("/sys/devices/system/cpu")) -> tuple[int, int]:
    """Processor package and core of a logical CPU; the first of each where the system does not tell."""
    topology = root / f"cpu{number}" / "topology"
    try:
        return int((topology / "physical_package_id").read_text()), int((topology / "core_id").read_text())
    except (OSError, ValueError):
        return 0, 0
