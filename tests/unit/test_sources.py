"""Which files stand behind a script: what its imports really read, and no more; and what decides what a time means."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vitbench.files import HOME
from vitbench.present.charts import CHARTS
from vitbench.sources import SCRIPTS, behind, measuring

RULES = "\n".join(path.read_text() for path in (HOME / "rules").glob("*.smk"))
DERIVING = sorted(set(re.findall(r'library\(\s*"(\w+)"', RULES)))


def names(paths: list[Path], folder: Path = SCRIPTS) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in paths}


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "import room.tool",
        "import room.tool as tool",
        "from room import tool",
        "from room.tool import (\n    something,\n)",
        "def later():\n    from room import tool",
        "try:\n    import room.tool\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_reads_the_module_and_the_packages_above_it(line, tmp_path):
    folder = write(
        tmp_path,
        {"script.py": line, "room/__init__.py": "", "room/tool.py": "import json, deep.end", "room/other.py": ""}
        | {"deep/__init__.py": "", "deep/end.py": "import script"},
    )
    expected = {"script.py", "room/__init__.py", "room/tool.py", "deep/__init__.py", "deep/end.py"}
    assert names(behind("script", folder=folder), folder) == expected


def test_relative_imports_and_packages_that_import_what_lies_in_them(tmp_path):
    folder = write(
        tmp_path,
        {"room/__init__.py": "from . import near", "room/near.py": "from ..far import one", "far/__init__.py": ""}
        | {"far/one.py": "", "far/two.py": "", "script.py": "import kinds", "kinds/plain.py": ""}
        | {"kinds/__init__.py": 'ALL = [importlib.import_module(f"{__name__}.{name}") for name in NAMES]'}
        | {"kinds/first/__init__.py": "from kinds.first import part", "kinds/first/part.py": ""}
        | {"kinds/first/own.py": ""},
    )  # fmt: skip
    assert names(behind("room", folder=folder), folder) == {
        "room/__init__.py", "room/near.py", "far/__init__.py", "far/one.py",
    }  # fmt: skip
    assert names(behind("script", folder=folder), folder) == {
        "script.py", "kinds/__init__.py", "kinds/first/__init__.py", "kinds/first/part.py",
    }  # fmt: skip


def test_what_only_a_type_checker_reads_is_not_read(tmp_path):
    text = "if TYPE_CHECKING:\n    import only_types\nelse:\n    import otherwise\n"
    folder = write(tmp_path, {"script.py": text, "only_types.py": "", "otherwise.py": ""})
    assert names(behind("script", folder=folder), folder) == {"script.py", "otherwise.py"}


def test_a_module_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="no_such_script"):
        behind("no_such_script")


SETS = [
    *((script,) for script in DERIVING if script != "plot_chart"),
    *(("plot_chart", CHARTS[name].source) for name in ("speedup", "replication")),
    ("vitbench.frameworks",),
    ("measure",),
]
ADAPTERS = ("measure", *(f"vitbench.frameworks.{name}.adapter" for name in ("huggingface", "sparknlp")))
# For each set of modules, the files of all that its import brings: each in a process of its own, forked from one that
# has the heavy packages of others already.
IMPORT = """
import importlib, json, os, sys
import jsonschema, matplotlib.figure, numpy, pandas, scipy.stats, yaml
for modules in json.load(sys.stdin):
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        assert status == 0, modules
        continue
    for name in modules:
        importlib.import_module(name)
    print(json.dumps([getattr(one, "__file__", None) for one in list(sys.modules.values())]), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def imported() -> dict[tuple[str, ...], set[str]]:
    """Set of modules → the files of ours that Python reads when it imports them."""
    asked = [*SETS, ADAPTERS]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        input=json.dumps(asked), env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # What a module prints when it is imported stands before its line.
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    paths = [[Path(path) for path in line if path] for line in lines]
    found = [names([path for path in one if SCRIPTS in path.parents]) for one in paths]
    return dict(zip(asked, found, strict=True))


@pytest.mark.parametrize("modules", SETS, ids=" ".join)
def test_all_that_python_reads_is_found_without_importing(imported, modules):
    first = modules[0].replace(".", "/")
    assert imported[modules] & {f"{first}.py", f"{first}/__init__.py"}
    assert imported[modules] <= names(behind(*modules))


def test_rules_name_the_script_that_they_run():
    blocks = re.split(r"^ *rule\b", RULES, flags=re.MULTILINE)
    pairs = [
        (found.group(1), re.search(r"/scripts/(\w+)\.py\b", block).group(1))
        for block in blocks
        if (found := re.search(r'lib=library\(\s*"(\w+)"', block))
    ]
    assert len(pairs) >= 12 and all(library == script for library, script in pairs)


def test_measuring_sources_are_what_the_measuring_process_runs_of_two_rooms(imported):
    found = names(measuring())
    rooms = {name for name in imported[ADAPTERS] if name.startswith(("vitbench/measure/", "vitbench/frameworks/"))}
    assert "vitbench/measure/harness.py" in rooms and rooms | {"measure.py"} <= found
    assert {"vitbench/frameworks/huggingface/profiler.py", "vitbench/frameworks/stages.py"} <= found
    assert not [name for name in found if name.startswith(("vitbench/analysis/", "vitbench/present/"))]


def test_a_new_module_that_the_measuring_process_runs_is_a_measuring_source(tmp_path):
    folder = write(
        tmp_path,
        {"measure.py": "from vitbench.measure import harness", "vitbench/__init__.py": "", "vitbench/files.py": ""}
        | {"vitbench/measure/__init__.py": "", "vitbench/measure/new.py": "", "vitbench/measure/peak.py": ""}
        | {"vitbench/steady.py": ""}
        | {"vitbench/measure/harness.py": "from vitbench.measure import new\nfrom vitbench import files, steady"}
        | {"vitbench/frameworks/__init__.py": "", "vitbench/frameworks/own/adapter.py": ""},
    )
    assert names(measuring(folder), folder) == {
        "measure.py", "vitbench/measure/__init__.py", "vitbench/measure/harness.py", "vitbench/measure/new.py",
        "vitbench/frameworks/__init__.py", "vitbench/frameworks/own/adapter.py", "vitbench/steady.py",
    }  # fmt: skip


def test_no_process_of_ours_compiles_grammars_that_it_never_uses():
    """jsonschema does, when it is imported, where Jupyter is installed: it takes a second, in each job."""
    code = "import sys; import vitbench.plan.configuration; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS).returncode == 0
