"""One run of the whole workflow on real engines and a tiny model, which all tests of this folder look at.

Of what costs minutes it holds each kind once. Elsewhere are batches of one image (test_annotators.py, and
tests/unit/test_engines.py), the choice among several batch sizes (tests/workflow/test_alone.py), and A/A controls
(there, and tests/unit/test_measure_cli.py).
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tree
from network import CUT_OFF, may_be_cut

from vitbench.inputs.java import find_java


@pytest.fixture(scope="session")
def java(tmp_path_factory) -> dict[str, str]:
    """Variables for a Java that compiles with its quick compiler alone.

    The other one takes half of what a short run takes; times mean nothing in these tests. What test_kill.py and
    test_annotators.py start is Java as it is.
    """
    home = tmp_path_factory.mktemp("java")
    (home / "bin").mkdir()
    program = home / "bin" / "java"
    options = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    program.write_text(f'#!/bin/sh\nexec "{find_java()[0]}/bin/java" {options} "$@"\n')
    program.chmod(0o755)
    return {"JAVA_HOME": str(home)}


@pytest.fixture(scope="session")
def smoke(tmp_path_factory, java) -> Path:
    """The folder, its name with a blank, of a finished run; `output.txt` in it is what the run said.

    What it downloads it has before the first measurement. From there on its network is cut, where the system allows it.
    VITBENCH_SMOKE names another, new folder for it: it stays, and `.ci/run` makes its report.
    """
    folder = Path(os.environ.get("VITBENCH_SMOKE") or tmp_path_factory.mktemp("smoke") / "a run")
    folder.mkdir()
    (folder / "more.yaml").write_text("batch_sizes: [4]\ncontrol: false\n")
    said = tree.smoke(folder, "prepare", **java)
    said += tree.smoke(folder, before=CUT_OFF if may_be_cut() else (), **java)
    (folder / "output.txt").write_text(said)
    return folder


@pytest.fixture(scope="session")
def measured_pipeline(smoke) -> Callable[[Path], None]:
    """Puts what the smoke run made for, and measured of, huggingface/pipeline into another working directory.

    There are the data sets, the checkpoint, what the machine can do, and the variant's records and profile. Whoever
    wants more of the model makes it.
    """

    def put(folder: Path) -> None:
        shutil.copytree(smoke / "resources/datasets", folder / "resources/datasets")
        for checkpoint in smoke.glob("resources/models/*/checkpoint"):
            shutil.copytree(checkpoint, folder / checkpoint.relative_to(smoke))
        others = shutil.ignore_patterns("sparknlp")
        shutil.copytree(smoke / "measurements", folder / "measurements", ignore=others)

    return put
