"""Why the numbers may be believed, or not: warm-up, equal labels, a quiet machine, what failed, what was measured."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from vitbench.analysis.pairs import CONTROLS, PRIMARY
from vitbench.analysis.summary import NOT_FOR_CLAIMS, WORK_LOST, usable
from vitbench.cells import LEAST_BLOCKS, VARIANT, Cell
from vitbench.files import RESOURCES
from vitbench.frameworks.precision import ORDER
from vitbench.present import style
from vitbench.present.answer import NOTHING_FOLLOWS, noise_line, repeat_command
from vitbench.present.labels import (
    hardware_of,
    name_of,
    number,
    number_of,
    percentage,
    variant_of,
    why_aside,
)
from vitbench.present.page import axes, pictures
from vitbench.present.page.parts import (
    Dot,
    Entry,
    Gallery,
    Grid,
    Line,
    Looks,
    Notes,
    Panels,
    Picture,
    Plot,
    Section,
    grid,
    of_numbers,
    of_words,
)

# Most pictures of images that two cells label differently: a page is one file.
MOST_PICTURES = 24

# Highest over lowest value from which a linear axis would flatten the timed passes.
WIDE_SPAN = 8


def flagged(runs: pd.DataFrame, flag: str) -> pd.Series:
    """Which rows of the runs table bear this flag."""
    return runs["flags"].str.split(";").map(lambda given: flag in given).astype(bool)


def reasons(tables: dict[str, pd.DataFrame], context: dict) -> tuple[list[str], list[str]]:
    """What speaks for the numbers of a run, and what against them, as short phrases."""
    runs, speedup, parity = tables["runs"], tables["speedup"], tables["parity"]
    worked = runs[runs["status"] == "ok"]
    suspect, unsteady, broken = (int(flagged(worked, flag).sum()) for flag in NOT_FOR_CLAIMS)
    believe, doubt = [], []
    controls = speedup[(speedup["family"] == CONTROLS) & speedup["speedup"].notna()]
    for row in controls.itertuples(index=False):
        cell = Cell.parse(row.baseline)
        (believe if row.verdict == "equivalent" else doubt).append(
            f"A/A control {variant_of(cell)} ({hardware_of(cell)}): {row.verdict}"
        )
    if controls.empty:
        doubt.append("no A/A control")
    believe.append(f"steady in {len(worked) - unsteady} of {len(worked)} repeats")
    passed = int(parity["passed"].sum())
    (believe if passed == len(parity) else doubt).append(f"labels alike in {passed} of {len(parity)} comparisons")
    (doubt if suspect else believe).append(f"{suspect} suspect of {len(worked)}")
    if broken:
        doubt.append(f"work lost on a cluster in {broken} of {len(worked)}")
    shares = tables["physics"].dropna(subset="share_of_peak")
    if len(shares):
        most = f"at most {percentage(shares['share_of_peak'].max())} of the machine's peak"
        (doubt if (shares["verdict"] != "").any() else believe).append(most)
    doubt += [note for note in (context.get("model_note"), context.get("label_note")) if note]
    doubt += context.get("notes", [])
    if "gpu" not in set(runs["device"]):
        doubt.append("no GPU measured")
    primary = speedup[speedup["family"] == PRIMARY]
    few = int((primary["verdict"] == "too few repeats").sum())
    if few:
        doubt.append(f"fewer than {LEAST_BLOCKS} blocks in {few} of {len(primary)} primary comparisons")
    undecided = int((primary["verdict"] == "inconclusive").sum())
    if undecided:
        doubt.append(f"{undecided} of {len(primary)} primary comparisons inconclusive")
    failed = int((~runs["status"].isin(["ok", "skipped"])).sum())
    if failed:
        doubt.append(f"{failed} repeats failed")
    return believe, doubt


def passes(runs: pd.DataFrame, looks: Looks) -> Section | None:
    """Seconds an image, pass by pass, of every repeat of the full run."""
    known = runs[(runs["dataset"] == "full") & (runs["status"] == "ok") & (runs["pass_seconds"] != "")]
    if known.empty:
        return None
    groups = [rows for _, rows in known.groupby(VARIANT, sort=False)]
    plots = tuple(_warming(rows, looks) for rows in groups)
    columns = {
        "variant": (False, lambda rows: Entry(name_of(rows.iloc[0]))),
        "device": (False, lambda rows: Entry(hardware_of(rows.iloc[0]))),
        "warm-up, images": _median("warm_up_images", number_of),
        "warm-up, s": _median("warm_up_seconds", number),
        "short passes, s": _median("short_pass_seconds", number),
        "first pass / timed": (True, lambda rows: _ratio(rows["cold_seconds"], rows["wall_seconds"])),
        "start, s": _median("start_seconds", number),
        "load, s": _median("load_seconds", number),
        "first batch, s": _median("first_batch_seconds", number),
        "n": (True, lambda rows: Entry(str(len(rows)), len(rows))),
        "not steady": (True, lambda rows: _count(int(flagged(rows, "no steady state").sum()))),
    }
    return Section(
        "passes",
        "Warm-up and steady state",
        (Panels(plots), grid("Warm-up of the full run, medians of the repeats", groups, columns)),
        read="Seconds an image against the pass, one line a repeat, each a fresh process: thin, warm-up (pass 0 is"
        " cold; the short passes after it are not drawn); with dots, the timed passes, whose median is the value."
        f" Dashed with hollow dots: set aside, {why_aside(known['flags'])}, and in no ratio.",
        wrong="Timed passes that still fall were not warm: the value is too slow. Lines that lie apart for their whole"
        " length are the difference between processes, which only more repeats average out.",
    )


def _median(column: str, form):
    def entry(rows: pd.DataFrame) -> Entry:
        middle = float(rows[column].median())
        return Entry(form(middle), middle)

    return True, entry


def _ratio(first: pd.Series, second: pd.Series) -> Entry:
    middle = float((first / second).median())
    return Entry(number(middle), middle)


def _count(many: int) -> Entry:
    return Entry(str(many), many, warns=many > 0)


def _warming(rows: pd.DataFrame, looks: Looks) -> Plot:
    first = rows.iloc[0]
    look = looks[first.framework, first.variant]
    each = [
        [float(part) / row.images for part in row.pass_seconds.split(";") if part]
        for row in rows.itertuples(index=False)
    ]
    values = [value for times in each for value in times]
    wide = min(values) > 0 and max(values) / min(values) > WIDE_SPAN
    y = axes.decades(values) if wide else axes.linear(values)
    x = axes.linear([max(map(len, each)) - 1], least=1, whole=True)
    lines = []
    for row, times, counts in zip(rows.itertuples(index=False), each, usable(rows), strict=True):
        begin = len(times) - int(row.timed_passes)
        words = f"block {row.block:.0f}, {row.started[:16].replace('T', ' ')}"
        dots = [
            Dot(
                x.at(at),
                look.color,
                f"{words}: pass {at}, {number(seconds * 1000)} ms an image ({'timed' if at >= begin else 'warm-up'})",
                look.glyph,
                hollow=not counts,
                small=True,
                y=y.down(seconds),
            )
            for at, seconds in enumerate(times)
        ]
        lines.append(Line(words, look.color, tuple(dots[: begin + 1]), glyph="", thin=True, dashed=not counts))
        lines.append(Line(words, look.color, tuple(dots[begin:]), look.glyph, dashed=not counts))
    return Plot(
        title=f"{name_of(first)}, {hardware_of(first)}",
        x=x,
        y=y,
        x_label="pass (0: cold)",
        y_label="s an image" + (" (log scale)" if wide else ""),
        lines=tuple(lines),
        height=180,
        listed=False,
        alt=f"Seconds an image by pass of {len(rows)} repeats of {name_of(first)}: the first pass took"
        f" {number(float((rows['cold_seconds'] / rows['wall_seconds']).median()))} times the timed ones",
    )


def parity(
    table: pd.DataFrame,
    disagreements: pd.DataFrame,
    groups: dict[tuple[str, str, str], str],
    slugs: dict[str, str],
    root: Path,
    precisions: dict[str, str],
    seeded: bool,
) -> Section | None:
    """Whether the labels are the same, and the images that they differ on.

    Args:
        groups: (data set, baseline, candidate) → the group of that comparison.
        slugs: role → folder name of its data set below resources/datasets/.
        root: where that folder `resources` lies; it need not, then there are no pictures.
        precisions: cell → precision of its products, as far as it is known.
        seeded: whether the model's weights are, so that its labels say nothing of trained ones.
    """
    if table.empty:
        return None
    columns = {
        "data set": of_words("dataset"),
        "candidate": of_words("candidate"),
        "baseline": of_words("baseline"),
        "images": of_numbers("images", number_of),
        "labels equal": of_numbers("agreement", percentage),
        "candidate right": of_numbers("candidate_accuracy", percentage),
        "baseline right": of_numbers("baseline_accuracy", percentage),
        "passed": (False, lambda row: Entry("yes" if row.passed else "no", warns=not row.passed)),
        "why not": of_words("reason"),
        "differing, by form": of_words("differing"),
    }
    rows = list(table.itertuples(index=False))
    parts = [
        grid(
            "Labels of the candidate against the baseline's",
            rows,
            columns,
            groups=tuple(groups.get((row.dataset, row.baseline, row.candidate), "") for row in rows),
        )
    ]
    differ = [*_flips(disagreements, table, precisions), *_differing(disagreements, slugs, root)]
    lower = _lower_precisions(table, precisions) if seeded else []
    if lower:
        commands = [f"{variant}: {repeat_command(names)}" for variant, names in lower]
        differ.append(Notes((NOTHING_FOLLOWS, *commands)))
    return Section(
        "parity",
        "Parity: the same labels",
        (*parts, *differ),
        read="Each comparison image by image, first label only, in the least favourable block. A comparison that does"
        " not pass has no ratio."
        + (
            " Below: images that got two labels, each with both answers, first those of which both were surest. A"
            " margin is how far a label's probability is above the next one's: with a probability p at least 2 p - 1,"
            " since only the first label's is recorded."
            if len(disagreements)
            else ""
        ),
        wrong="Two variants that are wrong alike agree, too: how often each is right stands beside it. Different"
        " resizing alone may change a label that was near a tie.",
    )


def _flips(disagreements: pd.DataFrame, parity_table: pd.DataFrame, precisions: dict[str, str]) -> list[Grid]:
    """How many labels each candidate changed against the baseline, and how sure the baseline had been of them."""
    if disagreements.empty:
        return []
    images = {(row.dataset, row.baseline, row.candidate): row.images for row in parity_table.itertuples(index=False)}
    groups = [rows for _, rows in disagreements.groupby(["dataset", "baseline", "candidate"], sort=False)]

    def middle(column: str):
        def entry(rows: pd.DataFrame) -> Entry:
            value = float(rows[column].median())
            return Entry(number(value), value)

        return True, entry

    def several(rows: pd.DataFrame) -> Entry:
        first = rows.iloc[0]
        of = images.get((first.dataset, first.baseline, first.candidate), math.nan)
        return Entry(f"{len(rows)} of {number_of(of)}", len(rows))

    columns = {
        "data set": (False, lambda rows: Entry(rows.iloc[0].dataset)),
        "candidate": (False, lambda rows: Entry(rows.iloc[0].candidate)),
        "precision": (False, lambda rows: Entry(precisions.get(rows.iloc[0].candidate, ""))),
        "labels changed": (True, several),
        "probability before, median": middle("baseline_score"),
        "after, median": middle("candidate_score"),
        "surest margin": (True, lambda rows: _margin(rows[["baseline_score", "candidate_score"]].min(axis=1).max())),
    }
    return [grid("Labels that changed against the baseline's", groups, columns)]


def _margin(score: float) -> Entry:
    """What is known of the margin of a label with this probability: at least 2 score - 1."""
    least = 2 * score - 1
    if not math.isfinite(least):
        return Entry("–")
    return Entry(f"at least {number(least)}" if least > 0 else "not known", max(least, 0.0))


def _lower_precisions(parity_table: pd.DataFrame, precisions: dict[str, str]) -> list[tuple[str, list[str]]]:
    """(framework/variant, its cells behind those of the baseline), of candidates that multiply in a lower precision."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in parity_table.itertuples(index=False):
        one, other = (precisions.get(cell, "") for cell in (row.baseline, row.candidate))
        if one in ORDER and other in ORDER and ORDER.index(other) > ORDER.index(one):
            baseline, candidate = (Cell.parse(name) for name in (row.baseline, row.candidate))
            pair = (baseline.framework, baseline.variant, candidate.framework, candidate.variant, candidate.device)
            found.setdefault(pair, []).extend((row.baseline, row.candidate))
    return [(f"{pair[2]}/{pair[3]}", names) for pair, names in found.items()]


def _differing(table: pd.DataFrame, slugs: dict[str, str], root: Path) -> list[Gallery | Notes]:
    """Pictures of the images with two labels, an image once, with who said what; the surest answers first."""
    if table.empty:
        return []
    found: list[Picture] = []
    least = table.groupby(["dataset", "image"], sort=False)[["baseline_score", "candidate_score"]].transform("min")
    ordered = table.assign(sure=least.min(axis=1)).sort_values("sure", ascending=False, kind="stable")
    images = list(ordered.groupby(["dataset", "image"], sort=False))
    for (role, image), rows in images[:MOST_PICTURES]:
        first = rows.iloc[0]
        path = root / RESOURCES / "datasets" / slugs[role] / first.path
        address, reason = pictures.thumbnail(path, first.sha256)
        answers: dict[str, None] = {}
        for row in rows.itertuples(index=False):
            for cell, label, score in (
                (row.baseline, row.baseline_label, row.baseline_score),
                (row.candidate, row.candidate_label, row.candidate_score),
            ):
                sure = f" ({score:.2f}, margin {_margin(score).text})" if math.isfinite(score) else ""
                answers[f"{variant_of(Cell.parse(cell))}: {label or 'no label'}{sure}"] = None
        expected = (f"expected: {first.label}",) if first.label else ()
        found.append(
            Picture(
                address, f"{first.file or image} of the {role} set", first.file or image, (*expected, *answers), reason
            )
        )
    left = len(images) - len(found)
    more = (f"{left} more images with two labels stand in the table disagreements.csv.",) if left else ()
    return [Gallery(tuple(found), small=True), *([Notes(more)] if more else [])]


def quiet(runs: pd.DataFrame, speedup: pd.DataFrame, context: dict) -> Section | None:
    """What the probes saw of the machine, and every repeat that something is to be said of."""
    tried = runs[runs["status"] != "skipped"]
    if tried.empty:
        return None
    notes = [noise_line(speedup)]
    for column, words in (("steal_share", "The hypervisor took"), ("foreign_cpu_share", "Other processes took")):
        known = tried[column].dropna()
        if len(known):
            notes.append(
                f"{words} {known.median():.1%} of the processor in the median repeat, at most {known.max():.1%}."
            )
    odd = tried[(tried["status"] != "ok") | (tried["flags"] != "") | (tried["attempts"] > 0)]
    failed, suspect, unsteady, broken = (
        int((tried["status"] != "ok").sum()),
        int(flagged(tried, "suspect").sum()),
        int(flagged(tried, "no steady state").sum()),
        int(flagged(tried, WORK_LOST).sum()),
    )
    found = f"{len(tried)} repeats: {failed} failed, {suspect} suspect, {unsteady} without a steady state"
    found += f", {broken} with work lost on a cluster;" if broken else ";"
    found += f" {tried['attempts'].sum():.0f} attempts were set aside and measured again."
    parts = [*_canaries(tried, context.get("quiet", {})), Notes(tuple(filter(None, notes)))]
    if len(odd):
        parts.append(_odd(odd))
    return Section(
        "quiet",
        "How quiet the machine was",
        tuple(parts),
        found=found,
        read="The canary is fixed work before and after each repeat, a matrix product and JPEG decoding, relative to"
        " its usual speed; below a dashed line a repeat is suspect. Suspect repeats are hollow, and in no number.",
        wrong="A canary sees what slows all work alike. What slows one framework alone, such as a neighbour on its"
        " memory channel, it may miss; the A/A controls and the spread of the blocks would show it.",
    )


def _canaries(tried: pd.DataFrame, limits: dict) -> list[Plot]:
    known = tried[tried["canary_gemm"].notna() & tried["canary_decode"].notna()].sort_values("started")
    if known.empty:
        return []
    x = axes.linear([len(known)], whole=True)
    y = axes.linear([*known["canary_gemm"], *known["canary_decode"]], least=1.0)
    lines, dashed = [], []
    for column, words, color, glyph, limit in (
        ("canary_gemm", "matrix product", style.BLUE, "dot", limits.get("gemm_slower")),
        ("canary_decode", "JPEG decoding", style.VERMILION, "square", limits.get("decode_slower")),
    ):
        dots = tuple(
            Dot(
                x.at(place),
                color,
                f"{row.started[:16].replace('T', ' ')}, {name_of(row)}, block {row.block:.0f}: {words} at {value:.0%}",
                glyph,
                hollow=suspect,
                small=True,
                y=y.down(value),
            )
            for place, (row, value, suspect) in enumerate(
                zip(known.itertuples(index=False), known[column], flagged(known, "suspect"), strict=True), start=1
            )
        )
        lines.append(Line(words, color, dots, glyph, joined=False))
        if limit is not None:
            dashed.append((y.down(1 - limit), f"{words}: {limit:.0%} slower"))
    low = min(known["canary_gemm"].min(), known["canary_decode"].min())
    return [
        Plot(
            title="The canary beside each repeat",
            x=x,
            y=y,
            x_label="repeat, in the order of time",
            y_label="speed / usual",
            lines=tuple(lines),
            limits=tuple(dashed),
            height=180,
            alt=f"Relative speed of the canary beside {len(known)} repeats; the lowest was {low:.0%} of the usual",
        )
    ]


def _odd(runs: pd.DataFrame) -> Grid:
    columns = {
        "data set": of_words("dataset"),
        "variant": (False, lambda row: Entry(name_of(row))),
        "block": of_numbers("block", number_of),
        "status": (False, lambda row: Entry(row.status, warns=row.status != "ok")),
        "flags": of_words("flags"),
        "attempts set aside": of_numbers("attempts", number_of),
        "because": (
            False,
            lambda row: Entry("; ".join(filter(None, (row.reason, row.suspect_because, _unsteady(row))))),
        ),
    }
    return grid("Repeats that failed, were flagged, or were measured again", runs.itertuples(index=False), columns)


def _unsteady(row) -> str:
    return row.steady_because if "no steady state" in row.flags.split(";") else ""
