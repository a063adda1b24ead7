"""Was anything measured once and written down twice? Passes of repeats, predictions of frameworks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

from vitbench.campaigns.checks import short, variant
from vitbench.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# Passes of two repeats whose ratios agree to this are one repeat. The closest two of 80 repeats of a quiet machine
# agreed to 8e-3, with three passes each; a tenth of that noise still leaves one false alarm in thousands of campaigns.
PROPORTIONAL = 1e-5
# With fewer passes than this two repeats may well be proportional.
PASSES = 3
# Scores of 0 and 1, and short ones, may be alike by chance.
TELLING_DIGITS = 5


def check_copies(evidence: Evidence) -> Iterable[str]:
    """No two repeats took the same seconds in every pass, or those of another times a factor."""
    vectors = {path: [one["seconds"] for one in record["passes"]] for path, record in evidence.good.items()}
    copied: set[str] = set()
    for (one, seconds), (two, others) in combinations(vectors.items(), 2):
        if len(seconds) != len(others) or not seconds or two in copied:
            continue
        ratios = [other / own for own, other in zip(seconds, others, strict=True)]
        if seconds == others:
            copied.add(two)
            yield f"{two}: the passes of {short(one)}, expected seconds of its own"
        elif len(seconds) >= PASSES and max(ratios) / min(ratios) - 1 < PROPORTIONAL:
            copied.add(two)
            yield f"{two}: the passes of {short(one)} times {ratios[0]:.6g}, expected seconds of its own"


def check_answers(evidence: Evidence) -> Iterable[str]:
    """No two frameworks give the same scores to the last digit: they resize and round in ways of their own.

    A framework and what runs the same adapter in Spark's tasks count as one (`Framework.inside`).
    """
    answers: dict[str, dict[str, dict[tuple, str]]] = defaultdict(lambda: defaultdict(dict))
    for path, record in evidence.good.items():
        scores = tuple((row[0], float(row[2])) for row in evidence.predictions(path) or () if _tells(row[2]))
        if scores:
            known = FRAMEWORKS.get(record["framework"])
            framework = known.inside if known and known.inside else record["framework"]
            answers[record["dataset"]][framework].setdefault(tuple(sorted(scores)), path)
    for frameworks in answers.values():
        for one, other in combinations(sorted(frameworks), 2):
            for first, origin in frameworks[one].items():
                for second, path in frameworks[other].items():
                    equal = len(set(first) & set(second))
                    if 2 * equal > min(len(first), len(second)):
                        framework = variant(evidence.good[origin])
                        yield f"{path}: {equal} scores of {framework} ({short(origin)}), expected scores of its own"


def _tells(score: str) -> bool:
    try:
        value = float(score)
    except ValueError:
        return False
    return 0 < value < 1 and len(score.partition(".")[2].lstrip("0")) >= TELLING_DIGITS
