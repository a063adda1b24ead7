"""One line of progress a repeat: where it stands, what it found, how long the rest takes; rich for a terminal alone."""

from __future__ import annotations

import json
import os
import pty
import re
import time
from pathlib import Path

import planted
import pytest
from example_records import example_record

from vitbench.plan import estimate, time_left
from vitbench.plan.grid import Grid
from vitbench.records import record as records

NOON = time.mktime((2026, 11, 26, 12, 0, 0, 0, 0, -1))


@pytest.fixture
def grid(tmp_path, monkeypatch) -> Grid:
    """The default's grid on two cores, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "cores", lambda: 2)
    return Grid(planted.CONFIG, "linux-x86_64")


def plant(grid: Grid, places, **changes) -> None:
    for cell, block in places:
        records.write(Path(grid.record(cell, block)), example_record(**changes))


def line(grid: Grid, place, record=None, spent=20.0, rich=False) -> str:
    cell, block = place
    return time_left.line(grid, cell, block, record or example_record(total_seconds=20.0), spent, rich, NOON)


def test_it_says_block_cell_rate_and_what_is_left(grid):
    plant(grid, grid.order[:-3], total_seconds=600.0)
    cell, block = grid.order[-4]
    said = line(grid, (cell, block), example_record(total_seconds=600.0), spent=600.0)
    total = len(grid.order)
    assert said == (
        f"{total - 3} of {total}: block {block + 1} of 3, {cell.name} on full: 2.00 images/s; "
        "about 30 minutes left, until 12:30"
    )


def test_what_a_repeat_takes_beside_its_record_goes_on_but_not_what_it_waited(grid):
    plant(grid, grid.order[:-3], total_seconds=600.0)
    record = example_record(total_seconds=600.0)
    assert "about 31 minutes left" in line(grid, grid.order[-4], record, spent=620.0)
    assert "about 32 minutes left" in line(grid, grid.order[-4], record, spent=9000.0)


def test_attempts_that_were_set_aside_take_time_too(grid):
    set_aside = json.loads(json.dumps(example_record()))
    kept = ("started", "status", "wall_seconds", "flags", "reason", "quiet", "total_seconds")
    attempt = {key: set_aside[key] for key in kept} | {"pass_seconds": [1.0], "total_seconds": 600.0}
    plant(grid, grid.order[:-3], total_seconds=600.0, attempts=[attempt])
    assert "about 60 minutes left" in line(grid, grid.order[-4], example_record(total_seconds=20.0))


def test_cells_without_records_are_estimated_and_no_record_is_checked_again(grid, monkeypatch):
    monkeypatch.setattr(records, "faults", lambda _: pytest.fail("a record was checked against the schema"))
    for cell, block in grid.order[:3]:
        path = Path(grid.record(cell, block))
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(example_record(total_seconds=60.0)))
    left = estimate.missing(grid)
    assert time_left.seconds_left(grid, left) > 60 * sum(cell in dict(grid.order[:3]) for cell, _ in left)


def test_the_last_one_is_told_so_and_a_failure_by_its_reason(grid):
    plant(grid, grid.order)
    failed = example_record(status="oom", reason="the process died (signal 9)", flags=[])
    said = line(grid, grid.order[-1], failed)
    assert said.endswith("oom: the process died (signal 9); the last one")
    flagged = line(grid, grid.order[-1], example_record(flags=["suspect", "no steady state"]))
    assert "2.00 images/s (suspect, no steady state)" in flagged


def test_a_terminal_gets_a_bar_and_colours_that_say_what_the_words_say(grid):
    plant(grid, grid.order[: len(grid.order) // 2])
    plain, rich = (line(grid, grid.order[0], rich=one) for one in (False, True))
    assert "\x1b" not in plain and "█" not in plain
    assert rich.count("█") == time_left.BAR * (len(grid.order) // 2) // len(grid.order) > 0
    bare = re.sub(r"\x1b\[\d+m", "", rich)
    assert plain.partition(": ")[2] in bare
    colors = {
        re.findall(r"\x1b\[3\dm", line(grid, grid.order[0], record, rich=True))[0]
        for record in (
            example_record(),
            example_record(flags=["suspect"]),
            example_record(status="error", reason="it broke"),
        )
    }
    assert len(colors) == 3


def test_measure_gives_the_line_to_the_descriptor_it_was_told(grid, monkeypatch):
    """Rich for a terminal, plain for anything else, and a terminal that is gone costs no record."""
    import measure

    cell, block = grid.order[0]
    record = example_record(dataset=cell.dataset)
    monkeypatch.setattr(measure, "find", lambda *_: (grid, cell))
    monkeypatch.setattr(measure, "prepare", lambda *_: None)
    monkeypatch.setattr(measure, "measure", lambda _repeat, out: plant(grid, [(cell, block)]) or record)
    told = ["--cell", cell.name, "--out", str(grid.record(cell, block)), "--progress"]
    reading, writing = os.pipe()
    ours, theirs = pty.openpty()
    try:
        assert measure.main([*told, str(writing)]) == 0
        plain = os.read(reading, 10_000).decode()
        assert plain.startswith(f"1 of {len(grid.order)}: block 1 of 3, {cell.name}") and "\x1b" not in plain
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert measure.main([*told, str(theirs)]) == 0
        assert "\x1b[1m" in os.read(ours, 10_000).decode()
        monkeypatch.setenv("NO_COLOR", "1")
        assert measure.main([*told, str(theirs)]) == 0
        assert "\x1b" not in os.read(ours, 10_000).decode()
    finally:
        for one in (reading, writing, ours, theirs):
            os.close(one)
    assert measure.main([*told, str(writing)]) == 0
