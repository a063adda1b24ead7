"""What this machine really multiplies and decodes, on products small enough for a test."""

import itertools
from dataclasses import replace

import pytest
from PIL import Image

from vitbench.inputs.arithmetic import VIT_BASE, Product
from vitbench.measure import peak
from vitbench.records import peak_file

SMALL = replace(VIT_BASE, image_size=64, hidden_size=96, layers=2, heads=3, intermediate_size=192, labels=5)


@pytest.fixture(scope="module")
def rates():
    return peak.measure_rates(SMALL, "cpu", 1, rounds=1, seconds=0.01)


def test_every_library_is_asked_for_every_product(rates):
    arms = {(one["library"], one["precision"]) for one in rates}
    assert {("torch", "float32"), ("torch", "bfloat16"), ("ONNX Runtime", "float32")} <= arms
    for arm in arms:
        found = {(one["product"], one["batch_size"]) for one in rates if (one["library"], one["precision"]) == arm}
        names = {"patch embedding", "projection", "MLP up", "MLP down"}
        if not arm[0].startswith("oneDNN"):
            names |= {"attention scores", "attention values"}
        assert found == {(name, size) for name in names for size in peak.BATCH_SIZES["cpu"]}


def test_the_rates_are_those_of_a_processor_core(rates):
    assert all(0.05 < one["gflops"] < 5000 for one in rates)
    best = {one["precision"]: one["gflops"] for one in peak_file.peaks(rates)}
    assert best["float32"] == max(one["gflops"] for one in rates if one["precision"] == "float32") > 1


def test_the_product_that_is_timed_is_that_product():
    """What the libraries compute has the size that the FLOP are counted for."""
    product = Product("MLP up", 2, 1, 34, 96, 192)
    several = Product("attention scores", 2, 6, 17, 32, 17, weights=False)
    for arm in peak.torch_arms(1, "cpu"):
        for wanted in (product, several) if arm.any_product else (product,):
            work, _ = arm.prepare(wanted)
            assert work().numel() == wanted.count * wanted.rows * wanted.columns


@pytest.fixture
def take(monkeypatch):
    """Takes so many seconds, by a clock that nothing else moves: a busy neighbour cannot make it longer."""
    now = [100.0]
    monkeypatch.setattr(peak.time, "perf_counter", lambda: now[0])

    def take(seconds: float) -> None:
        now[0] += seconds

    return take


def test_a_rate_is_the_work_over_the_time_that_it_takes(take):
    assert peak.best_rate(lambda: take(0.01), lambda: None, 1e9, 0.05) == pytest.approx(100)


def test_the_fastest_span_counts(take):
    """What another program takes away now and then is no property of the machine."""
    spans = itertools.cycle([0.04, 0.02, 0.03])
    assert peak.best_rate(lambda: take(next(spans)), lambda: None, 1e9, 60 * peak.SPAN) == pytest.approx(50)


def test_the_clock_waits_until_all_is_done(take):
    """As on a GPU, where a call returns before its work is done."""
    assert peak.best_rate(lambda: None, lambda: take(10 * peak.SPAN), 1e9, 50 * peak.SPAN) == pytest.approx(
        1 / (10 * peak.SPAN)
    )


def test_decoding_is_timed_over_whole_files(tmp_path):
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    Image.effect_noise((64, 64), 50).convert("RGB").save(small)
    Image.effect_noise((640, 640), 50).convert("RGB").save(large)
    fast, slow = (peak.decode_rate([path], 0.1) for path in (small, large))
    assert fast > 10 * slow > 100
