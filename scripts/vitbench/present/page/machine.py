"""The machine and its software, where the time of the measuring went, and every repeat."""

from __future__ import annotations

import pandas as pd

from vitbench.present import style
from vitbench.present.labels import (
    number,
    number_of,
    variants_apart,
)
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    Bar,
    Entry,
    Facts,
    Notes,
    Section,
    Strip,
    StripRow,
    grid,
    of_hardware,
    of_numbers,
    of_variant,
    of_words,
)

# Most rows of the table of runs: a page is one file.
MOST_RUNS = 3000


def machine(summary: pd.DataFrame, context: dict, budget: pd.DataFrame, forms: pd.DataFrame) -> Section:
    """Hardware, software, model, data sets and settings; where the time of the run went."""
    pairs = [("machine", context["machine_text"]), ("machine's id", context["machine"])]
    pairs += [
        (name, str(context[key])) for name, key in (("platform", "platform"), ("Python", "python")) if context.get(key)
    ]
    said = "; ".join(filter(None, (context.get("model_note"), context.get("label_note"))))
    pairs.append(("model", context["model"] + (f" ({said})" if said else "")))
    for role, one in context["datasets"].items():
        left = f", {one['left_out']} files left out" if one.get("left_out") else ""
        pairs.append((f"data set {role}", f"{one['name']}, {one['images']} images{left}"))
    pairs += [(package, version) for package, version in context.get("versions", {}).items()]
    pairs += [("protocol", str(context["protocol"])), ("date", context["date"])]
    pairs += [("vitbench", context["vitbench"])] if context.get("vitbench") else []
    pairs += [("mixed", note) for note in context.get("notes", [])]
    named = zip(variants_apart(summary), summary["setting"], strict=True)
    settings = {name: setting for name, setting in named if setting}
    parts = [Facts(tuple(pairs))]
    if settings:
        parts.append(Facts(tuple(settings.items())))
    if len(forms):
        columns = {
            "data set": of_words("dataset"),
            "form, or why left out": of_words("what"),
            "used": (False, lambda row: Entry("yes" if row.used else "no", warns=not row.used)),
            "images": of_numbers("images", number_of),
            "the first": of_words("first"),
        }
        parts.append(grid("What the data sets hold", forms.itertuples(index=False), columns))
    if budget["seconds"].sum() > 0:
        parts.append(_budget(budget))
    return Section("machine", "Machine, versions and settings", tuple(parts))


def _budget(table: pd.DataFrame) -> Strip:
    rows, axis = table[table["part"] != "total"], axes.linear(table["share"], axes.share, least=0.2)
    return Strip(
        caption="Where the time of the run went",
        axis=axis,
        label="share of the time",
        head="part",
        columns=("seconds", "share"),
        rows=tuple(
            StripRow(
                name=row.part,
                bars=(Bar(0.0, axis.at(row.share), style.BLUE, f"{row.part}: {row.share:.1%}"),),
                cells=(f"{row.seconds:,.0f}", f"{row.share:.1%}"),
            )
            for row in rows.itertuples(index=False)
        ),
    )


def every_run(runs: pd.DataFrame) -> Section | None:
    """The table of repeats, to be sorted and filtered."""
    if runs.empty:
        return None
    columns = {
        "data set": of_words("dataset"),
        "variant": of_variant,
        "device": of_hardware,
        "batch size": of_numbers("batch_size", number_of),
        "effective": of_numbers("effective_batch_size", number_of),
        "block": of_numbers("block", number_of),
        "status": (False, lambda row: Entry(row.status, warns=row.status != "ok")),
        "wall, s": of_numbers("wall_seconds", number),
        "images/s": of_numbers("throughput", number),
        "cold, s": of_numbers("cold_seconds", number),
        "start, s": of_numbers("start_seconds", number),
        "load, s": of_numbers("load_seconds", number),
        "memory, MB": of_numbers("peak_memory_mb", number_of),
        "flags": of_words("flags"),
        "started": (False, lambda row: Entry(row.started[:16].replace("T", " "))),
        "reason": of_words("reason"),
    }
    written = runs.head(MOST_RUNS)
    parts = (grid("One row a repeat (a fresh process)", written.itertuples(index=False), columns, tool=True),)
    if len(runs) > MOST_RUNS:
        parts += (Notes((f"The first {MOST_RUNS:,} of {len(runs):,} repeats; all of them stand in runs.csv.",)),)
    return Section(
        "runs",
        "Runs",
        parts,
        read="Everything above follows from these rows. A button in a heading sorts by that column; the field filters"
        " by any word of a row.",
    )
