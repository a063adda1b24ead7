"""What the rules import at once needs no more than a bare Snakemake has (tests/workflow/test_bare_snakemake.py)."""

import json
import re
import subprocess
import sys
from importlib import metadata

import pytest

from vitbench.files import HOME
from vitbench.sources import SCRIPTS

FILES = [HOME / "Snakefile", *sorted((HOME / "rules").glob("*.smk"))]
IMPORT = re.compile(r"^((?:from vitbench[\w.]* import|import vitbench)(?: \([^)]*\)|[^(\n]*))$", re.MULTILINE)
REQUIRED = re.compile(r"[\w.-]+")
PROGRAM = """
import json, sys
absent = set(json.loads(sys.argv[1]))
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent)
exec(sys.argv[2])
"""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _with_what_they_need(*names: str) -> set[str]:
    """These distributions and all that they need, without extras."""
    found, open_ = set(), list(names)
    while open_:
        name = _plain(open_.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another platform
        open_ += [REQUIRED.match(line)[0] for line in needed if "extra ==" not in line]
    return found


@pytest.fixture(scope="module")
def absent():
    """The top-level modules of our environment that Snakemake and archspec do without."""
    bare = _with_what_they_need("snakemake", "archspec")
    modules = metadata.packages_distributions()
    return sorted(module for module, owners in modules.items() if not bare & {_plain(owner) for owner in owners})


def run(absent, text):
    environment = {"PYTHONPATH": str(SCRIPTS), "PATH": ""}
    command = [sys.executable, "-c", PROGRAM, json.dumps(absent), text]
    return subprocess.run(command, env=environment, cwd=HOME, capture_output=True, text=True)


@pytest.mark.parametrize("module", ["numpy", "PIL", "pandas", "torch", "pyspark", "pyarrow"])
def test_what_is_heavy_is_absent(absent, module):
    assert "ModuleNotFoundError" in run(absent, f"import {module}").stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_the_rules_import_is_light(absent, file):
    imports = [" ".join(found.split()) for found in IMPORT.findall(file.read_text())]
    answer = run(absent, "\n".join(imports))
    assert answer.returncode == 0, answer.stderr


def test_their_imports_are_found():
    found = [line for file in FILES for line in IMPORT.findall(file.read_text())]
    assert (
        len(found) == sum(len(re.findall(r"^(?:from|import) vitbench", file.read_text(), re.M)) for file in FILES) > 9
    )
