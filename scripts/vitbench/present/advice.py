"""The page of advice: for each aim what to run here, how sure that is, what would overturn it, a program to paste.

Every number on it is of the tables `advice` and `steps`.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pandas

from vitbench.analysis.advice import BASELINE, REFERENCE
from vitbench.cells import Cell
from vitbench.frameworks import FRAMEWORKS, OF_ARTICLE, package
from vitbench.frameworks.declaration import Setting
from vitbench.present.answer import NOTHING_FOLLOWS, repeat_command
from vitbench.present.labels import (
    interval,
    name_of,
    number_of,
    part_of_machine,
    percentage,
    several,
    size_words,
    variant_of,
    variants_apart,
)
from vitbench.present.markdown import grid, wrapped

HOW_TO_READ = (
    "Ratios are geometric means over the blocks of ratios of wall times over the same images, from decoding the file to"
    " the label; 95% intervals by Student's t, below five blocks the range. A candidate is a variant whose labels"
    " passed the gate against the baseline's. RAM at most is the sum of the high-water marks of all processes, not of a"
    " GPU: an upper bound, in which pages that processes share count once a process, so that of many it is too high."
)
TOO_GOOD = (
    "The best was chosen among {count} by the repeats that its ratio is made of, so that the ratio is a little too"
    " good: `snakemake tune` confirms its choice on fresh repeats."
)
PROGRAM = (
    "The same settings as a program of your own, shorter than what was measured: it leaves out what the measurement"
    " adds (ids, proofs of the precision), whole batches go from worker to worker, each is waited for, and none is"
    " fetched further ahead. Its own speed was not measured."
)


def page(advice: pandas.DataFrame, steps: pandas.DataFrame, context: dict[str, Any]) -> str:
    """The page as Markdown, beside the charts `advice.svg` and `steps.svg`."""
    parts = ["# What to run on this machine", "", f"{context['machine_text']}; {_what(context)}.", ""]
    found = advice[advice.candidate != ""]
    if found.empty:
        reasons = "; ".join(dict.fromkeys(filter(None, advice.reason))) or "no variant of the full run has a ratio"
        return wrapped("\n".join([*parts, f"No advice: {reasons}.", ""]))
    parts += ["![each aim's best over the baseline, with its interval](advice.svg)", ""]
    parts += [*best_table(found), ""]
    given: dict[str, str] = {}
    for row in advice.itertuples():
        parts += [f"## {row.objective[0].upper()}{row.objective[1:]}, {part_of_machine(row)}", ""]
        if not row.candidate:
            parts += [f"None: {row.reason}.", ""]
            continue
        parts += [*_section(row, context), ""]
        if row.candidate in given:
            parts += [f"Its settings and program stand under “{given[row.candidate]}”.", ""]
        else:
            parts += [*_program(row, context), ""]
        given.setdefault(row.candidate, row.objective)
    parts += ["## From the article's setting, as few changes a step as were measured", ""]
    parts += [
        "![each step as a multiple of the first](steps.svg)",
        "",
        *steps_table(steps),
        "",
        "## How to read it",
        "",
    ]
    parts += [HOW_TO_READ, "", TOO_GOOD.format(count=number_of(found.candidates.max())), ""]
    return wrapped("\n".join(parts))


def _what(context: dict[str, Any]) -> str:
    full = context["datasets"]["full"]
    note = f" ({context['model_note']})" if context.get("model_note") else ""
    return f"{context['model']}{note}, {full['images']} images ({full['name']}), {context['date']}"


def best_table(advice: pandas.DataFrame) -> list[str]:
    """Lines of a Markdown table: a row an aim that something serves."""
    heads = ["aim", "run", "precision", "times as fast as the baseline", "blocks", "RAM at most, MB",
             "labels as the baseline's", "next", "ahead of the next by", "verdict on that",
             "hours for a million images"]  # fmt: skip
    rows = [
        [f"{row.objective} ({part_of_machine(row)})", name_of(row), row.precision,
         interval(row.speedup, row.low, row.high, row.blocks), number_of(row.blocks), number_of(row.peak_memory_mb),
         percentage(row.agreement), variant_of(Cell.parse(row.runner_up)) if row.runner_up else "–", _ahead(row),
         row.runner_verdict or "–", _hours(row)]
        for row in advice[advice.candidate != ""].itertuples()
    ]  # fmt: skip
    return grid(heads, rows)


def _ahead(row: Any) -> str:
    """How far the best is ahead of the next, of memory how much less it takes."""
    return interval(row.runner_ratio, row.runner_low, row.runner_high, row.runner_blocks)


def _hours(row: Any) -> str:
    return interval(row.hours, row.hours_low, row.hours_high) if math.isfinite(row.hours) else row.hours_reason


def _section(row: Any, context: dict[str, Any]) -> list[str]:
    said = [f"**{name_of(row)}**, {row.precision or 'precision not known'}, the best of"
            f" {several(row.candidates, 'candidate')}."]  # fmt: skip
    if row.verdict == BASELINE:
        said.append("It is the baseline itself: none of the candidates serves this aim better.")
    else:
        said.append(
            f"{interval(row.speedup, row.low, row.high, row.blocks)} times as fast as {row.baseline}"
            f"{' (as in the article)' if OF_ARTICLE in row.terms.split(';') else ''}: {row.verdict}"
            f"{f', {row.fairness}' if row.fairness else ''}; {several(row.blocks, 'block')}."
        )
        if math.isfinite(row.memory_ratio):
            ends = (1 / one for one in (row.memory_ratio, row.memory_high, row.memory_low))
            said.append(f"Its upper bound of RAM is {interval(*ends, row.memory_blocks)} times the baseline's.")
        said.append(f"Labels as the baseline's: {percentage(row.agreement)} of {number_of(row.images)} images.")
    if row.runner_up:
        told = row.runner_verdict or "not compared"
        said.append(f"Next: {row.runner_up}; the best is ahead by {_ahead(row)} ({told}).")
    lines = [" ".join(said), "", f"- Hours for a million images: {_hours(row)}."]
    overturned = row.overturned or "a repetition on another day, and whatever its interval does not hold"
    lines.append(f"- What would overturn it: {overturned}.")
    if row.precision not in ("", REFERENCE) and context.get("model_note"):
        lines += ["", NOTHING_FOLLOWS, "", "```sh", repeat_command((row.baseline, row.candidate)), "```"]
    return lines


def _program(row: Any, context: dict[str, Any]) -> list[str]:
    """The settings, and where the framework writes one, a program with them."""
    framework = FRAMEWORKS.get(row.framework)
    definition = json.loads(row.definition or "{}")
    version = context.get("versions", {}).get(package(row.framework), "")
    settings = ", ".join(f"{key}: {value}" for key, value in definition.items())
    told = " ".join(filter(None, (package(row.framework), version)))
    lines = [f"Settings ({told}): {settings or 'not recorded'}."]
    if framework is None or framework.snippet is None or not definition or not math.isfinite(row.cores):
        return lines
    program = framework.snippet(definition, Setting(row.device, int(row.batch_size), int(row.cores)))
    return lines if program is None else [*lines, "", PROGRAM, "", "```python", program.rstrip(), "```"]


def steps_table(steps: pandas.DataFrame) -> list[str]:
    """Lines of a Markdown table: a row a step."""
    heads = ["framework", "step", "changed", "variant", "this step", "its blocks", "in all", "blocks in all",
             "labels as the baseline's"]  # fmt: skip
    rows = [
        [row.framework, number_of(row.step), row.changed or "–", f"{name}, {size_words(row.batch_size)}",
         interval(row.speedup, row.low, row.high, row.blocks), number_of(row.blocks),
         interval(row.total, row.total_low, row.total_high, row.total_blocks), number_of(row.total_blocks),
         percentage(row.agreement)]
        for row, name in zip(steps.itertuples(), variants_apart(steps), strict=True)
    ]  # fmt: skip
    return grid(heads, rows)
