"""A framework that does as it is told, for the tests of the harness: its variant's settings say what goes wrong, where.

The images are small text files that hold their label: each pass reads them again, so a changed file is seen.

Settings: `seconds` (of each pass; the last one stands for all later ones), `settling` (the same, of what the run time
spends on settling), `settling_of_short_pass` (one number), `collecting` (and on collecting garbage), `faults` (what
each pass lost), `streams`, `describe` (changes to the description), `says_nothing_of` (keys that are left out of it),
`log` (file that gets begin and end of this process's life), `lose`, `twice` (ids), `from_pass` and `until_pass`
(between these they are lost or given twice), `count_energy` (a made-up counter of 1 J a reading), and `at`: step → what
is done there, with its argument, by a function of this module. Steps are start, load, pass 0, short pass, pass 1, ...,
profile, describe, close. `stages`: stage → seconds that an image spends there in an instrumented pass. With
`made_up_time` passes take exactly what is said, whatever else the machine does, and nobody waits for them.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitbench.errors import UserError
from vitbench.frameworks import Plain, Prediction, Task, Unavailable
from vitbench.frameworks.stages import Stopwatch
from vitbench.measure import energy
from vitbench.measure.energy import Package

DESCRIPTION = {
    "accelerator": "cpu",
    "precision": "float32",
    "setting": "as it is told",
    "threads": 2,
    "slots": 1,
    "partitions": None,
    "partition_rows": None,
    "effective_batch_sizes": {"4": 1, "2": 1},
    "batches": "observed",
    "versions": {"fake": "1.0"},
    "environment": {"blas": "none"},
}


class Adapter(Plain):
    def __init__(self, task: Task) -> None:
        self.task, self.plan = task, task.variant
        self.streams = self.plan.get("streams", True)
        self.helpers_stay = self.plan.get("helpers_stay", True)
        self.passes = self.short_passes = 0
        self.begin = time.monotonic()
        if self.plan.get("made_up_time"):
            make_up_time()
        if self.plan.get("count_energy"):
            counter = itertools.count(step := 1_000_000, step)
            Package.read = lambda _: next(counter)
            energy.packages = lambda *_: [Package(Path(), 10**12)]

    def start(self) -> None:
        self._at("start")

    def load(self) -> None:
        self._at("load")

    def classify(self) -> Iterator[Prediction]:
        number = self.passes
        self.passes += 1
        strange = self.plan.get("from_pass", 0) <= number < self.plan.get("until_pass", number + 1)
        for image, path in self.task.images:
            if strange and image in self.plan.get("lose", []):
                continue
            prediction = Prediction(image, Path(path).read_text(), 0.9)
            yield prediction
            if strange and image in self.plan.get("twice", []):
                yield prediction
        seconds = self.plan.get("seconds", [0.02])
        time.sleep(seconds[min(number, len(seconds) - 1)])
        yield from self._at(f"pass {number}") or ()

    def profile(self, passes: int) -> dict[str, Any]:
        self._at("profile")
        profiled = []
        for _ in range(passes):
            watch, begin = Stopwatch(), time.perf_counter()
            for _image in self.task.images:
                for stage, seconds in self.plan.get("stages", {}).items():
                    with watch.stage(stage):
                        time.sleep(seconds)
            seconds = time.perf_counter() - begin
            profiled.append({"seconds": seconds, "stages": watch.stages_of(seconds)})
        return {"method": "timers", "passes": profiled, "details": {}}

    def short_pass(self) -> int:
        self._at("short pass")
        self.short_passes += 1
        return 2

    def settling_seconds(self) -> float:
        """Grows with each pass by what the plan says; the last number stands for all later passes."""
        growth = self.plan.get("settling", [0.0])
        planning = self.plan.get("settling_of_short_pass", 0.0) * self.short_passes
        return planning + sum(growth[min(number, len(growth) - 1)] for number in range(self.passes))

    def collecting_seconds(self) -> float | None:
        """Grows with each pass by what the plan says, as it does for settling; None where it says nothing."""
        growth = self.plan.get("collecting")
        return growth and sum(growth[min(number, len(growth) - 1)] for number in range(self.passes))

    def faults(self) -> dict[str, int]:
        """What the plan says that the last pass lost; nothing before the first, nor where it says nothing."""
        told = self.plan.get("faults", [])
        return told[self.passes - 1] if 0 < self.passes <= len(told) else {}

    def describe(self) -> dict[str, Any]:
        self._at("describe")
        said = DESCRIPTION | self.plan.get("describe", {})
        return {name: value for name, value in said.items() if name not in self.plan.get("says_nothing_of", [])}

    def close(self) -> None:
        self._at("close")
        if "log" in self.plan:
            with open(self.plan["log"], "a") as log:
                log.write(f"{self.begin} {time.monotonic()}\n")

    def _at(self, step: str) -> Iterator[Prediction] | None:
        name, *arguments = self.plan.get("at", {}).get(step, ["nothing"])
        return globals()[name](self, *arguments)


def make_up_time() -> None:
    """Let the clock that times passes go on by what is slept, which then takes no time, and hardly by looking at it."""
    now, look = [0.0], 1e-6

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def perf_counter() -> float:
        sleep(look)
        return now[0]

    time.sleep, time.perf_counter = sleep, perf_counter


def nothing(_adapter: Adapter) -> None:
    """All is well."""


def sleep(_adapter: Adapter, seconds: float) -> None:
    time.sleep(seconds)


def tell(_adapter: Adapter, path: str) -> None:
    """Say that this step was reached."""
    Path(path).touch()


def fail(_adapter: Adapter, kind: str, text: str) -> None:
    kinds = {each.__name__: each for each in (RuntimeError, MemoryError, Unavailable, UserError)}
    raise kinds[kind](text)


def allocate(_adapter: Adapter, megabytes: int) -> None:
    """Really ask for that much memory, and touch it."""
    bytearray(megabytes << 20)


def leave_a_daemon(_adapter: Adapter, megabytes: int) -> None:
    """Start a process that hangs below nobody of this repeat, holds so much memory, and sleeps."""
    code = f"import time; held = b'x' * ({megabytes} << 20); print(flush=True); time.sleep(1000)"
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], stdout=sys.stdout)"
    starter = subprocess.Popen([sys.executable, "-c", orphan], stdout=subprocess.PIPE)
    starter.stdout.readline()
    starter.wait()


def hold(_adapter: Adapter, megabytes: int) -> Iterator[Prediction]:
    """Take that much memory and give it back."""
    held = b"x" * (megabytes << 20)
    del held
    yield from ()


def answer_without_end(adapter: Adapter, spare_megabytes: int) -> Iterator[Prediction]:
    """Give one answer again and again, with little memory to keep them in."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = in_use + (spare_megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    prediction = Prediction(adapter.task.images[0][0], "again", None)
    while True:
        yield prediction


def leave(_adapter: Adapter, status: int) -> None:
    os._exit(status)


def be_killed(_adapter: Adapter, number: int) -> None:
    os.kill(os.getpid(), number)


def crash(_adapter: Adapter) -> None:
    """A real segmentation fault, without a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def abort_like_a_native_library(_adapter: Adapter) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os.abort()


def relabel(adapter: Adapter, number: int, label: str) -> None:
    """Change what the next pass will read in one image."""
    Path(adapter.task.images[number][1]).write_text(label)


def hang(adapter: Adapter, pids: str) -> None:
    """Start a process that ignores SIGTERM, leave many files, and sleep; the file `pids` says who is who."""
    grandchild = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000"], start_new_session=True)
    for number in range(300):
        (Path(adapter.task.temporary) / f"spilled{number}").touch()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(pids).with_suffix(".partial").write_text(f"{os.getpid()} {grandchild.pid}")
    os.rename(Path(pids).with_suffix(".partial"), pids)
    time.sleep(1000)


def look(_adapter: Adapter, path: str) -> None:
    """Say what this process was given: its variables, where it imports from, and which pyspark it gets."""
    import pyspark

    told = {"variables": dict(os.environ), "path": sys.path, "pyspark": [pyspark.__version__, pyspark.__file__]}
    Path(path).write_text(json.dumps(told))


def fill(adapter: Adapter) -> None:
    """Write into the folder for temporary files until the disk takes no more, and then once more."""
    with open(Path(adapter.task.temporary) / "filling", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
