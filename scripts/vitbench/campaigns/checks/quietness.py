"""Was the machine as quiet as the records say? Probes, limits, counters, and what canaries were compared with."""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import inf, isclose
from typing import TYPE_CHECKING, Any

from vitbench.analysis.statistics import LEAST_BLOCKS
from vitbench.campaigns.checks import NotChecked, Record, ended, first_began, probes, short
from vitbench.errors import UserError
from vitbench.flags import SUSPECT
from vitbench.measure import canary, quiet
from vitbench.measure.limits import Limits
from vitbench.records.archive import Packed
from vitbench.records.record import seconds_of_passes
from vitbench.steady import TIMED

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# Two probes with the same two rates to the last digit can happen, three cannot.
SAME_CANARIES = 3
# From so many blocks on there is a verdict, and none can rest on a machine of which others had so much, whatever
# limits somebody has set. (Below, a run with open limits on a busy machine is a trial, and may pass.)
OTHERS_AT_MOST = 0.25
# In so many seconds between two repeats nobody measures something else and throws it away again.
SHORT = 30 * 60.0
# What `check_ready` measures before the first repeat, and what a repeat that is started by hand may go without.
CANARIES_BEFORE = 5
# Seconds that reading the counters at the ends of a pass may take.
LOOKING = 2.0
# Shares are ratios of the same numbers: what differs by more was not computed from them.
PRECISION = 1e-6


def limits(record: Record) -> dict[str, Any] | None:
    """The limits that a record was measured with; None where it names none."""
    return record["measuring"].get("quiet")


def check_probes(evidence: Evidence) -> Iterable[str]:
    """Every repeat has probes, settings, and counters from which its shares follow."""
    for path, record in evidence.good.items():
        for name in ("passes", "quiet"):
            if not record["measuring"].get(name):
                yield f"{path}: measuring has no {name}, expected the settings that it was measured with"
        found = probes(record)
        if found is None:
            yield f"{path}: no quiet probes, expected those before and after"
            continue
        if "counters" not in found["during"]:
            yield f"{path}: no counters, expected those that the shares of other processes are made of"
            continue
        yield from _wrong_shares(path, found["during"])
        counted, inside = found["during"]["counters"], (record["load_seconds"] or 0) + seconds_of_passes(record)
        if not inside <= counted["elapsed"] + 1 <= record["total_seconds"] + 2:
            yield (
                f"{path}: counters over {counted['elapsed']:.1f} s, expected more than loading and passes "
                f"({inside:.1f} s) and less than the whole ({record['total_seconds']:.1f} s)"
            )
        if timed := found.get("timed"):
            yield from _wrong_shares(path, timed)
            inside = sum(one["seconds"] for one in record["passes"] if one["phase"] == TIMED)
            if not inside <= timed["counters"]["elapsed"] + PRECISION <= inside + LOOKING * record["timed_passes"]:
                yield (
                    f"{path}: counters of the timed passes over {timed['counters']['elapsed']:.1f} s, expected these "
                    f"passes ({inside:.1f} s)"
                )


def _wrong_shares(path: str, during: dict[str, Any]) -> Iterable[str]:
    """The shares of the whole repeat, or of its timed passes, that do not follow from their counters."""
    counted = during["counters"]
    whole = counted["elapsed"] * (counted["cores"] or 1)
    busy, steal = counted["busy"], counted["steal"]
    expected = {
        "foreign_cpu_share": None if busy is None else max(0.0, busy - counted["own_cpu_seconds"]) / whole,
        "steal_share": None if steal is None else steal / whole,
    }
    for name, value in expected.items():
        stated = during[name]
        if (stated is None) != (value is None) or (value is not None and not isclose(stated, value, abs_tol=PRECISION)):
            shown = "none" if value is None else f"{value:.6g}"
            yield f"{path}: {name} {stated}, expected {shown} from its counters"


def check_limits(evidence: Evidence) -> Iterable[str]:
    """What the limits of the configuration, or any limits at all, call disturbed is flagged."""
    try:
        wanted = evidence.archive.config["quiet"]
    except UserError:  # records without the configuration that they were measured by
        wanted = None
    blocks: dict[tuple, set[int]] = defaultdict(set)
    for record in evidence.good.values():
        blocks[_cell(record)].add(record["block"])
    for path, record in evidence.good.items():
        found, own = probes(record), limits(record)
        if found is None or own is None or SUSPECT in record["flags"]:
            continue
        if path in evidence.planned and wanted:
            strict = Limits(**_stricter(own, wanted))
            for line in quiet.findings(found, found["reference"], strict):
                yield f"{path}: {line}, expected the flag `suspect` by the limits of the configuration"
        if len(blocks[_cell(record)]) < LEAST_BLOCKS:
            continue
        for name in ("foreign_cpu_share", "steal_share"):
            share, where = quiet.largest(found, name)
            if share > OTHERS_AT_MOST:
                yield (
                    f"{path}: {name} {share:.0%}{where}, expected at most {OTHERS_AT_MOST:.0%} of a repeat that is not "
                    "flagged `suspect`, whatever its limits"
                )


def _cell(record: Record) -> tuple:
    return tuple(record[key] for key in ("dataset", "framework", "variant", "device", "workers", "batch_size"))


def _stricter(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Of two sets of limits the narrower of each."""
    narrow = {name: min(one[name], other[name]) for name in ("gemm_slower", "decode_slower", "steal", "foreign_cpu")}
    return one | narrow | {"free_memory_gb": max(one["free_memory_gb"], other["free_memory_gb"])}


def check_canaries(evidence: Evidence) -> Iterable[str]:
    """No canary is a copy, and each reference is the median of the canaries before it."""
    in_time = sorted(evidence.records.items(), key=lambda item: first_began(item[1]))
    seen = Counter(tuple(probe[name] for name in canary.PARTS) for _, record in in_time for probe in _canaries(record))
    for rates, times in seen.items():
        if times >= SAME_CANARIES:
            gemm, decode = rates
            yield f"{times} probes with a canary of {gemm} GFLOP/s and {decode} decodes/s, expected rates of their own"
    known: dict[str, list[float]] = {name: [] for name in canary.PARTS}
    # A campaign holds one configuration, and others may have been measured between its repeats.
    packed = isinstance(evidence.archive, Packed) and evidence.archive.about.get("left_out")
    all_here = not packed and not evidence.broken
    compared = False
    before: tuple[str, Record] | None = None
    for path, record in in_time:
        found = probes(record)
        reference = found and found["reference"]
        if reference and not reference.get("canaries"):
            yield f"{path}: a reference of nobody knows how many canaries, expected their number"
        elif reference:
            compared = True
            yield from _wrong_reference(path, reference, known)
            if before and all_here:
                yield from _gone_between(before, (path, record))
        for probe in _canaries(record):
            for name in canary.PARTS:
                if probe[name]:
                    insort(known[name], probe[name])
        if reference and reference.get("canaries"):
            before = (path, record)
    if not compared:
        raise NotChecked("no record names what its canaries were compared with")


def _canaries(record: Record) -> list[dict[str, Any]]:
    """The probes of a repeat and of its attempts that were set aside."""
    return [
        found[when] for one in (*record["attempts"], record) if (found := probes(one)) for when in ("before", "after")
    ]


def _wrong_reference(path: str, reference: dict[str, Any], known: dict[str, list[float]]) -> Iterable[str]:
    """Medians that cannot be those of so many canaries, of which these are known.

    Those before the first repeat are not kept with the records, and may have been anything: the median lies between
    what it would be, were they all the slowest, and all the fastest. Where other canaries are missing, or there are
    more than there were then (records of another folder came here), nothing can be said.
    """
    count = reference["canaries"]
    for name, values in known.items():
        others = count - len(values)
        if others not in (0, CANARIES_BEFORE):
            continue
        least, most = (count - 1) // 2 - others, count // 2
        low = values[least] if least >= 0 else 0.0
        high = values[most] if most < len(values) else inf
        if not low * (1 - PRECISION) <= reference[name] <= high * (1 + PRECISION):
            yield (
                f"{path}: canaries held against {name} {reference[name]:.1f}, expected the median of the {count} "
                f"before it, {low:.1f} to {high:.1f}"
            )


def _gone_between(one: tuple[str, Record], two: tuple[str, Record]) -> Iterable[str]:
    """More canaries between two repeats than stand in the first, with no time to measure anything else."""
    (first, record), (second, after) = one, two
    if first_began(after) - ended(record) > SHORT:
        return
    added = probes(after)["reference"]["canaries"] - probes(record)["reference"]["canaries"]
    gone = added - len(_canaries(record))
    if gone > 0 and gone != CANARIES_BEFORE:
        yield (
            f"{second}: held against {gone} canaries more than {short(first)} and all before it had, expected the "
            "records or attempts that they belong to: they were removed"
        )
