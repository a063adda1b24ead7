"""How far a long job is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import os
import pty
import select
import sys

import pytest

from vitbench import progress
from vitbench.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_now_and_then_and_none_for_what_is_quick(clock, monkeypatch, capsys):
    with Progress("opening images", 3000) as quick:
        quick.step(3000)
    assert capsys.readouterr().err == ""
    with Progress("opening images", 3000) as slow:
        for _ in range(30):
            clock[0] += 1
            slow.step(100)
    assert capsys.readouterr().err.splitlines() == [
        "opening images: 1,000 of 3,000, 10 s",
        "opening images: 2,000 of 3,000, 20 s",
        "opening images: 3,000 of 3,000, 30 s",
        "opening images: 3,000 of 3,000, 30 s",
    ]


def test_bytes_are_shown_in_megabytes_and_go_on_where_they_were(clock, capsys):
    with Progress("downloading", None, bytes_=True) as one:
        one.start_at(1_000_000_000, 4_000_000_000)
        clock[0] += 60
        one.step(500_000_000)
    assert "downloading: 1,500 of 4,000 MB, 60 s" in capsys.readouterr().err


def test_a_job_with_a_log_shows_lines_in_both_places(clock, monkeypatch, capsys):
    shown = io.StringIO()
    monkeypatch.setattr(progress, "terminal", shown)
    with Progress("opening images", 10) as one:
        clock[0] += 11
        one.step(5)
    assert shown.getvalue() == capsys.readouterr().err != ""


def test_a_job_with_a_log_draws_its_bar_on_the_terminal_that_it_was_started_from(monkeypatch, tmp_path):
    ours, theirs = pty.openpty()
    kept = os.dup(2)
    try:
        os.dup2(theirs, 2)
        monkeypatch.setattr(progress, "terminal", None)  # what the test's end restores
        progress.keep_terminal()
        with open(tmp_path / "log", "w") as log:
            os.dup2(log.fileno(), 2)
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        with Progress("opening images", 100) as one:
            one.step(100)
        assert select.select([ours], [], [], 60)[0]  # a terminal is handed what was written to it
        assert b"opening images" in os.read(ours, 10_000)
    finally:
        os.dup2(kept, 2)
        progress.terminal.close()
        for one in (ours, theirs, kept):
            os.close(one)
