"""Energy of the timed passes and memory of the GPU, from counters that the hardware keeps; else nothing.

No estimate stands in for a counter: neither a processor's rated power nor a sample of its momentary power.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
# No processor package takes more watts than this. Between two readings that lie further apart than its counter's range
# at this power, the counter may have run over more than once, and the difference says nothing.
MOST_WATTS = 1000.0


@dataclass(frozen=True)
class Package:
    """The counter of one processor package (RAPL), in microjoules; it starts again from 0 beyond `range_uj`."""

    file: Path
    range_uj: int

    def read(self) -> int:
        return int(self.file.read_text())


def packages(powercap: Path = POWERCAP) -> list[Package]:
    """Counters of all processor packages; empty where one of them cannot be read (by default only root may).

    Parts of a package (core, uncore, dram) and `psys` are left out: they lie inside a package or hold all of them.
    """
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            if zone.name.count(":") > 1 or not (zone / "name").read_text().startswith("package"):
                continue
            package = Package(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            package.read()
        except OSError:
            return []
        found.append(package)
    return found


class Gpu:
    """The first GPU that CUDA shows this process, through NVML.

    Raises:
        pynvml.NVMLError: there is no driver, no such GPU, or one cannot know which it is.
    """

    def __init__(self) -> None:
        import pynvml

        self.nvml = pynvml
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        if visible.startswith(("GPU-", "MIG-")):
            self.handle = pynvml.nvmlDeviceGetHandleByUUID(visible)
            return
        names = {
            pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(number))
            for number in range(pynvml.nvmlDeviceGetCount())
        }
        by_bus = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
        if not visible.isdigit() or (len(names) > 1 and not by_bus):
            # CUDA numbers different GPUs by their speed, NVML by their place on the bus.
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        self.handle = pynvml.nvmlDeviceGetHandleByIndex(int(visible))

    def uuid(self) -> str:
        """What nvidia-smi knows it by; "" where NVML does not tell."""
        try:
            return self.nvml.nvmlDeviceGetUUID(self.handle)
        except self.nvml.NVMLError:
            return ""

    def millijoules(self) -> int | None:
        """Energy of the board since the driver was loaded; None where the GPU does not count it (before Volta)."""
        try:
            return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)
        except self.nvml.NVMLError:
            return None

    def used_bytes(self) -> int | None:
        """Memory of the GPU that is taken, by whomever; None where it is not told."""
        try:
            return self.nvml.nvmlDeviceGetMemoryInfo(self.handle).used
        except self.nvml.NVMLError:
            return None


def find_gpu() -> Gpu | None:
    """The GPU that a repeat on `gpu` uses, None where NVML cannot tell (macOS, no driver)."""
    import pynvml

    try:
        return Gpu()
    except pynvml.NVMLError:
        return None


class Meter:
    """Adds up energy between `start` and `stop`, over several such spans, and looks at the GPU's memory at each stop.

    On the CPU: the counters of all processor packages. On a GPU: that of its board and, where they can be read, those
    of the packages, since they feed it; without the board's there is no answer. All counters are the machine's: they
    hold what other processes and the idle machine take too, and leave out memory modules, disks and power supply.
    """

    def __init__(self, device: str, powercap: Path = POWERCAP) -> None:
        self.packages = packages(powercap)
        self.gpu = find_gpu() if device == "gpu" else None
        self.device = device
        self.joules = 0.0
        self.unknown = False
        self.begun: tuple[float, list[int], int | None] | None = None
        self.memory_before = self.gpu.used_bytes() if self.gpu else None
        self.memory_bytes = 0

    def _read(self) -> tuple[float, list[int], int | None]:
        board = self.gpu.millijoules() if self.gpu else None
        return time.monotonic(), [package.read() for package in self.packages], board

    def start(self) -> None:
        """Begin a span; takes well below a millisecond, to be called with the clock off."""
        self.begun = self._read()

    def stop(self) -> None:
        """End the span that `start` began."""
        if self.begun is None:
            raise RuntimeError("stop() without start()")
        (began, packages_before, board_before), (ended, packages_after, board_after) = self.begun, self._read()
        for package, before, after in zip(self.packages, packages_before, packages_after, strict=True):
            self.joules += ((after - before) % (package.range_uj + 1)) / 1e6
            self.unknown |= (ended - began) * MOST_WATTS > package.range_uj / 1e6
        if self.device == "gpu":
            if board_before is None or board_after is None:
                self.unknown = True
            else:
                self.joules += (board_after - board_before) / 1e3
        if self.memory_before is not None:
            self.memory_bytes = max(self.memory_bytes, (self.gpu.used_bytes() or 0) - self.memory_before)
        self.begun = None

    def forget(self) -> None:
        """Leave the energy of all spans so far out: what they measured was warm-up."""
        self.joules, self.unknown = 0.0, False

    def energy(self) -> dict[str, Any] | None:
        """{joules, source, quality} of all spans, or None where no counter could be read or its answer is not sure."""
        if self.unknown or self.joules <= 0:
            return None
        of_packages = f"counters of {len(self.packages)} processor package{'s' * (len(self.packages) > 1)}"
        if self.device == "cpu":
            return {"joules": self.joules, "source": "rapl", "quality": of_packages}
        quality = "counter of the GPU board" + (f" and {of_packages}" if self.packages else ", without the processor")
        return {"joules": self.joules, "source": "nvml", "quality": quality}

    def gpu_memory_mb(self) -> float | None:
        """Most GPU memory (MB of 2^20 bytes) in use at the end of a span beyond what was in use when this was made.

        The engines keep the pool that they took from the driver, so the end of a pass shows the pool's largest size.
        """
        return None if not self.memory_bytes else round(self.memory_bytes / 2**20, 1)
