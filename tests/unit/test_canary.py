"""The canary: what it counts, when it is taken again, and what is usual here by the records so far."""

import json
import os
from pathlib import Path

import pytest

from vitbench.errors import UserError
from vitbench.measure import canary
from vitbench.measure.limits import Limits
from vitbench.records import record as records

LIMITS = Limits(
    canary_seconds=0.01, gemm_slower=0.1, decode_slower=0.2, steal=0.02, foreign_cpu=0.05, free_memory_gb=4, retries=2
)
USUAL = {"gemm_gflops": 100.0, "decode_per_second": 200.0}


def test_the_canary_counts_arithmetic_and_photographs():
    one = canary.take(0.05)
    assert one.keys() == set(canary.PARTS) and all(value > 1 for value in one.values())


def test_a_slow_canary_is_taken_again_and_the_faster_counts(monkeypatch):
    speeds = iter([(50, 200), (70, 90), (95, 80)])
    takes: list[int] = []

    def take(_seconds: float) -> dict[str, float]:
        takes.append(1)
        return dict(zip(canary.PARTS, next(speeds), strict=True))

    monkeypatch.setattr(canary, "BETWEEN_TAKES", 0)
    monkeypatch.setattr(canary, "take", take)
    assert canary.patient(USUAL, LIMITS) == {"gemm_gflops": 95, "decode_per_second": 200} and len(takes) == 3
    speeds = iter([(91, 181)])
    canary.patient(USUAL, LIMITS)
    speeds = iter([(1, 1)])
    assert canary.patient(None, LIMITS) == {"gemm_gflops": 1, "decode_per_second": 1}


def test_what_is_usual_is_taken_where_canaries_agree_and_a_busy_minute_is_waited_out(monkeypatch):
    busy, quiet_rates = [116.0, 98.0, 67.0, 67.0, 76.0], [310.0, 315.0, 305.0, 300.0, 312.0, 308.0]
    monkeypatch.setattr(canary, "BETWEEN_TAKES", 0)

    def first(rates: list[float], patience: float) -> list[float]:
        coming = iter(rates)
        monkeypatch.setattr(canary, "take", lambda _: USUAL | {"gemm_gflops": next(coming)})
        return [one["gemm_gflops"] for one in canary.first(LIMITS, 5, patience)]

    assert first(busy + quiet_rates, 60) == quiet_rates[:5]
    assert first(quiet_rates, 60) == quiet_rates[:5]
    # Where they never agree, the last ones are better than none: what is usual is learnt from the repeats.
    assert first(busy + quiet_rates, -1) == busy


def test_a_hiccup_does_not_slow_the_canary_and_a_neighbour_that_stays_does(monkeypatch):
    now, lengths = [0.0], []
    monkeypatch.setattr(canary.time, "perf_counter", lambda: now[0])

    def work() -> None:
        now[0] += lengths.pop(0)

    lengths[:] = [0.01] * 3 + [0.5, 0.5] + [0.01] * 100
    assert canary._rate(work, 2.0) == pytest.approx(100)
    lengths[:] = [0.02] * 200
    assert canary._rate(work, 2.0) == pytest.approx(50)


def test_the_reference_is_the_median_of_all_canaries_so_far(tmp_path):
    def gated(*speeds: float) -> dict:
        before, after = ({"gemm_gflops": speed, "decode_per_second": 2 * speed} for speed in speeds)
        return {"before": before, "after": after}

    assert canary.reference(tmp_path) is None
    for number, (speeds, earlier) in enumerate([((10, 20), (1, 2)), ((30, 40), None), (None, None)]):
        record = {"quiet": speeds and gated(*speeds), "attempts": [{"quiet": gated(*earlier)}] if earlier else []}
        path = tmp_path / "model" / f"bs{number}" / "rep0.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record))
    more = [{"gemm_gflops": 50.0, "decode_per_second": 100.0}]
    assert canary.reference(tmp_path, more) == {"gemm_gflops": 20, "decode_per_second": 40, "canaries": 7}


def test_a_broken_record_is_one_line_that_names_it(tmp_path):
    (tmp_path / "rep0.json").write_text("{")
    with pytest.raises(UserError, match="rep0.json is not a record"):
        canary.reference(tmp_path)


def _planted(folder: Path, name: str, *speeds: float) -> Path:
    """A record whose two canaries have these speeds."""
    before, after = ({"gemm_gflops": speed, "decode_per_second": 2 * speed} for speed in speeds)
    path = folder / name / "rep0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"quiet": {"before": before, "after": after}, "attempts": []}))
    return path


def test_no_repeat_reads_the_records_of_those_before_it_again(tmp_path, monkeypatch):
    for number in range(3):
        _planted(tmp_path, f"bs{number}", 10.0 + number, 20.0 + number)
    first = canary.reference(tmp_path)
    read, canaries = [], canary._canaries
    monkeypatch.setattr(canary, "_canaries", lambda path: read.append(path) or canaries(path))
    assert canary.reference(tmp_path) == first and read == []
    new = _planted(tmp_path, "bs9", 90.0, 91.0)
    assert canary.reference(tmp_path)["canaries"] == 8 and read == [new]


def test_a_record_that_changes_or_goes_changes_the_reference(tmp_path):
    paths = [_planted(tmp_path, f"bs{number}", 10.0, 10.0) for number in range(3)]
    assert canary.reference(tmp_path) == {"gemm_gflops": 10, "decode_per_second": 20, "canaries": 6}
    # As many bytes, written over the old ones, at the same second.
    for path in paths[:2]:
        state = path.stat()
        path.write_text(path.read_text().replace("10.0", "30.0").replace("20.0", "60.0"))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert canary.reference(tmp_path)["gemm_gflops"] == 30
    paths[0].unlink()
    assert canary.reference(tmp_path) == {"gemm_gflops": 20, "decode_per_second": 40, "canaries": 4}


def test_half_a_line_that_a_kill_left_costs_one_more_reading_and_no_other_line(tmp_path):
    _planted(tmp_path, "bs1", 10.0, 20.0)
    first = canary.reference(tmp_path)
    kept = tmp_path / canary.KEPT
    kept.write_text(kept.read_text()[:-9])
    assert canary.reference(tmp_path) == first == canary.reference(tmp_path)
    assert len(kept.read_text().split("\n")) == 3  # nothing, half a line, and the record's own


def test_what_never_became_a_record_is_in_no_reference(tmp_path):
    """A kill may leave the folder in which a record was being written."""
    _planted(tmp_path, "bs1", 10.0, 20.0)
    _planted(tmp_path, "bs1/.rep1.json.partial", 90.0, 90.0)
    assert canary.reference(tmp_path)["canaries"] == 2


def test_the_canary_of_a_record_is_relative_to_its_reference():
    half = {"gemm_gflops": 50.0, "decode_per_second": 180.0}
    given = {"before": USUAL, "after": half, "reference": USUAL}
    assert [records.relative_canary(given, part) for part in canary.PARTS] == [0.5, 180 / USUAL["decode_per_second"]]
    assert records.relative_canary({"reference": None}, "gemm_gflops") is None
    assert records.relative_canary(None, "gemm_gflops") is None
