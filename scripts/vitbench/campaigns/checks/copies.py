"""Was anything measured once and written down twice? Passes of repeats, predictions of frameworks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

from vitbench.campaigns.checks import short
from vitbench.cells import variant_key
from vitbench.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# (passes, to what the ratios of two repeats agree): then they are one repeat. Fewer passes may well be proportional.
# The closest two of 80 repeats of a quiet machine agreed to 8e-3, with three passes each: of many passes a fortieth
# of that is no chance any more.
PROPORTIONAL = ((3, 1e-5), (8, 2e-4))
# Scores of 0 and 1, and short ones, may be alike by chance.
TELLING_DIGITS = 5


def check_copies(evidence: Evidence) -> Iterable[str]:
    """No two repeats took the same seconds in every pass, or those of another times a factor."""
    vectors = {path: [one["seconds"] for one in record["passes"]] for path, record in evidence.good.items()}
    copied: set[str] = set()
    for (one, seconds), (two, others) in combinations(vectors.items(), 2):
        if not seconds or not others or two in copied:
            continue
        # The longer of two repeats may be the shorter one with passes added.
        ratios = [other / own for own, other in zip(seconds, others, strict=False)]
        if seconds == others:
            copied.add(two)
            yield f"{two}: the passes of {short(one)}, expected seconds of its own"
        elif any(len(ratios) >= least and max(ratios) / min(ratios) - 1 < width for least, width in PROPORTIONAL):
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
                        framework = variant_key(evidence.good[origin])
                        yield f"{path}: {equal} scores of {framework} ({short(origin)}), expected scores of its own"


def _tells(score: str) -> bool:
    try:
        value = float(score)
    except ValueError:
        return False
    return 0 < value < 1 and len(score.partition(".")[2].lstrip("0")) >= TELLING_DIGITS
