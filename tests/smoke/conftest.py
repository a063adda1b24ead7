"""One run of the whole workflow on real engines and a tiny model, which all tests of this folder look at.

Of what costs minutes it holds each kind once. Elsewhere are batches of one image (test_annotators.py, and
tests/unit/test_engines.py), the choice among several batch sizes (tests/workflow/test_alone.py), and A/A controls
(there, and tests/unit/test_measure_cli.py).
"""

import os
from pathlib import Path

import pytest
import tree


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Path:
    """The folder, its name with a blank, of a finished run; `output.txt` in it is what the run said.

    VITBENCH_SMOKE names another, new folder for it: it stays, and `.ci/run` makes its report.
    """
    folder = Path(os.environ.get("VITBENCH_SMOKE") or tmp_path_factory.mktemp("smoke") / "a run")
    folder.mkdir()
    (folder / "more.yaml").write_text("batch_sizes: [4]\ncontrol: false\n")
    (folder / "output.txt").write_text(tree.smoke(folder))
    return folder
