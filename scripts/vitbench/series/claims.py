"""The claims of the published series, recomputed from its runs by one rounding rule for all."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas

from vitbench.errors import UserError
from vitbench.series.published import find_run, picked_runs

VERDICTS = ("agrees", "agrees when rounded as stated", "does not agree", "cannot be tested")


def check_claims(claims: pandas.DataFrame, runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a claim: what was stated, what follows from its operands, and one of VERDICTS; what agrees first.

    One rule for all. The stated number is taken to the place of its last digit; trailing zeros of a whole number do not
    count as digits, but two digits always do (2366% is exact to 1, 980% to 10, 1000% to 100). The number recomputed
    from the seconds of the runs that the post picked, rounded half up to that place, must stand in the stated relation:
    `equals` (each pair), `up to` (the largest pair equals), `at least`, `between`, `below` (unrounded). Where it does
    not, the seconds are rounded to whole ones first, as the posts print them: then it agrees "when rounded as stated".

    Raises:
        UserError: an operand is no published run, or a relation is unknown.
    """
    picked = picked_runs(runs)
    rows = [_check_claim(claim, picked) for claim in claims.to_dict("records")]
    return pandas.DataFrame(sorted(rows, key=lambda row: (VERDICTS.index(row["verdict"]), row["id"])))


def _check_claim(claim: dict[str, str], picked: dict[str, Any]) -> dict[str, Any]:
    where = f"claim {claim['id']}"
    shown = {key: claim[key] for key in ("id", "part", "claim", "dataset", "device", "stated")}
    replies = {key: claim[key] for key in ("source", "reply", "reply_date", "reply_link")}
    if claim["untestable"]:
        return shown | {"verdict": VERDICTS[3], "reason": claim["untestable"]} | replies
    pairs = [
        tuple(find_run(picked, name.strip(), where) for name in pair.split(">"))
        for pair in claim["operands"].split(";")
    ]
    exact, whole = (_ratios(pairs, claim["quantity"], round_first, where) for round_first in (False, True))
    holds = [
        all(_holds(claim, unit, stated, ratios, where) for unit, stated in _stated(claim)) for ratios in (exact, whole)
    ]
    verdict = VERDICTS[0] if holds[0] else VERDICTS[1] if holds[1] else VERDICTS[2]
    unit, stated = _stated(claim)[0]
    ratio_like = claim["quantity"] == "speedup" and len(stated) == 1
    return (
        shown
        | {
            "recomputed": _words(claim, exact),
            "recomputed_from_whole_seconds": _words(claim, whole),
            "stated_ratio": _as_ratio(unit, stated[0]) if ratio_like else None,
            "recomputed_ratio": float(max(exact)) if ratio_like else None,
            "verdict": verdict,
            "reason": claim["operands"],
        }
        | replies
    )


def _stated(claim: dict[str, str]) -> list[tuple[str, list[Decimal]]]:
    """(percent or ratio, numbers) that the claim states; the two numbers of a span belong together."""
    found = []
    for unit in ("percent", "ratio"):
        numbers = [Decimal(number) for number in claim[unit].split(";") if number]
        found += [(unit, numbers)] if claim["relation"] == "between" and numbers else [(unit, [n]) for n in numbers]
    return found


def _ratios(pairs: list[tuple], quantity: str, round_first: bool, where: str) -> list[Decimal]:
    columns = {"speedup": "wall_seconds", "share of images": "images"}
    if quantity not in columns:
        raise UserError(f"{where}: quantity {quantity!r}: it must be one of {', '.join(columns)}")
    numbers = [[Decimal(str(getattr(row, columns[quantity]))) for row in pair] for pair in pairs]
    if round_first:
        numbers = [[_round(number, 0) for number in pair] for pair in numbers]
    return [over / under for over, under in numbers]


def _in(unit: str, quantity: str, ratio: Decimal) -> Decimal:
    """A ratio in the unit of the claim: "65% faster" is a ratio of 1.65, "10% of the images" one of 0.1."""
    return ratio if unit == "ratio" else 100 * (ratio - 1 if quantity == "speedup" else ratio)


def _as_ratio(unit: str, stated: Decimal) -> float:
    return float(stated if unit == "ratio" else 1 + stated / 100)


def _place(stated: Decimal) -> int:
    """Power of ten of the last digit that counts."""
    return min(int(stated.normalize().as_tuple().exponent), max(stated.adjusted() - 1, 0))


def _round(value: Decimal, place: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(place), ROUND_HALF_UP)


RELATIONS: dict[str, Callable[[list[Decimal], list[Decimal], list[Decimal]], bool]] = {
    # (stated, recomputed, recomputed rounded to the stated place)
    "equals": lambda stated, _, rounded: all(value == stated[0] for value in rounded),
    "up to": lambda stated, _, rounded: max(rounded) == stated[0],
    "at least": lambda stated, _, rounded: all(value >= stated[0] for value in rounded),
    "below": lambda stated, values, _: all(value < stated[0] for value in values),
    "between": lambda stated, _, rounded: all(stated[0] <= value <= stated[1] for value in rounded),
}


def _holds(claim: dict[str, str], unit: str, stated: list[Decimal], ratios: list[Decimal], where: str) -> bool:
    if claim["relation"] not in RELATIONS:
        raise UserError(f"{where}: relation {claim['relation']!r}: it must be one of {', '.join(RELATIONS)}")
    values = [_in(unit, claim["quantity"], ratio) for ratio in ratios]
    rounded = [_round(value, min(map(_place, stated))) for value in values]
    return RELATIONS[claim["relation"]](stated, values, rounded)


def _words(claim: dict[str, str], ratios: list[Decimal]) -> str:
    units = {unit for unit, _ in _stated(claim)}
    words = []
    for ratio in ratios:
        percent = f"{_in('percent', claim['quantity'], ratio):.1f}%"
        words.append(
            f"{percent} ({ratio:.2f}x)" if len(units) == 2 else percent if "percent" in units else f"{ratio:.2f}x"
        )
    return "; ".join(words)
