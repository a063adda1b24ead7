"""Energy and GPU memory: a made-up /sys/class/powercap and a made-up NVML in place of hardware that is not here."""

import sys
import types

import pytest

from vitbench.measure import energy
from vitbench.measure.energy import Meter


def zone(powercap, name, kind, microjoules, most=262_143_328_850):
    folder = powercap / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")


@pytest.fixture
def powercap(tmp_path):
    """Two packages, with a part of one of them and the whole platform beside."""
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 500_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 2_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    return tmp_path


class NVMLError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch):
    """A driver that shows `names`; its counter and memory are set by the test."""
    fake = types.SimpleNamespace(
        names=["a GPU"], millijoules=5_000_000, used=1 << 30, NVMLError=NVMLError, NVML_ERROR_NOT_FOUND=6, asked=[]
    )

    def handle(number):
        fake.asked.append(number)
        return number

    def tell(value):
        def answer(_handle):
            if getattr(fake, value) is None:
                raise NVMLError(3)
            return getattr(fake, value)

        return answer

    fake.nvmlInit = lambda: None
    fake.nvmlDeviceGetCount = lambda: len(fake.names)
    fake.nvmlDeviceGetHandleByIndex = handle
    fake.nvmlDeviceGetHandleByUUID = handle
    fake.nvmlDeviceGetName = lambda number: fake.names[number]
    fake.nvmlDeviceGetTotalEnergyConsumption = tell("millijoules")
    fake.nvmlDeviceGetMemoryInfo = lambda handle: types.SimpleNamespace(used=tell("used")(handle))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    return fake


def test_the_packages_are_summed_over_all_spans_and_nothing_between_them(powercap):
    meter = Meter("cpu", powercap)
    meter.start()
    zone(powercap, "intel-rapl:0", "package-0", 4_000_000)
    zone(powercap, "intel-rapl:1", "package-1", 2_500_000)
    zone(powercap, "intel-rapl:0:0", "core", 3_000_000)
    meter.stop()
    zone(powercap, "intel-rapl:0", "package-0", 50_000_000)
    meter.start()
    zone(powercap, "intel-rapl:0", "package-0", 51_000_000)
    meter.stop()
    assert meter.energy() == {"joules": 4.5, "source": "rapl", "quality": "counters of 2 processor packages"}
    assert meter.gpu_memory_mb() is None


def test_a_counter_that_runs_over_is_unwrapped(powercap):
    for name in ("intel-rapl:0", "intel-rapl:1"):
        zone(powercap, name, f"package-{name[-1]}", 65_532_000_000, most=65_532_610_987)
    meter = Meter("cpu", powercap)
    meter.start()
    zone(powercap, "intel-rapl:0", "package-0", 389_012, most=65_532_610_987)
    meter.stop()
    assert meter.energy()["joules"] == pytest.approx(1.0)


def test_a_span_in_which_it_may_have_run_over_twice_gives_no_number(powercap, monkeypatch):
    clock = iter([0.0, 262.0, 1000.0, 1263.0])
    monkeypatch.setattr(energy.time, "monotonic", lambda: next(clock))
    meter = Meter("cpu", powercap)
    for microjoules in (3_000_000, 5_000_000):
        meter.start()
        zone(powercap, "intel-rapl:0", "package-0", microjoules)
        meter.stop()
        if microjoules == 3_000_000:
            assert meter.energy()["joules"] == 2.0
    assert meter.energy() is None


@pytest.mark.parametrize("kind", ["no powercap", "not readable", "stands still"])
def test_without_a_counter_there_is_no_number(kind, powercap):
    if kind == "not readable":
        (powercap / "intel-rapl:1" / "energy_uj").unlink()
    meter = Meter("cpu", powercap if kind != "no powercap" else powercap / "none")
    meter.start()
    if kind == "not readable":
        zone(powercap, "intel-rapl:0", "package-0", 4_000_000)
    meter.stop()
    assert meter.energy() is None


def test_on_a_gpu_the_board_and_the_packages_count_together(powercap, nvml):
    meter = Meter("gpu", powercap)
    nvml.used += 3 << 30
    meter.start()
    nvml.millijoules += 7_000
    zone(powercap, "intel-rapl:0", "package-0", 4_000_000)
    meter.stop()
    nvml.used -= 1 << 30
    meter.start()
    meter.stop()
    assert meter.energy() == {
        "joules": 10.0,
        "source": "nvml",
        "quality": "counter of the GPU board and counters of 2 processor packages",
    }
    assert meter.gpu_memory_mb() == 3072.0


def test_on_a_gpu_the_packages_alone_are_no_answer(powercap, nvml):
    nvml.millijoules = None
    meter = Meter("gpu", powercap)
    meter.start()
    zone(powercap, "intel-rapl:0", "package-0", 4_000_000)
    meter.stop()
    assert meter.energy() is None


def test_on_a_gpu_the_board_alone_says_what_it_leaves_out(tmp_path, nvml):
    meter = Meter("gpu", tmp_path)
    meter.start()
    nvml.millijoules += 500
    meter.stop()
    assert meter.energy() == {
        "joules": 0.5, "source": "nvml", "quality": "counter of the GPU board, without the processor"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "variables", "asked"),
    [
        (["a", "a"], {}, 0),
        (["a", "a"], {"CUDA_VISIBLE_DEVICES": "1,0"}, 1),
        (["a", "b"], {}, None),  # CUDA's first is the faster one, NVML does not say which that is
        (["a", "b"], {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, 1),
        (["a", "b"], {"CUDA_VISIBLE_DEVICES": "GPU-12"}, "GPU-12"),
        (["a"], {"CUDA_VISIBLE_DEVICES": ""}, None),
    ],
)
def test_the_gpu_that_is_read_is_the_one_that_cuda_uses(names, variables, asked, nvml, monkeypatch):
    nvml.names = names
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    gpu = energy.find_gpu()
    assert (gpu and gpu.handle) == asked
    assert asked is not None or gpu is None


def test_the_real_nvml_of_a_machine_without_a_driver_gives_none():
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert energy.find_gpu() is None
        assert Meter("gpu").energy() is None
    else:
        assert energy.find_gpu().used_bytes() > 0
