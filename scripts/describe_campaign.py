"""Write what the pages say of the campaign NAME, as `snakemake campaigns` has just drawn it.

That is docs/NAME.md with its charts made small, and every block of it in README.md and docs/ (docs/campaigns.md):

    <!-- from campaign NAME: comparisons -->
    <!-- end -->

python scripts/describe_campaign.py NAME            # writes all of it
python scripts/describe_campaign.py NAME --check    # exit status 1 if a page says anything else
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import yaml

from vitbench import tables
from vitbench.analysis.pairs import BEST_GROUP, CONTROLS
from vitbench.cells import CONTROL, LEAST_BLOCKS, Cell, role_of
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.advice import best_table, steps_table
from vitbench.present.answer import noise_line, other_terms
from vitbench.present.campaign_tables import PARTS, quiet, scaled, scaling, share
from vitbench.present.charts import CHARTS
from vitbench.present.charts.physics import why
from vitbench.present.labels import (
    brackets,
    cell_names,
    hardware_of,
    interval,
    number_of,
    several,
    size_words,
    variant_of,
)
from vitbench.present.labels import number as quantity
from vitbench.present.markdown import blocks, filled, wrapped
from vitbench.present.page.pictures import small
from vitbench.records.archive import Packed, open_archive

# Today's.
PROTOCOL = yaml.safe_load((HOME / "config" / "config.yaml").read_text(encoding="utf-8"))["protocol"]
# The page shows what the campaign says of itself; what it says of the series is for docs/published.md.
_TARGETS = ("figures", "sizes", "sustained", "scaling", "advice")
SHOWN = {name: chart.title for name, chart in CHARTS.items() if chart.target in _TARGETS}


@dataclass(frozen=True)
class Campaign:
    """A packed campaign and the tables that were made of it."""

    name: str
    about: dict[str, Any]
    """its campaign.json"""
    context: dict[str, Any]
    tables: dict[str, pandas.DataFrame]

    @property
    def page(self) -> Path:
        return HOME / "docs" / f"{self.name}.md"

    @property
    def pictures(self) -> Path:
        return HOME / "docs" / "images" / self.name

    def has(self, part: str) -> bool:
        """Whether its page has this part, or this chart: none of a table without rows, of a sweep that was not made, or
        of one number of workers.
        """
        if part == "batch_sweep":
            return any(role_of(dataset) == "sample" for dataset in self.tables["runs"]["dataset"])
        if part == "scaling":
            return len(scaled(self.tables["scaling"])) > 0
        return part not in self.tables or len(self.tables[part]) > 0

    @property
    def charts(self) -> list[str]:
        """The charts that its page shows."""
        return [name for name in SHOWN if self.has(name)]


def read(name: str, results: Path) -> Campaign:
    """The campaign `name` of this checkout, with its tables from `results`.

    Raises:
        UserError: there is no such campaign, or a table is missing.
    """
    archive = open_archive(HOME / "resources" / "campaigns" / name)
    if not isinstance(archive, Packed):
        known = ", ".join(sorted(each.name for each in archive.root.parent.glob("*")))
        raise UserError(f"{name}: no such campaign; there is {known}")
    return Campaign(
        name,
        archive.about,
        tables.read_context(results / "provenance" / "context.json"),
        {table: tables.read(results / f"{table}.csv") for table in ("runs", *PARTS)},
    )


def _blocks(repeats: int | dict[str, int]) -> str:
    """How many blocks there are, of each role where these differ."""
    if isinstance(repeats, int):
        return several(repeats, "block")
    return " and ".join(f"{several(count, 'block')} of {role}" for role, count in repeats.items() if count)


def conditions(campaign: Campaign, page: Path) -> str:
    """Machine, time, blocks, model, data sets and versions, in one line; `page` holds it."""
    about, context = campaign.about, campaign.context
    first, last = (about[end][:16].replace("T", " ") for end in ("first", "last"))
    return (
        f"{context['machine_text']} · repeats begun {first} to {last} UTC"
        f" · n = {_blocks(about['repeats'])} · model {context['model']} ({context['model_note']}) · "
        + "; ".join(f"{role_of(dataset)} {one['name']}" for dataset, one in context["datasets"].items())
        + f" · {_protocol(context['protocol'], page)} · vitbench {context['vitbench']}"
    )


def _protocol(number: int, page: Path) -> str:
    """The protocol of a campaign; of an earlier one than today's with where it says what was wrong with that."""
    if number == PROTOCOL:
        return f"protocol {number}"
    place = Path(os.path.relpath(HOME / "docs" / "methodology.md", page.parent)).as_posix()
    return f"protocol {number} ([today's is {PROTOCOL}]({place}#what-was-wrong-with-protocol-{number}))"


def describe(campaign: Campaign) -> str:
    """The campaign's own page."""
    name, budget = campaign.name, campaign.tables["time_budget"]
    lines = [
        f"<!-- Written by scripts/describe_campaign.py from resources/campaigns/{name}. -->",
        f"# The campaign `{name}`",
        "",
        f"{campaign.context['answer']}.",
        "",
        conditions(campaign, campaign.page),
        "",
        "What the columns mean stands in [reference_tables.md](reference_tables.md). `snakemake campaigns` draws all "
        f"of this again from `resources/campaigns/{name}`; "
        f"`python scripts/check_records.py resources/campaigns/{name}` checks its records.",
    ]
    if noise := noise_line(campaign.tables["speedup"]):
        lines += ["", f"**Noise**: {noise}"]
    spent = dict(zip(budget.part, budget.share, strict=True))
    lines += ["", f"**The workflow's own overhead**: {spent['own overhead']:.1%} of the campaign's time."]
    for part, (heading, written) in PARTS.items():
        if campaign.has(part):
            lines += ["", f"## {heading}", "", *written(campaign.tables[part])]
    lines += ["", "## Quiet", "", *quiet(campaign.tables["runs"])]
    lines += ["", "## Charts"]
    for chart in campaign.charts:
        lines += ["", picture(campaign, campaign.page, chart)]
    return wrapped("\n".join(lines) + "\n")


def picture(campaign: Campaign, page: Path, chart: str) -> str:
    """A chart as `page` shows it."""
    place = Path(os.path.relpath(campaign.pictures / f"{chart}.png", page.parent)).as_posix()
    return f"![{SHOWN[chart]}]({place})"


def comparisons(campaign: Campaign) -> list[str]:
    """A row a variant at its best batch size on the full data set: each baseline, its candidates, the A/A controls."""
    speedup = campaign.tables["speedup"]
    speedup = speedup[(speedup.comparison == BEST_GROUP) | (speedup.family == CONTROLS)]
    if speedup.empty:
        return ["No two variants were measured on the full data set."]
    rates, peaks = _of_full(campaign, "summary", "throughput"), _of_full(campaign, "physics", "share_of_peak")

    def cell(name: str) -> list[str]:
        words = Cell.parse(name)
        shown = f"{variant_of(words)}, {hardware_of(words)}, {size_words(words.batch_size)}"
        return [shown, quantity(rates.get(name, math.nan)), share(peaks.get(name, math.nan))]

    ends = "95% interval" + (f"; a range below {LEAST_BLOCKS} blocks" if speedup.blocks.min() < LEAST_BLOCKS else "")
    heads = [
        "variant",
        "images/s (median)",
        "of the peak",
        f"times as fast [{ends}]",
        "blocks",
        "verdict",
        "same labels",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for baseline, rows in speedup.groupby("baseline", sort=False):
        if (rows.family != CONTROLS).any():
            lines.append(f"| {' | '.join([*cell(baseline), '1', '', 'baseline', ''])} |")
        for row in rows.itertuples():
            variant, *rest = cell(row.candidate)
            if row.family == CONTROLS:
                variant = f"A/A: {cell(baseline)[0]}, once more"
            around = brackets(row.low, row.high)
            ratio = "–" if math.isnan(row.speedup) else quantity(row.speedup) + around
            found = [ratio, number_of(row.blocks), row.verdict, share(row.agreement)]
            lines.append(f"| {' | '.join([variant, *rest, *found])} |")
    return lines


def ceilings(campaign: Campaign) -> list[str]:
    """A row a precision in which a CPU multiplied: the fastest variant of the first baseline's, that included, and how
    fast one would be that did nothing but decode and multiply on all cores.

    Images are decoded as fast as Pillow does it (`decode_ceiling`), and products made at the highest rate of any
    library in that precision (`peak_gflops`), one after the other.
    """
    speedup, physics = campaign.tables["speedup"], campaign.tables["physics"]
    ratios = speedup[(speedup.comparison == BEST_GROUP) & speedup.speedup.notna()]
    physics = physics[(physics.dataset == "full") & (physics.device == "cpu")].dropna(
        subset=["decode_ceiling", "peak_gflops"]
    )
    physics = physics.set_index(cell_names(physics))
    if ratios.empty or ratios.baseline.iloc[0] not in physics.index:
        return ["There is no ratio of a CPU's, or nothing is known of what it can do at most."]
    baseline = ratios.baseline.iloc[0]
    ratios = ratios[ratios.baseline == baseline]
    lines = ["| products in | fastest | times as fast | at these rates |", "| --- | --- | --- | --- |"]
    for precision, cells in physics.groupby("peak_precision", sort=False):
        told = ratios[ratios.candidate.isin(cells.index)]
        best = told.loc[told.speedup.idxmax()] if len(told) else None
        if baseline in cells.index and (best is None or best.speedup < 1):
            fastest, ratio = baseline, "1"
        elif best is not None:
            fastest, ratio = best.candidate, interval(best.speedup, best.low, best.high, best.blocks)
        else:
            continue
        seconds = 1 / cells.decode_ceiling.iloc[0] + (cells.gflop_per_image / cells.peak_gflops).iloc[0]
        possible = quantity(1 / seconds / physics.throughput[baseline])
        lines.append(f"| {precision} | {variant_of(Cell.parse(fastest))} | {ratio} | {possible} |")
    return lines


def reasons(campaign: Campaign) -> list[str]:
    """A sentence for each variant of the full runs: its share of what its own library can do, and of the machine's."""
    physics = campaign.tables["physics"]
    measured = physics[(physics.dataset == "full") & ~physics.variant.str.endswith(CONTROL)]
    return [" ".join(why(measured)) or "What the machine can do at most is not known."]


def _of_full(campaign: Campaign, table: str, column: str) -> dict[str, float]:
    """Cell of the full data set → its value in a table of the campaign."""
    frame = campaign.tables[table]
    frame = frame[frame.dataset == "full"]
    return dict(zip(cell_names(frame), frame[column], strict=True))


# What a block of a page may hold: campaign, page → lines.
BLOCKS: dict[str, Callable[[Campaign, Path], list[str]]] = {
    "answer": lambda campaign, page: [f"{campaign.context['answer']}."],
    "other terms": lambda campaign, page: (
        other_terms(campaign.tables["speedup"], campaign.context["versions"])
        or ["Nothing was compared on other terms."]
    ),
    "conditions": lambda campaign, page: [conditions(campaign, page)],
    "noise": lambda campaign, page: [
        noise_line(campaign.tables["speedup"]) or "No cell was measured twice: the noise is not known."
    ],
    "comparisons": lambda campaign, page: comparisons(campaign),
    "ceilings": lambda campaign, page: ceilings(campaign),
    "why": lambda campaign, page: reasons(campaign),
    "advice": lambda campaign, page: best_table(campaign.tables["advice"]),
    "steps": lambda campaign, page: steps_table(campaign.tables["steps"]),
    "scaling": lambda campaign, page: scaling(campaign.tables["scaling"]),
} | {f"chart {chart}": lambda campaign, page, chart=chart: [picture(campaign, page, chart)] for chart in SHOWN}


def block(campaign: Campaign, page: Path, what: str) -> str:
    """The text of one block in `page`.

    Raises:
        UserError: nothing of that name can be written.
    """
    if what not in BLOCKS:
        raise UserError(f"{page.name}: a block cannot hold {what!r}; it can hold {', '.join(BLOCKS)}")
    return wrapped("\n".join(BLOCKS[what](campaign, page)) + "\n")


def pages() -> list[Path]:
    """The pages that people write, and that may hold blocks."""
    return [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]


def with_blocks() -> dict[Path, set[str]]:
    """Page → the sources of its blocks."""
    return {page: {source for source, _ in blocks(page.read_text(encoding="utf-8"))} for page in pages()}


def texts(campaign: Campaign) -> dict[Path, str]:
    """Page → its text, of the campaign's own page and of all that hold a block of it."""
    source = f"campaign {campaign.name}"
    found = {
        page: filled(page.read_text(encoding="utf-8"), source, partial(block, campaign, page))
        for page, sources in with_blocks().items()
        if source in sources
    }
    return {campaign.page: describe(campaign)} | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a page is another")
    given = parser.parse_args()
    campaign = read(given.campaign, Path("results/campaigns") / given.campaign)
    found = texts(campaign)
    if given.check:
        for page, text in found.items():
            if not page.exists() or page.read_text(encoding="utf-8") != text:
                again = f"python scripts/describe_campaign.py {campaign.name}"
                raise UserError(f"{page} is not what the campaign says: {again}")
        return
    for chart in campaign.charts:
        drawn = Path("reports/campaigns") / campaign.name / f"{chart}.png"
        if not drawn.exists():
            raise UserError(f"{drawn} is missing: run `snakemake campaigns` here first")
        write_atomically(campaign.pictures / drawn.name, small(drawn))
    for page, text in found.items():
        write_atomically(page, text)


if __name__ == "__main__":
    exit_with_user_errors(main)
