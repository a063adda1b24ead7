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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import yaml

from vitbench import tables
from vitbench.analysis.pairs import BEST_GROUP, CONTROLS
from vitbench.analysis.sustained import SPAN, WARMING, trends
from vitbench.cells import LEAST_BLOCKS, Cell, cell_name, role_of
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.advice import best_table, steps_table
from vitbench.present.answer import noise_line
from vitbench.present.charts import CHARTS
from vitbench.present.labels import cell_names, hardware_of, number_of, several, size_words, variant_of
from vitbench.present.labels import number as quantity
from vitbench.present.markdown import blocks, filled, wrapped
from vitbench.present.page.pictures import small
from vitbench.records.archive import Packed, open_archive

# Today's.
PROTOCOL = yaml.safe_load((HOME / "config" / "config.yaml").read_text(encoding="utf-8"))["protocol"]
# The page shows what the campaign says of itself; what it says of the series is for docs/published.md.
_TARGETS = ("figures", "sizes", "sustained", "advice")
SHOWN = {name: chart.title for name, chart in CHARTS.items() if chart.target in _TARGETS}
Form = Callable[[float], str]
Columns = dict[str, tuple[str, Form | None]]


def number(digits: int) -> Form:
    """A form with so many digits after the point; empty for a missing value."""
    return lambda value: "" if math.isnan(value) else f"{value:,.{digits}f}"


def share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"


def table(frame: pandas.DataFrame, columns: Columns) -> list[str]:
    """Lines of a Markdown table: column → its heading, and the form of its numbers (None for words)."""
    lines = [f"| {' | '.join(heading for heading, _ in columns.values())} |", "| --- " * len(columns) + "|"]
    for row in frame.to_dict("records"):
        cells = [str(row[column]) if form is None else form(row[column]) for column, (_, form) in columns.items()]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return lines


def _variant(frame: pandas.DataFrame) -> pandas.DataFrame:
    return frame.assign(variant=frame.framework + "/" + frame.variant)


def _blocks(repeats: int | dict[str, int]) -> str:
    """How many blocks there are, of each role where these differ."""
    if isinstance(repeats, int):
        return several(repeats, "block")
    return " and ".join(f"{several(count, 'block')} of {role}" for role, count in repeats.items() if count)


def _speedup(frame: pandas.DataFrame) -> list[str]:
    ratio, words = number(2), (("verdict", None), ("reason", None))
    columns = {"candidate": None, "baseline": None, "speedup": ratio, "low": ratio, "high": ratio, "blocks": number(0)}
    columns |= {"p_holm": number(4), "family": None, "fairness": None, "smallest_detectable": ratio}
    columns |= {"blocks_needed": number(0), "hours_needed": number(1), "agreement": share} | dict(words)
    lines = []
    for group, rows in frame.groupby("comparison", sort=False):
        lines += [f"**{group}**", "", *table(rows, {name: (name, form) for name, form in columns.items()}), ""]
    return lines[:-1]


def _summary(frame: pandas.DataFrame) -> list[str]:
    frame = frame.assign(cell=[cell_name(row) for row in frame.to_dict("records")])
    seconds = {name: (f"{name}, s", number(2)) for name in ("median", "low", "high")}
    return table(
        frame,
        {"dataset": ("data set", None), "cell": ("cell", None), "repeats": ("n", number(0))}
        | {"set_aside": ("set aside", number(0))}
        | seconds
        | {"cv": ("CV", share), "throughput": ("images/s", number(2)), "cold_median": ("cold pass, s", number(2))}
        | {"start_median": ("start, s", number(1)), "load_median": ("load, s", number(1))}
        | {"accuracy": ("right", share)},
    )


def _stages(frame: pandas.DataFrame) -> list[str]:
    wide = frame.pivot_table("share", ["framework", "variant"], "stage", sort=False).reset_index()
    about = frame.drop_duplicates(["framework", "variant"])
    wide = _variant(wide.merge(about.drop(columns=["stage", "share", "seconds"]), on=["framework", "variant"]))
    stages: Columns = {stage: (stage, share) for stage in frame.stage.drop_duplicates()}
    sums: Columns = {
        "sum_seconds": ("sum, s", number(2)),
        "wall_seconds": ("wall time, s", number(2)),
        "difference": ("difference", share),
        "bound_by": ("bound by", None),
        "reason": ("remark", None),
    }
    return table(wide, {"variant": ("variant", None)} | stages | sums)


def _physics(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {
        "dataset": ("data set", None),
        "variant": ("variant", None),
        "batch_size": ("batch size", number(0)),
        "throughput": ("images/s", number(2)),
        "gflops": ("GFLOP/s", number(0)),
        "peak_gflops": ("peak, GFLOP/s", number(0)),
        "peak_library": ("measured with", None),
        "share_of_peak": ("share of peak", share),
        "decode_ceiling": ("decode ceiling, images/s", number(0)),
        "verdict": ("verdict", None),
    }
    return table(_variant(frame), columns)


def _break_even(frame: pandas.DataFrame) -> list[str]:
    images = {"break_even": ("images", number(0)), "low": ("low", number(0)), "high": ("high", number(0))}
    columns: Columns = {"early": ("starts earlier", None), "late": ("starts later", None)}
    return table(frame, columns | images | {"verdict": ("verdict", None), "reason": ("reason", None)})


def _batches(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {
        "dataset": ("data set", None),
        "variant": ("variant", None),
        "batch_size": ("asked for", number(0)),
        "effective_batch_sizes": ("batches, size:how many", None),
        "batches": ("they were", None),
        "partition_rows": ("rows a partition", None),
        "slots": ("slots", number(0)),
        "waves": ("waves", number(0)),
        "reached": ("reached", None),
    }
    return table(_variant(frame), columns)


def _total_time(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {"variant": ("variant", None), "batch_size": ("batch size", number(0))}
    columns |= {"fixed_seconds": ("fixed, s", number(1)), "seconds_an_image": ("s an image", number(4))}
    columns |= {"hours": ("hours for a million", number(1)), "hours_low": ("low", number(1))}
    columns |= {"hours_high": ("high", number(1)), "data_sets": ("sizes", number(0)), "blocks": ("n", number(0))}
    columns |= {"departure": ("farthest off the line", share), "reason": ("remark", None)}
    return table(_variant(frame), columns)


def _data_set_sizes(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {"variant": ("variant", None), "images": ("images", number(0)), "blocks": ("n", number(0))}
    columns |= {"seconds_an_image": ("s an image", number(4)), "seconds_low": ("least", number(4))}
    columns |= {"seconds_high": ("most", number(4)), "ratio": ("times as fast as the largest", number(3))}
    columns |= {"ratio_low": ("low", number(3)), "ratio_high": ("high", number(3)), "verdict": ("verdict", None)}
    columns |= {"within_floor": ("within the noise", None), "speedup": ("times as fast as the baseline", number(2))}
    columns |= {"speedup_low": ("low", number(2)), "speedup_high": ("high", number(2)), "reason": ("remark", None)}
    return table(_variant(frame), columns)


def _sustained(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {"variant": ("variant", None), "batch_size": ("batch size", number(0))}
    columns |= {"repeat": ("repeat", number(0)), "minutes": ("minutes", number(0))}
    columns |= {"canary": ("the machine beside it, 1 as usual", number(2))}
    columns |= {"begin": (f"images/s, first {SPAN} minutes after {WARMING}", number(2))}
    columns |= {"end": (f"last {SPAN}", number(2)), "change": ("change", share)}
    columns |= {"memory_begin": ("memory then, MB", number(0)), "memory_end": ("memory in the last, MB", number(0))}
    return table(_variant(trends(frame)), columns)


def _quiet(runs: pandas.DataFrame) -> list[str]:
    rows = [
        {"what": words, "median": runs[column].median(), "least": runs[column].min(), "most": runs[column].max()}
        for column, words in (
            ("canary_gemm", "canary, matrix product: speed relative to usual"),
            ("canary_decode", "canary, JPEG decoding: speed relative to usual"),
            ("steal_share", "share of the CPU that the hypervisor took"),
            ("foreign_cpu_share", "share of the CPU that other processes used"),
        )
    ]
    columns = {"what": ("", None)} | {name: (name, number(3)) for name in ("median", "least", "most")}
    flags = runs["flags"].str.split(";").explode()
    counts = ", ".join(f"{count} {flag}" for flag, count in flags[flags != ""].value_counts().items()) or "none"
    return [
        *table(pandas.DataFrame(rows), columns),
        "",
        f"{len(runs)} repeats; flags: {counts}; attempts set aside and measured again: {runs['attempts'].sum():.0f}.",
    ]


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
        """Whether its page has this part, or this chart: none of a table without rows, or of a sweep not made."""
        if part == "batch_sweep":
            return any(role_of(dataset) == "sample" for dataset in self.tables["runs"]["dataset"])
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


def conditions(campaign: Campaign, page: Path) -> str:
    """Machine, time, blocks, model, data sets and versions, in one line; `page` holds it."""
    about, context = campaign.about, campaign.context
    first, last = (about[end][:16].replace("T", " ") for end in ("first", "last"))
    return (
        f"{context['machine_text']} · {first} to {last} UTC"
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
    lines += ["", f"**The workflow's own overhead**: {spent['own overhead']:.1%} of the time that the repeats took."]
    for part, (heading, written) in PARTS.items():
        if campaign.has(part):
            lines += ["", f"## {heading}", "", *written(campaign.tables[part])]
    lines += ["", "## Quiet", "", *_quiet(campaign.tables["runs"])]
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
            ratio = "–" if math.isnan(row.speedup) else f"{row.speedup:.2f} [{row.low:.2f}, {row.high:.2f}]"
            found = [ratio, number_of(row.blocks), row.verdict, share(row.agreement)]
            lines.append(f"| {' | '.join([variant, *rest, *found])} |")
    return lines


def _of_full(campaign: Campaign, table: str, column: str) -> dict[str, float]:
    """Cell of the full data set → its value in a table of the campaign."""
    frame = campaign.tables[table]
    frame = frame[frame.dataset == "full"]
    return dict(zip(cell_names(frame), frame[column], strict=True))


# What a block of a page may hold: campaign, page → lines.
BLOCKS: dict[str, Callable[[Campaign, Path], list[str]]] = {
    "answer": lambda campaign, page: [f"{campaign.context['answer']}."],
    "conditions": lambda campaign, page: [conditions(campaign, page)],
    "noise": lambda campaign, page: [
        noise_line(campaign.tables["speedup"]) or "No cell was measured twice: the noise is not known."
    ],
    "comparisons": lambda campaign, page: comparisons(campaign),
    "advice": lambda campaign, page: best_table(campaign.tables["advice"]),
    "steps": lambda campaign, page: steps_table(campaign.tables["steps"]),
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


PARTS: dict[str, tuple[str, Callable[[pandas.DataFrame], Iterable[str]]]] = {
    "speedup": ("Speedup", _speedup),
    "advice": ("What to run", best_table),
    "steps": ("From the article's setting to the fastest", steps_table),
    "summary": ("Cells", _summary),
    "stages": ("Stages", _stages),
    "break_even": ("Break-even", _break_even),
    "total_time": ("Hours for a million images", _total_time),
    "data_set_sizes": ("Data sets of several sizes", _data_set_sizes),
    "sustained": ("Minute by minute", _sustained),
    "physics": ("Physics", _physics),
    "effective_batches": ("Batches", _batches),
    "time_budget": (
        "Where the time of the campaign went",
        lambda frame: table(
            frame, {"part": ("part", None), "seconds": ("seconds", number(0)), "share": ("share", share)}
        ),
    ),
}


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
