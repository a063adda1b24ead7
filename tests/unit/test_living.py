"""Looking at processes that end while they are looked at."""

import subprocess
import time

import psutil
import pytest
from tree import answers_of, living


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def test_a_process_that_ends_before_it_has_answered_is_left_out(sleeper):
    def ends_meanwhile(process: psutil.Process) -> str:
        if process.pid == sleeper.pid:
            sleeper.kill()
            sleeper.wait()
        return process.name()

    both = [psutil.Process(sleeper.pid), psutil.Process()]
    assert answers_of(both, ends_meanwhile) == [psutil.Process().name()]
    assert living(both) == [psutil.Process()]


def test_a_process_that_is_dead_and_not_collected_does_not_live(sleeper):
    process = psutil.Process(sleeper.pid)
    assert living([process]) == [process] and living([process], lambda one: one.name() == "java") == []
    sleeper.kill()
    deadline = time.monotonic() + 60
    while process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert living([process]) == []
