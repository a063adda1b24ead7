"""The answer in words: the sentence that titles charts and workbook, and the lines that a run ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas

from vitbench.analysis.fairness import BEST, LABELS, UNEQUAL, rank
from vitbench.analysis.looks import Rule
from vitbench.analysis.pairs import CONTROL_GROUP, CONTROLS, EXPLORATORY, PRIMARY
from vitbench.analysis.speedup import duration, what_is_missing
from vitbench.cells import LEAST_BLOCKS, Cell, device_in, variant_key
from vitbench.flags import NOT_FOR_CLAIMS, bears
from vitbench.frameworks import package, title
from vitbench.present.labels import DEVICES, count, end, hardware_of, number
from vitbench.verdicts import DIFFERENT, EQUIVALENT, TOO_FEW, UNDECIDED

# What a lower precision on seeded weights does not show; `repeat_command` shows it.
NOTHING_FOLLOWS = (
    "The weights are seeded: nothing follows for trained weights, whose labels a lower precision may change. With a"
    " model and photographs of your own (docs/own.md), the more the better:"
)


def repeat_command(cells: Sequence[str]) -> str:
    """What measures cells against the first of them again, with a model of one's own in place of NAME and photographs
    of one's own in the folder DIR.

    The command names their devices, and their batch sizes, among which each variant's best is chosen; its blocks are as
    many as give a verdict.

    Args:
        cells: names, the baseline's first.
    """
    parsed = [Cell.parse(name) for name in cells]
    variants = list(dict.fromkeys(variant_key(one) for one in parsed))
    devices = dict.fromkeys(one.device for one in parsed)
    sizes = sorted({one.batch_size for one in parsed if isinstance(one.batch_size, int)})
    lists = {"devices": devices, "batch_sizes": map(str, sizes), "frameworks": variants}
    listed = " ".join(f"'{key}=[{','.join(values)}]'" for key, values in lists.items())
    return f"snakemake --config model=NAME photos=DIR repeats={LEAST_BLOCKS} baseline={variants[0]} {listed}"


def name_variant(cell: str, versions: dict[str, str], hardware: bool = False) -> str:
    """A cell's framework and variant for people, with the version: "Spark NLP 5.5.3 (tensorflow)".

    Args:
        hardware: whether device and workers are named, too: "(tensorflow, CPU, 2 workers)".
    """
    parsed = Cell.parse(cell)
    version = versions.get(package(parsed.framework), "")
    within = ", ".join([parsed.variant, *([hardware_of(parsed)] if hardware else [])])
    return f"{' '.join(filter(None, [title(parsed.framework), version]))} ({within})"


def names_of_pair(row: Any, versions: dict[str, str]) -> tuple[str, str]:
    """Baseline and candidate of a comparison, with their hardware unless both are one node's CPU."""
    told = {hardware_of(Cell.parse(cell)) for cell in (row.baseline, row.candidate)} != {DEVICES["cpu"]}
    return name_variant(row.baseline, versions, told), name_variant(row.candidate, versions, told)


def headline(speedup: pandas.DataFrame) -> pandas.Series | None:
    """The row that answers the question: the full data set, each at its best batch size, on the CPU.

    Of those the one on equal terms comes first, then the article's. Where there are several numbers of workers, one of
    the two may have had a part of the machine: what is on equal hardware comes first, then the one with the most.
    """
    full = speedup[(speedup.dataset == "full") & (speedup.comparison != CONTROL_GROUP)]
    # Equal terms first, then the article's; the others as they stand in the table.
    terms = [min(place, LABELS.index(BEST)) for place in rank(full.fairness)]
    pairs = [(Cell.parse(one), Cell.parse(two)) for one, two in zip(full.baseline, full.candidate, strict=True)]
    several = len({two.workers for _, two in pairs}) > 1
    unequal = [several and terms == UNEQUAL for terms in full.fairness]

    def first(place: int) -> tuple[Any, ...]:
        """A pair of two frameworks comes before two variants of one, and a pair on the CPU before other devices."""
        one, two = pairs[place]
        return one.framework == two.framework, two.device != "cpu", terms[place], unequal[place], -two.workers

    ranked = sorted(range(len(pairs)), key=first)
    return full.iloc[ranked[0]] if ranked else None


def other_terms(speedup: pandas.DataFrame, versions: dict[str, str]) -> list[str]:
    """One line of the full comparisons with the headline's baseline on other terms: the fastest of each label."""
    first = headline(speedup)
    if first is None:
        return []
    full = speedup[(speedup.dataset == "full") & (speedup.comparison != CONTROL_GROUP)]
    same_device = full.candidate.map(device_in) == device_in(first.candidate)
    full = full[(full.baseline == first.baseline) & same_device]
    full = full[full.speedup.notna() & (full.fairness != "")]
    parts = []
    for label in LABELS:
        rows = full[full.fairness == label]
        if label == first.fairness or rows.empty:
            continue
        row = rows.loc[rows.speedup.idxmax()]
        sure = f"[{_ends(row) if row.verdict == TOO_FEW else f'{end(row.low)}–{end(row.high)}'}: {row.verdict}]"
        _, candidate = names_of_pair(row, versions)
        among = f", the fastest of {len(rows)}" if len(rows) > 1 else ""
        parts.append(f"{label}, {candidate} {number(row.speedup)} times as fast {sure}{among}")
    return [f"On other terms: {'; '.join(parts)}."] if parts else []


def answer(speedup: pandas.DataFrame, versions: dict[str, str]) -> str:
    """One sentence: who was how many times as fast, on how many images, and how sure that is."""
    row = headline(speedup)
    if row is None:
        return "Nothing to compare: fewer than two variants were measured on the full data set."
    baseline, candidate = names_of_pair(row, versions)
    if pandas.isna(row.speedup):
        return f"No ratio of {candidate} to {baseline}: {row.verdict}; {row.reason}."
    if row.verdict == TOO_FEW:
        faster = f", faster in {row.faster_blocks:.0f} of {row.blocks:.0f} blocks" if row.blocks > 1 else ""
        sure = f"{_ends(row)}{faster}; no verdict below {LEAST_BLOCKS}"
    elif row.verdict == "one run":
        sure = "one run, no interval; labels not compared"
    else:
        sure = f"95% interval {end(row.low)}–{end(row.high)}, {row.blocks:.0f} blocks: {row.verdict}"
        if row.verdict == EQUIVALENT:
            sure += f" within {row.margin:.0%}"
    # Blocks are added until primary comparisons are decided, not until this one is.
    sure += f"; {EXPLORATORY}" if row.family == EXPLORATORY else ""
    terms = f" ({row.fairness})" if row.fairness else ""
    return (
        f"{candidate} was {number(row.speedup)} times as fast as {baseline} on {row.images:.0f} images{terms} [{sure}]"
    )


def _ends(row: Any) -> str:
    """The range of so few blocks that there is no interval; one block has none either."""
    return f"range {end(row.low)}–{end(row.high)}" if row.blocks > 1 else "1 block"


def noise_line(speedup: pandas.DataFrame) -> str:
    """How the A/A controls came out, and what noise alone reaches by their pooled ratios; "" without controls."""
    controls = speedup[(speedup.family == CONTROLS) & speedup.speedup.notna()]
    if controls.empty:
        return ""
    each = []
    for row in controls.itertuples():
        ends = f"{'interval' if row.blocks >= LEAST_BLOCKS else 'range'} {end(row.low)} to {end(row.high)}, "
        ends = ends if row.blocks > 1 else ""
        against = row.baseline.rpartition("/")[0].removesuffix("/w1")
        each.append(f"{against} against itself {number(row.speedup)} ({ends}n = {row.blocks:.0f}): {row.verdict}")
    words = f"A/A controls: {'; '.join(each)}."
    for device, rows in controls[controls.floor.notna()].groupby(controls.candidate.map(device_in)):
        row = rows.iloc[0]
        words += f" Pooled, noise alone stays within {1 / row.floor:.2f} to {row.floor:.2f} in 95% of comparisons"
        words += f" of {row.blocks:.0f} blocks on the {device.upper()}"
        words += f" (the {row.floor:.2f} is known to {row.floor_low:.2f} to {row.floor_high:.2f})."
    if controls.verdict.isin(DIFFERENT).any():
        words += " Something besides the frameworks made a difference here: no claim of that device is to be believed."
    return words


def closing_lines(
    runs: pandas.DataFrame,
    best: pandas.DataFrame,
    parity: pandas.DataFrame,
    speedup: pandas.DataFrame,
    context: dict[str, Any],
    total_time: pandas.DataFrame,
    published: pandas.DataFrame,
    hours_of_a_block: float,
    rule: Rule,
) -> list[str]:
    """The eight lines of the end of a run, and more where there is more to say.

    That is one of comparisons on other terms than the first, one of a million images, where data sets of several sizes
    were measured, and one for each data set some of whose labels are not the model's.

    Args:
        published: the published runs (resources/published/runs.csv).
        hours_of_a_block: about how long one more block of the full runs takes.
        rule: by what the full runs are judged.
    """
    tried = runs[runs.status != "skipped"]
    gpu = ""
    if "gpu" not in set(runs.device):
        found = f"{context['gpus'][0]}: add gpu to `devices`" if context["gpus"] else "none found"
        gpu = f" Not measured: gpu ({found})."
    return [
        context["answer"],
        *other_terms(speedup, context["versions"]),
        f"{_labels_line(parity, speedup)} Best batch size: {_best_line(best)}.",
        *_million_lines(total_time),
        article_line(published),
        f"This machine: {context['machine_text']}.{gpu}",
        _measurements_line(tried) + _left_out(context),
        "Look at: reports/report.html · reports/benchmark.xlsx · reports/speedup.png",
        _next_line(speedup, context["repeats"], hours_of_a_block, rule),
        *_unknown_labels(context),
        "Times are valid, labels are not: the seeded model does not know these photographs."
        if context["label_note"]
        else "With your own photographs: make photos=~/Pictures",
    ]


def _million_lines(total: pandas.DataFrame) -> list[str]:
    """Hours for a million images of each variant, or why there are none; nothing where no sizes were measured."""
    if total.empty:
        return []
    parts = []
    for row in total.itertuples():
        said = f"no hours, {row.reason}"
        if pandas.notna(row.hours):
            said = f"{number(row.hours)} hours [{number(row.hours_low)}, {number(row.hours_high)}]"
        parts.append(f"{_with_hardware(row)} {said}")
    sizes = total.data_sets[total.hours.notna()]
    how = f" (95% intervals, from lines through {count(sizes)} sizes of data sets)" if len(sizes) else ""
    return [f"A million images: {'; '.join(parts)}{how}."]


def _unknown_labels(context: dict[str, Any]) -> list[str]:
    """What accuracy does not count; nothing where the model knows none of it by its making."""
    notes = {one.get("labels", "") for one in context["datasets"].values()} - {""}
    return [] if context["label_note"] else [f"{one[0].upper()}{one[1:]}." for one in sorted(notes)]


def _next_line(speedup: pandas.DataFrame, repeats: int, hours: float, rule: Rule) -> str:
    """What is not decided, and what it would take."""
    primary = speedup[(speedup.family == PRIMARY) & speedup.verdict.isin(UNDECIDED)]
    primary = primary[primary.speedup.notna()]
    if primary.empty:
        ratios = speedup[(speedup.family == PRIMARY) & speedup.speedup.notna()]
        return "Every primary comparison that has a ratio is decided." if len(ratios) else "No comparison to decide."
    count = f"{len(primary)} of {(speedup.family == PRIMARY).sum()} primary comparisons"
    most = primary.sort_values("blocks_needed").iloc[-1]
    more = rule.growth(repeats)
    what = f"For a verdict: {more}; {count} not decided" if more else f"Not decided: {count}"
    if pandas.notna(most.blocks_needed):
        what += f"; {what_is_missing(most.margin, most.blocks_needed, most.hours_needed, bool(more))}"
    elif repeats < LEAST_BLOCKS:
        what += f"; {LEAST_BLOCKS} blocks at least, about {duration((LEAST_BLOCKS - repeats) * hours)} more"
    if rule.most and more and most.blocks_needed > rule.most:
        what += f" (`most_repeats` is {rule.most})"
    # Verdicts of these blocks were read, so that others beside them would be blocks until something is significant.
    return what if more else f"{what}. No block may be added to these: a greater `most_repeats`, in another folder"


def _measurements_line(tried: pandas.DataFrame) -> str:
    """How many measurements there were, how long they took, and how many of them carry no claim."""
    minutes = (tried.total_seconds.sum() + tried.set_aside_seconds.sum()) / 60
    suspect, unsteady, broken = (tried[bears(tried, flag)] for flag in NOT_FOR_CLAIMS)
    line = f"{len(tried)} measurements in {minutes:.0f} min; {(tried.status != 'ok').sum()} failed,"
    line += f" {len(suspect)} suspect{_disturbance(suspect)}, {len(unsteady)} without a steady state"
    if len(broken):
        line += f", {len(broken)} that lost work on a cluster"
    again = tried.attempts.sum()
    return line + (f"; {again:.0f} measured again." if again else ".")


def _disturbance(suspect: pandas.DataFrame) -> str:
    """What the quiet probes found beside the first suspect repeat, in brackets; "" where there is none."""
    reasons = suspect.suspect_because[suspect.suspect_because != ""]
    if reasons.empty:
        return ""
    return f" ({'the first: ' if len(reasons) > 1 else ''}{reasons.iloc[0]})"


def _left_out(context: dict[str, Any]) -> str:
    """Files that no framework was given, because they are no usable images."""
    counts = {role: one.get("left_out", 0) for role, one in context["datasets"].items()}
    if not any(counts.values()):
        return ""
    return f" Left out: {', '.join(f'{n} files of {role}' for role, n in counts.items() if n)} (results/images.csv)."


def article_line(published: pandas.DataFrame) -> str:
    """What the article found on one node's CPU with the full data set, computed from its published seconds."""
    rows = published[(published.part == 2) & (published.device == "cpu") & (published.dataset == "full")]
    seconds = rows.groupby("framework").seconds.min()
    ratio = seconds["huggingface"] / seconds["sparknlp"]
    return f"The article (part 2, CPU, full set): Spark NLP {ratio:.2f} times as fast (one run)."


def _labels_line(parity: pandas.DataFrame, speedup: pandas.DataFrame) -> str:
    row = headline(speedup)
    if row is None:
        return "Labels: nothing to compare."
    pair = parity[
        (parity.baseline == row.baseline) & (parity.candidate == row.candidate) & (parity.dataset == row.dataset)
    ].iloc[0]
    if not pair.compared:
        return f"Labels: {pair.reason}."
    return f"Labels: the same for {pair.agreement * pair.compared:.0f} of {pair.images:.0f} images."


def _best_line(best: pandas.DataFrame) -> str:
    parts = []
    for row in best.itertuples():
        kept = "none" if pandas.isna(row.kept) else f"{row.kept:.0f}"
        parts.append(f"{_with_hardware(row)} {kept}")
    return ", ".join(parts) or "none"


def _with_hardware(row: Any) -> str:
    """A variant, with device and workers unless they are one node's CPU."""
    hardware = hardware_of(row)
    return variant_key(row) + ("" if hardware == DEVICES["cpu"] else f" ({hardware})")
