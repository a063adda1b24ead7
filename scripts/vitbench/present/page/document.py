"""The whole page: which sections a source of tables has, in which order, and the first screen over them."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from vitbench.analysis import fairness
from vitbench.analysis.jobs import jobs
from vitbench.analysis.physics import ABOVE
from vitbench.errors import UserError
from vitbench.present import projection
from vitbench.present.answer import other_terms
from vitbench.present.charts.speedup import of_the_article
from vitbench.present.labels import cell_names, number, several, terms_of
from vitbench.present.page import (
    break_even,
    cells,
    comparison,
    costs,
    machine,
    parity,
    quality,
    replication,
    scaling,
    series,
    sizes,
)
from vitbench.present.page.parts import Section, Strip, looks

TEMPLATES = Path(__file__).parent / "templates"
# What a mail or an issue takes; the parts that grow with the data are cut to stay below it.
LARGEST = 5_000_000


@dataclass(frozen=True)
class First:
    """What the first screen says."""

    title: str
    line: str
    answer: str
    sure: str
    others: tuple[str, ...]
    """comparisons on other terms than the answer's, in words"""
    chips: tuple[tuple[str, str], ...]
    """group of comparisons, and the words of the button that chooses it"""
    chart: Strip | None
    read: str
    wrong: str
    arms: tuple[break_even.Arm, ...]
    images: int
    deadline: float
    believe: tuple[str, ...]
    doubt: tuple[str, ...]
    published: str
    """how our ratios compare with the published ones, in one line; empty where none is beside them"""
    links: tuple[tuple[str, str], ...]


def of_measured(
    tables: Mapping[str, pd.DataFrame],
    context: dict[str, Any],
    grid: dict[str, Any],
    checks: dict[str, Any],
    root: Path,
    published: Path | None,
) -> str:
    """The page of what was measured here, or of a campaign.

    Args:
        tables: runs, summary, best, parity, speedup, break_even, stages, physics, effective_batches, time_budget,
            images, disagreements, replication, data_set_sizes, total_time, scaling, scaling_fits, cost, slowest_stage.
        grid: of the source.
        checks: what the record checker found (`provenance/checks.json`).
        root: working directory, below whose resources/datasets/ the images may lie.
        published: the published runs, to set the article's ratio beside ours; None for a campaign.
    """
    runs, summary, speedup = tables["runs"], tables["summary"], tables["speedup"]
    given = looks(context, zip(summary["framework"], summary["variant"], strict=True))
    ours = comparison.shown_first(speedup)
    shown = ours
    if published is not None and len(ours):
        shown = pd.concat([ours, of_the_article(published.parent, speedup)], ignore_index=True)
    groups = {(row.dataset, row.baseline, row.candidate): terms_of(row) for row in speedup.itertuples(index=False)}
    precisions = dict(zip(cell_names(summary), summary["precision"], strict=True))
    slugs = {role: one["slug"] for role, one in grid["datasets"].items()}
    beside = replication.replication(tables["replication"])
    sections = [
        comparison.every(speedup),
        cells.sweep(summary, runs, tables["best"], given),
        cells.full(summary, runs, given),
        quality.passes(runs, given),
        costs.stages(tables["stages"]),
        costs.batches(tables["effective_batches"]),
        parity.parity(
            tables["parity"], tables["disagreements"], groups, slugs, root, precisions, bool(context.get("model_note"))
        ),
        costs.peak(tables["physics"], tables["slowest_stage"], given),
        costs.memory(runs, given),
        break_even.break_even(runs, tables["break_even"], given),
        sizes.sizes(tables["data_set_sizes"], tables["total_time"], given),
        scaling.scaling(tables["scaling"], tables["scaling_fits"], given),
        scaling.cost(tables["cost"]),
        beside,
        machine.machine(summary, context, tables["time_budget"], tables["images"]),
        quality.quiet(runs, speedup, context),
        machine.every_run(runs),
    ]
    believe, doubt = quality.reasons(dict(tables), context)
    above = tables["physics"][tables["physics"]["verdict"] == ABOVE]
    impossible = set(zip(above["dataset"], cell_names(above), strict=True))
    arms = break_even.arms(jobs(runs, tables["total_time"], tables["parity"], impossible), tables["total_time"])
    first = _first(context, shown, speedup, arms, believe, doubt, beside.found if beside else "", _checked(checks))
    return render(first, sections, context)


def of_published(tables: Mapping[str, pd.DataFrame], context: dict[str, Any], pictures: list[Path]) -> str:
    """The page of the published numbers.

    Args:
        tables: runs, speedup, claims, figures, hardware, repeats.
        pictures: the figures that were drawn again (png).
    """
    speedup = tables["speedup"]
    sections = [
        comparison.every(speedup),
        series.claims(tables["claims"]),
        series.figures(tables["figures"], pictures),
        series.hardware(tables["hardware"], tables["repeats"]),
        machine.every_run(tables["runs"]),
    ]
    doubt = ["one run a cell, no interval", "labels not compared", "hardware as stated"]
    return render(_first(context, comparison.shown_first(speedup), speedup, [], [], doubt), sections, context)


def _checked(checks: dict[str, Any]) -> str:
    """What the record checker found, in a few words."""
    if checks["reasons"]:
        return f"checks: {several(len(checks['reasons']), 'reason')} against these records (scripts/check_records.py)"
    left = f", {len(checks['not_made'])} could not be made" if checks["not_made"] else ""
    return f"checks: all {len(checks['made'])} passed{left}"


def _first(context, shown, speedup, arms, believe, doubt, published="", checked="") -> First:
    answer, bracket, sure = context["answer"].partition(" [")
    source = context["source"]
    name = source.removeprefix("campaigns/")
    what = f'campaign "{name}"' if source.startswith("campaigns/") else source
    blocks = speedup["blocks"][speedup["dataset"] == "full"].dropna()
    parts = [what, context["machine_text"], context["date"]]
    parts += [several(blocks.max(), "block")] if len(blocks) and source != "published" else []
    parts.append(f"protocol {context['protocol']}")
    parts += [checked] if checked else []
    results = "../results/" if source == "live" else f"{'../' * (source.count('/') + 2)}results/{source}/"
    notebook = () if source == "published" else (("notebook", "analysis.html"),)
    links = (
        ("workbook", "benchmark.xlsx"),
        *notebook,
        ("runs.csv", f"{results}runs.csv"),
        ("speedup.png", "speedup.png"),
    )
    return First(
        title=f"vitbench · {what} · {context['machine']}",
        line=" · ".join(parts),
        answer=answer,
        sure=sure.removesuffix("]") if bracket else "",
        others=tuple(other_terms(speedup, context["versions"])),
        chips=_chips(speedup),
        chart=comparison.strip(shown, "Who is faster: ratio of wall times, baseline / candidate")
        if len(shown)
        else None,
        read=comparison.reading(shown),
        wrong=comparison.doubting(shown),
        arms=tuple(arms),
        images=projection.IMAGES,
        deadline=projection.DEADLINE,
        believe=tuple(believe),
        doubt=tuple(doubt),
        published=published,
        links=links,
    )


def _chips(speedup: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """A button for each group of comparisons, with its largest ratio of the full runs; none where all are of one."""
    groups: dict[str, list[Any]] = {}
    for row in speedup.itertuples(index=False):
        groups.setdefault(terms_of(row), []).append(row)
    groups.pop("", None)
    if len(groups) < 2:
        return ()
    chips = []
    for group in sorted(groups, key=lambda name: fairness.rank([name])):
        ratios = [row.speedup for row in groups[group] if row.dataset == "full" and math.isfinite(row.speedup)]
        most = f": {'up to ' if len(ratios) > 1 else ''}{number(max(ratios))}" if ratios else ""
        chips.append((group, f"{group}{most if group in fairness.LABELS else ''} ({len(groups[group])})"))
    return tuple(chips)


def render(first: First, sections: list[Section | None], context: dict[str, Any]) -> str:
    """The page as HTML; sections without data (None) are left out. Every word is escaped by the templates.

    Raises:
        UserError: the page would be larger than LARGEST bytes.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("page.js").render()
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    page = environment.get_template("page.html").render(
        first=first,
        sections=[section for section in sections if section],
        context=context,
        script_hash=digest,
    )
    if (size := len(page.encode())) > LARGEST:
        raise UserError(
            f"the page has {size:,} bytes, more than {LARGEST:,}: measure fewer variants into one directory"
        )
    return page
