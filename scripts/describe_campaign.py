"""Write docs/NAME.md from the campaign NAME, as `snakemake campaigns` has just drawn it: tables, and charts made small.

python scripts/describe_campaign.py NAME            # writes docs/NAME.md and docs/images/NAME/
python scripts/describe_campaign.py NAME --check    # exit status 1 if the page says anything else
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas

from vitbench import tables
from vitbench.cells import cell_name
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.answer import noise_line
from vitbench.present.charts import CHARTS
from vitbench.present.markdown import wrapped
from vitbench.present.page.pictures import small
from vitbench.records.archive import open_archive

# The page shows what the campaign says of itself; what it says of the series is for docs/published.md.
SHOWN = {name: chart.title for name, chart in CHARTS.items() if chart.target == "figures"}
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
        return _several(repeats, "block")
    return " and ".join(f"{_several(count, 'block')} of {role}" for role, count in repeats.items())


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _speedup(frame: pandas.DataFrame) -> list[str]:
    ratio, words = number(2), (("verdict", None), ("reason", None))
    columns = {"candidate": None, "baseline": None, "speedup": ratio, "low": ratio, "high": ratio, "blocks": number(0)}
    columns |= {"p_holm": number(4), "family": None, "smallest_detectable": ratio, "blocks_needed": number(0)}
    columns |= {"hours_needed": number(1), "agreement": share} | dict(words)
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


def describe(name: str, results: Path) -> str:
    """The page on campaign `name`, from its tables in `results`.

    Raises:
        UserError: a table is missing.
    """
    about = open_archive(HOME / "resources" / "campaigns" / name).about
    context = tables.read_context(results / "provenance" / "context.json")
    read = {table: tables.read(results / f"{table}.csv") for table in tables.COLUMNS if table in PARTS | {"runs": 0}}
    budget = read["time_budget"]
    first, last = (about[end][:16].replace("T", " ") for end in ("first", "last"))
    lines = [
        f"<!-- Written by scripts/describe_campaign.py from resources/campaigns/{name}. -->",
        f"# The campaign `{name}`",
        "",
        f"{context['answer']}.",
        "",
        f"{context['machine_text']} · {first} to {last} UTC"
        f" · n = {_blocks(about['repeats'])} · model {context['model']} ({context['model_note']}) · "
        + "; ".join(f"{role} {one['name']}" for role, one in context["datasets"].items())
        + f" · protocol {context['protocol']} · vitbench {context['vitbench']}",
        "",
        "What the columns mean stands in [methodology.md](methodology.md). `snakemake campaigns` draws all of this "
        f"again from `resources/campaigns/{name}`; `python scripts/check_records.py resources/campaigns/{name}` checks "
        "its records.",
    ]
    if noise := noise_line(read["speedup"]):
        lines += ["", f"**Noise**: {noise}"]
    spent = dict(zip(budget.part, budget.share, strict=True))
    lines += ["", f"**The workflow's own overhead**: {spent['own overhead']:.1%} of the time that the repeats took."]
    for part, (heading, written) in PARTS.items():
        lines += ["", f"## {heading}", "", *written(read[part])]
    lines += ["", "## Quiet", "", *_quiet(read["runs"])]
    lines += ["", "## Charts"]
    for chart, words in SHOWN.items():
        lines += ["", f"![{words}](images/{name}/{chart}.png)"]
    return wrapped("\n".join(lines) + "\n")


PARTS: dict[str, tuple[str, Callable[[pandas.DataFrame], Iterable[str]]]] = {
    "speedup": ("Speedup", _speedup),
    "summary": ("Cells", _summary),
    "stages": ("Stages", _stages),
    "break_even": ("Break-even", _break_even),
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
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the page is another")
    given = parser.parse_args()
    text = describe(given.campaign, Path("results/campaigns") / given.campaign)
    document = HOME / "docs" / f"{given.campaign}.md"
    if given.check:
        if not document.exists() or document.read_text() != text:
            again = f"python scripts/describe_campaign.py {given.campaign}"
            raise UserError(f"{document} is not what the campaign says: {again}")
        return
    for chart in SHOWN:
        picture = Path("reports/campaigns") / given.campaign / f"{chart}.png"
        if not picture.exists():
            raise UserError(f"{picture} is missing: run `snakemake campaigns` here first")
        write_atomically(HOME / "docs" / "images" / given.campaign / picture.name, small(picture))
    write_atomically(document, text)


if __name__ == "__main__":
    exit_with_user_errors(main)
