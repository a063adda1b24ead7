"""Why the numbers may be believed, or not: warm-up, a quiet machine, what failed, what was measured."""

from __future__ import annotations

import pandas as pd

from vitbench.analysis.pairs import CONTROLS, PRIMARY
from vitbench.analysis.summary import usable
from vitbench.cells import LEAST_BLOCKS, VARIANT, Cell
from vitbench.flags import NOT_FOR_CLAIMS, SUSPECT, UNSTEADY, WORK_LOST, bears
from vitbench.present import style
from vitbench.present.answer import noise_line
from vitbench.present.labels import hardware_of, name_of, number, number_of, percentage, variant_of, why_aside
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    Dot,
    Entry,
    Grid,
    Line,
    Looks,
    Notes,
    Panels,
    Plot,
    Section,
    grid,
    of_numbers,
    of_words,
)
from vitbench.verdicts import EQUIVALENT, INCONCLUSIVE, TOO_FEW

# Highest over lowest value from which a linear axis would flatten the timed passes.
WIDE_SPAN = 8


def reasons(tables: dict[str, pd.DataFrame], context: dict) -> tuple[list[str], list[str]]:
    """What speaks for the numbers of a run, and what against them, as short phrases."""
    runs, speedup, parity = tables["runs"], tables["speedup"], tables["parity"]
    worked = runs[runs["status"] == "ok"]
    suspect, unsteady, broken = (int(bears(worked, flag).sum()) for flag in NOT_FOR_CLAIMS)
    believe, doubt = [], []
    controls = speedup[speedup["family"] == CONTROLS]
    for row in controls.itertuples(index=False):
        cell = Cell.parse(row.baseline)
        (believe if row.verdict == EQUIVALENT else doubt).append(
            f"A/A control {variant_of(cell)} ({hardware_of(cell)}): {row.verdict}"
        )
    if controls.empty:
        doubt.append("no A/A control")
    (doubt if unsteady else believe).append(f"steady in {len(worked) - unsteady} of {len(worked)} repeats")
    if len(parity):
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
    few = int((primary["verdict"] == TOO_FEW).sum())
    if few:
        doubt.append(f"fewer than {LEAST_BLOCKS} blocks in {few} of {len(primary)} primary comparisons")
    undecided = int((primary["verdict"] == INCONCLUSIVE).sum())
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
        "not steady": (True, lambda rows: _count(int(bears(rows, UNSTEADY).sum()))),
    }
    return Section(
        "passes",
        "Warm-up and steady state",
        (Panels(plots), grid("Warm-up of the full run, medians of the repeats", groups, columns)),
        read="Seconds an image against the pass, one line a repeat, each a fresh process: thin, warm-up (pass 0 is"
        " cold; the short passes after it are not drawn); with dots, the timed passes, whose median is the value."
        f" Dashed with hollow dots: set aside, {why_aside(known)}, and in no ratio.",
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
        int(bears(tried, SUSPECT).sum()),
        int(bears(tried, UNSTEADY).sum()),
        int(bears(tried, WORK_LOST).sum()),
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
                zip(known.itertuples(index=False), known[column], bears(known, SUSPECT), strict=True), start=1
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
    return row.steady_because if UNSTEADY in row.flags.split(";") else ""
