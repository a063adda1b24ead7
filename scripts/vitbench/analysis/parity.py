"""Parity: whether two cells give the same label for each image; and the forms of the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas

from vitbench import tables
from vitbench.accuracy import share_right
from vitbench.analysis.pairs import comparisons, records_of
from vitbench.analysis.summary import whole
from vitbench.cells import cell_name
from vitbench.inputs.datasets import Image

# What a plain RGB JPEG is called, whose `form` in the manifest is empty.
PLAIN = "JPEG"

Predictions = Callable[[str], list[tuple[str, str, float | None]]]


def parity(
    runs: pandas.DataFrame,
    baseline: str,
    predictions: Predictions,
    labels: Callable[[str], dict[str, str]],
    least: float,
    forms: Callable[[str], dict[str, str]] = lambda role: {},
) -> pandas.DataFrame:
    """A row a pair of `comparisons`: whether both answered once for each image, and how often with the same label.

    A pair of which a repeat left images out in a warm pass fails, too: what it leaves out it need not label.

    Args:
        predictions: record path → (id, label, score) of its last pass.
        labels: role of the data set → id → what `vitbench.accuracy.expected` wants of every valid image.
        least: share of equal labels below which the pair fails.
        forms: role of the data set → id → form of every valid image, "" for a plain JPEG.
    """
    rows = []
    left_out = set(runs.record[~whole(runs)])
    for one, other, _ in comparisons(runs, baseline):
        first, second = records_of(runs, one), records_of(runs, other)
        wanted = labels(one["dataset"])
        common = sorted(first.keys() & second.keys())
        row = {"dataset": one["dataset"], "baseline": cell_name(one), "candidate": cell_name(other)}
        said = [(predictions(first[at]), predictions(second[at])) for at in common]
        sides = ((row["baseline"], first), (row["candidate"], second))
        lossy = [name for name, side in sides if any(side[at] in left_out for at in common)]
        row |= gate(said, wanted, least, lossy)
        row["differing"] = _by_form(row.get("unequal", ()), wanted, forms(one["dataset"]))
        rows.append(row)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["parity"]))


def gate(
    repeats: Iterable[tuple[list[tuple[str, str, float | None]], list[tuple[str, str, float | None]]]],
    wanted: dict[str, str],
    least: float,
    lossy: Sequence[str] = (),
) -> dict[str, Any]:
    """What pairs of repeats said of the same images, by the least favourable pair, and whether even that passes.

    Args:
        repeats: for each pair the (id, label, score) of both, of their last passes.
        wanted, least: as for `parity`.
        lossy: names of the sides of which a repeat left images out in a warm pass.
    """
    return _worst([_compare_predictions(one, other, wanted) for one, other in repeats], len(wanted), least, lossy)


def disagreements(
    runs: pandas.DataFrame,
    baseline: str,
    parity_table: pandas.DataFrame,
    predictions: Predictions,
    manifest: Callable[[str], list[Image]],
) -> pandas.DataFrame:
    """A row an image and pair of `comparisons` in which both answered once, and not the same, in some block.

    Labels and scores are those of the first such block, `blocks` is the number of them; path, sha256, file (its source)
    and label are the manifest's.

    Args:
        parity_table: that of `parity` for the same runs: pairs that agree everywhere are not looked at again.
        predictions: record path → (id, label, score) of its last pass.
        manifest: role of the data set → its rows.
    """
    differing = parity_table[parity_table.agreement < 1]
    wanted = set(zip(differing.dataset, differing.baseline, differing.candidate, strict=True))
    rows = []
    for one, other, _ in comparisons(runs, baseline):
        pair = (one["dataset"], cell_name(one), cell_name(other))
        if pair not in wanted:
            continue
        first, second = records_of(runs, one), records_of(runs, other)
        found: dict[str, list[tuple[tuple, tuple]]] = {}
        for block in sorted(first.keys() & second.keys()):
            answers, others = _answered_once(predictions(first[block])), _answered_once(predictions(second[block]))
            for image in answers.keys() & others.keys():
                if answers[image][0] != others[image][0]:
                    found.setdefault(image, []).append((answers[image], others[image]))
        rows += [
            (*pair, image.id, image.path, image.sha256, image.source, image.label)
            + tuple(answer[what] for what in (0, 1) for answer in found[image.id][0])
            + (len(found[image.id]),)
            for image in manifest(one["dataset"])
            if image.id in found
        ]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["disagreements"]))


def _answered_once(predictions: list[tuple[str, str, float | None]]) -> dict[str, tuple[str, float | None]]:
    """Image → (label, score) of the images that were answered exactly once."""
    counts = Counter(image for image, _, _ in predictions)
    return {image: (label, score) for image, label, score in predictions if counts[image] == 1}


def images(data_sets: dict[str, tuple[str, list[Image]]]) -> pandas.DataFrame:
    """A row for each form of the images that are used and each reason to leave a file out, by data set.

    Args:
        data_sets: role → name and manifest.
    Returns:
        dataset (role), name, used (bool), what (form or reason), images (how many), first (source of the first one).
    """
    rows = []
    for role, (name, manifest) in data_sets.items():
        found: dict[tuple[bool, str], list[str]] = {}
        for image in manifest:
            what = (image.form or PLAIN) if image.valid else image.reason
            found.setdefault((image.valid, what), []).append(image.source)
        for (used, what), sources in sorted(found.items(), key=lambda one: (not one[0][0], -len(one[1]), one[0][1])):
            rows.append((role, name, used, what, len(sources), sources[0]))
    return pandas.DataFrame(rows, columns=["dataset", "name", "used", "what", "images", "first"])


def _compare_predictions(
    first: list[tuple[str, str, float | None]], second: list[tuple[str, str, float | None]], wanted: dict[str, str]
) -> dict[str, Any]:
    """Compare what two repeats said, image by image."""
    answers = []
    lost: set[str] = set()
    duplicated: set[str] = set()
    for predictions in (first, second):
        counts: dict[str, int] = {}
        for image, _, _ in predictions:
            counts[image] = counts.get(image, 0) + 1
        lost |= wanted.keys() - counts.keys()
        duplicated |= {image for image, count in counts.items() if count > 1}
        answers.append({image: (label, score) for image, label, score in predictions if counts[image] == 1})
    common = [image for image in wanted if all(image in answer for answer in answers)]
    equal = [image for image in common if answers[0][image][0] == answers[1][image][0]]
    unequal = sorted(wanted.keys() - set(equal))
    scores = [
        abs(answers[0][image][1] - answers[1][image][1])
        for image in equal
        if answers[0][image][1] is not None and answers[1][image][1] is not None
    ]
    return {
        "unequal": unequal,
        "compared": len(common),
        "agreement": len(equal) / len(common) if common else 0.0,
        "lost": lost,
        "duplicated": duplicated,
        "baseline_accuracy": share_right(first, wanted),
        "candidate_accuracy": share_right(second, wanted),
        "probability_difference": float(pandas.Series(scores).median()) if scores else None,
    }


def _by_form(unequal: Iterable[str], wanted: Iterable[str], forms: dict[str, str]) -> str:
    """Which forms of image are answered differently (or by one alone): "3 of 5 JPEG, CMYK; 1 of 40 JPEG"."""
    total = Counter(forms.get(image) or PLAIN for image in wanted)
    differing = Counter(forms.get(image) or PLAIN for image in unequal)
    return "; ".join(f"{count} of {total[form]} {form}" for form, count in differing.most_common())


def _worst(blocks: list[dict[str, Any]], images: int, least: float, lossy: Sequence[str]) -> dict[str, Any]:
    """The least favourable of the compared blocks, and whether even that passes."""
    if not blocks:
        return {
            "images": images,
            "compared": 0,
            "passed": False,
            "reason": "nothing to compare: no block worked in both",
        }
    worst = min(blocks, key=lambda block: (block["agreement"], block["compared"]))
    lost = sorted(set().union(*(block["lost"] for block in blocks)))
    duplicated = sorted(set().union(*(block["duplicated"] for block in blocks)))
    reasons = [
        f"{len(lost)} images lost" if lost else "",
        f"a pass of {' and '.join(lossy)} before its last left images out" if lossy and not lost else "",
        f"{len(duplicated)} images answered twice" if duplicated else "",
        f"labels equal for {worst['agreement']:.1%}, {least:.0%} needed" if worst["agreement"] < least else "",
    ]
    reason = "; ".join(filter(None, reasons))
    return worst | {
        "images": images,
        "lost": ";".join(lost),
        "duplicated": ";".join(duplicated),
        "passed": not reason,
        "reason": reason or None,
    }
