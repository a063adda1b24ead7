"""Equal labels: which cells agree, which images they label differently, and what a lower precision changes."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from vitbench.cells import Cell
from vitbench.files import RESOURCES
from vitbench.frameworks.precision import ORDER
from vitbench.present.answer import NOTHING_FOLLOWS, repeat_command
from vitbench.present.labels import number, number_of, percentage, variant_of
from vitbench.present.page import pictures
from vitbench.present.page.parts import (
    Entry,
    Gallery,
    Grid,
    Notes,
    Picture,
    Section,
    grid,
    of_numbers,
    of_words,
)

# Most pictures of images that two cells label differently: a page is one file.
MOST_PICTURES = 24


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
