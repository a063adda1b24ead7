"""What is done again after what change: read by the tests, which do each, and written into docs/reruns.md.

python tests/reruns.py            # writes the tables in docs/reruns.md; a test fails while they are behind
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from vitbench.files import HOME, write_atomically  # noqa: E402
from vitbench.present.charts import CHARTS as REGISTRY  # noqa: E402
from vitbench.present.markdown import filled  # noqa: E402

DOCUMENT = HOME / "docs" / "reruns.md"

# The tree that the tests change: cells of the sweep, of the full set (one a variant and a control of each framework).
CELLS, FULL, REPEATS = 6, 4, 3
ANALYSED = {"analyse_runs", "derive_tables", "tabulate_replication", "write_context", "write_summary"}
ANALYSED |= {"tabulate_scaling", "tabulate_cost", "check_records"}
TABLES = {"collect_records", "tabulate_physics", "tabulate_stages", "tabulate_slowest"} | ANALYSED
CHARTS = {f"plot_{name}" for name, chart in REGISTRY.items() if chart.target == "figures"}
WORKBOOK, PAGE = {"write_workbook"}, {"write_page"}
PRODUCTS = WORKBOOK | PAGE | {"execute_notebook"}

# What an edit of a module of the library makes again, and nothing else.
EDITS: dict[str, set[str]] = {
    "present/charts/stages.py": {"plot_stages"} | PAGE,  # which takes its colours
    "present/charts/effective_batches.py": {"plot_effective_batches"},
    "present/charts/speedup.py": {"plot_speedup"} | PAGE,  # and the article's ratios
    "present/charts/panels.py": {"plot_batch_sweep", "plot_wall_time"},
    "present/charts/replication.py": set(),  # not asked for by `all`
    "present/style.py": CHARTS | PAGE,
    "present/workbook/book.py": WORKBOOK,
    "present/projection.py": WORKBOOK | PAGE,
    "present/page/cells.py": PAGE,
    "present/page/templates/style.css": PAGE,
    # The answer is in each context.
    "present/answer.py": {"tabulate_replication", "write_context", "write_summary"} | CHARTS | PRODUCTS,
    "analysis/statistics.py": ANALYSED | CHARTS | PRODUCTS,
    "plan/estimate.py": set(),
    "measure/harness.py": set(),
    "frameworks/sparknlp/adapter.py": set(),
}


@dataclass(frozen=True)
class Measured:
    """How much is measured again: in words, and how many repeats that is in the tree of the tests."""

    words: str
    repeats: int


NOTHING = Measured("nothing", 0)
EVERYTHING = Measured("everything, under the new one; the old records stay", (CELLS + FULL) * REPEATS)


@dataclass(frozen=True)
class Change:
    """One thing that somebody does, and what it leads to."""

    words: str
    measured: Measured
    change: Callable[[Path], None] = lambda root: None
    """what is done to a finished tree"""
    arguments: tuple[str, ...] = ()
    """Snakemake's, after it"""
    also: frozenset[str] = frozenset()
    """rules that run again"""
    never: frozenset[str] = frozenset()
    """rules that do not"""
    only: bool = False
    """whether `also`, and what measures, is all that runs"""


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace text in a file of the tree; it is an error if it is not there."""

    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text, f"{old!r} is not in {name} any more"
        (root / name).write_text(text.replace(old, new))

    return change


def append(name: str) -> Callable[[Path], None]:
    """Put a comment at the end of a file of the tree."""

    def change(root: Path) -> None:
        (root / name).write_text((root / name).read_text() + "\n# an edit\n")

    return change


def remove(pattern: str) -> Callable[[Path], None]:
    """Remove the first file below measurements/ that fits, with the predictions beside it."""

    def change(root: Path) -> None:
        path = next((root / "measurements").rglob(pattern))
        path.unlink()
        path.with_suffix(".predictions.csv").unlink(missing_ok=True)

    return change


def remove_folders(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name)

    return change


def configure(text: str) -> Callable[[Path], None]:
    """Write a configuration of one's own."""

    def change(root: Path) -> None:
        (root / "mine.yaml").write_text(text)

    return change


def check_out(root: Path) -> None:
    """Give every file another time, in no order, as a checkout does; tables and Snakemake's notes go."""
    remove_folders(".snakemake", "results")(root)
    now = time.time()
    for number, path in enumerate(sorted(root.rglob("*"), key=lambda path: zlib.crc32(path.name.encode()))):
        if path.is_file():
            os.utime(path, (now - number, now - number))


MINE = ("--configfile", "mine.yaml")
CHOICE = frozenset({"choose_batch_size"})
CHANGES: dict[str, Change] = {
    "nothing": Change("nothing", NOTHING, only=True),
    "command": Change("`scripts/measure.py`", NOTHING, append("scripts/measure.py"), only=True),
    "rule": Change(
        "the rule that measures (`rules/measure.smk`)",
        NOTHING,
        edit("rules/measure.smk", "--repeat {wildcards.repeat}", "--repeat  {wildcards.repeat}"),
    ),
    "draw": Change(
        "`scripts/plot_chart.py`", NOTHING, append("scripts/plot_chart.py"), also=frozenset(CHARTS), only=True
    ),
    "clone": Change("a clone or a checkout", NOTHING, check_out, also=frozenset(TABLES), never=CHOICE),
    "data set": Change(
        "a data set removed from `resources/datasets/`", NOTHING, remove_folders("resources/datasets"), never=CHOICE
    ),
    "--forceall": Change("`--forceall`", NOTHING, arguments=("--forceall",), never=frozenset({"measure_peak"})),
    "--forcerun": Change("`--forcerun measure`", NOTHING, arguments=("--forcerun", "measure")),
    "record of the sweep": Change("a record removed", Measured("that repeat", 1), remove("bs8/rep1.json")),
    "record of a full run": Change("… of a full run", Measured("that repeat", 1), remove("bsbest/rep1.json")),
    "record of a control": Change(
        "… of an A/A control", Measured("that repeat", 1), remove("pipeline-control*/**/rep2.json")
    ),
    "profile": Change("a `profile.json` removed", NOTHING, remove("profile.json"), also=frozenset({"profile_cell"})),
    "peak": Change("`peak.json` removed", NOTHING, remove("peak.json"), also=frozenset({"measure_peak"}), never=CHOICE),
    "protocol": Change("`protocol`", EVERYTHING, arguments=("--config", "protocol=99")),
    "machine": Change("`machine`", EVERYTHING, arguments=("--config", "machine=another-machine")),
    "model": Change("`model`", EVERYTHING, arguments=("--config", "model=vit-tiny-seeded")),
    "directory": Change("`--directory`", EVERYTHING, arguments=("--directory", "mine")),
    "definition": Change(
        "the definition of a variant (`resources/variants.yaml`)",
        Measured("its variant, with its A/A control", (3 + 2) * REPEATS),
        edit("resources/variants.yaml", "image_processor: pil", "image_processor: pil\n    new_setting: 1"),
    ),
    "other sample": Change(
        "another data set as `sample`",
        Measured("the sweep; full runs and their batch sizes are kept", CELLS * REPEATS),
        configure("datasets: {sample: photos-16}\n"),
        MINE,
        never=CHOICE,
    ),
    "more repeats": Change(
        "one more in `repeats`",
        Measured("the new block", CELLS + FULL),
        arguments=("--config", "repeats=4"),
        also=frozenset({"check_ready"}),
    ),
    "more batch sizes": Change(
        "one more in `batch_sizes`",
        Measured("that batch size, of each variant", 2 * REPEATS),
        configure("batch_sizes: [1, 4, 8, 16]\n"),
        MINE,
    ),
    "more variants": Change(
        "one more in `frameworks`",
        Measured("that variant: sweep and full run", 3 * REPEATS + REPEATS),
        configure("frameworks: [huggingface/pipeline, sparknlp/tensorflow, sparknlp/onnx]\n"),
        MINE,
        also=CHOICE,
    ),
}


FOLLOWS = "what follows from it"


def named(rules: set[str] | frozenset[str]) -> str:
    """Rules in words: all charts together, others by their names."""
    every = ["all charts"] if rules >= CHARTS else []
    return ", ".join(every + [f"`{rule}`" for rule in sorted(rules - CHARTS if every else rules)]) or "nothing"


def changes() -> str:
    """The table of CHANGES."""
    text = "| you touch | it measures again | and runs again |\n| --- | --- | --- |\n"
    for one in CHANGES.values():
        others = named(one.also) if one.only else ", ".join([*filter(None, [one.also and named(one.also)]), FOLLOWS])
        text += f"| {one.words} | {one.measured.words} | {others} |\n"
    return text


def edits() -> str:
    """The table of EDITS."""
    text = "| you edit, in `scripts/vitbench/` | it makes again, and nothing else |\n| --- | --- |\n"
    return text + "".join(f"| `{module}` | {named(rules)} |\n" for module, rules in EDITS.items())


def describe(page: str) -> str:
    """The page with both tables written anew."""
    return filled(page, "tests/reruns.py", lambda what: {"changes": changes, "edits": edits}[what]())


if __name__ == "__main__":
    write_atomically(DOCUMENT, describe(DOCUMENT.read_text()))
