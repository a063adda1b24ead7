"""Damaged images of every format, seeded: an image or a reason, never another error, and no help from outside."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import damaged_images
import pytest

ROOT = Path(__file__).parents[2]
WHOLE = damaged_images.whole()


@pytest.mark.parametrize("name", WHOLE)
def test_a_sound_image_is_taken(name):
    assert damaged_images.outcome(WHOLE[name]) in ("plain", "rendered")


@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_image_is_taken_or_refused_with_a_reason(name):
    found = [
        damaged_images.outcome(damaged_images.damaged(WHOLE[name], random.Random(f"{name}/{number}")))
        for number in range(20)
    ]
    assert len(found) == 20 and len(set(found)) > 1, "the damage changes nothing"


def test_thousands_of_damaged_images_are_taken_or_refused_with_a_reason():
    outcomes = [damaged_images.outcome(content) for _, content in damaged_images.cases(300)]
    assert len(outcomes) == 300 * len(WHOLE)


# What starts a process in Python, by the events that it raises.
ALONE = """
import os, sys
from pathlib import Path
started = []
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn")
sys.addaudithook(lambda event, found: started.append(event) if event in STARTS else None)
sys.path[:0] = sys.argv[1:3]
import damaged_images
from test_images import UNLISTED
for name, content in [*UNLISTED.items(), *damaged_images.whole().items(), *damaged_images.cases(2)]:
    damaged_images.outcome(content)
assert not started, started
os.system("true")
assert started, "the test sees nothing"
"""


def test_no_image_starts_a_program():
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(ROOT / "tests"), str(ROOT / "tests" / "unit")],
        env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
