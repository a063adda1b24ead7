"""One run of the whole workflow on real engines and a tiny model, which all tests of this folder look at."""

from pathlib import Path

import pytest
import tree


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Path:
    """The folder, its name with a blank, of a finished run; `output.txt` in it is what the run said."""
    folder = tmp_path_factory.mktemp("smoke") / "a run"
    folder.mkdir()
    (folder / "output.txt").write_text(tree.smoke(folder))
    return folder
