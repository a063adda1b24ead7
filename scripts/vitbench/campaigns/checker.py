"""Are these records what a run of vitbench writes? Checks of records that anybody made, one small function a check.

Each check gives its reasons, one line each: file, what is wrong, what was expected. A check that lacks what it needs
raises `NotChecked`, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vitbench.campaigns.checks import NotChecked
from vitbench.campaigns.checks.copies import check_answers, check_copies
from vitbench.campaigns.checks.files import check_hashes, check_profiles
from vitbench.campaigns.checks.machine import check_machine, check_physics, check_precision, check_software
from vitbench.campaigns.checks.parity import check_parity
from vitbench.campaigns.checks.plan import check_blocks, check_choices, check_identity, check_manifests
from vitbench.campaigns.checks.quietness import check_canaries, check_limits, check_probes
from vitbench.campaigns.checks.records import (
    check_attempts,
    check_flags,
    check_numbers,
    check_places,
    check_predictions,
    check_short_passes,
)
from vitbench.campaigns.checks.times import check_order, check_parts
from vitbench.campaigns.evidence import Evidence
from vitbench.errors import UserError
from vitbench.records.archive import Folder, is_record, record_paths

CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "paths": check_places,
    "numbers": check_numbers,
    "parts": check_parts,
    "predictions": check_predictions,
    "flags": check_flags,
    "short passes": check_short_passes,
    "attempts": check_attempts,
    "probes": check_probes,
    "limits": check_limits,
    "canaries": check_canaries,
    "machine": check_machine,
    "software": check_software,
    "identity": check_identity,
    "manifests": check_manifests,
    "blocks": check_blocks,
    "order": check_order,
    "copies": check_copies,
    "answers": check_answers,
    "choices": check_choices,
    "profiles": check_profiles,
    "parity": check_parity,
    "precision": check_precision,
    "physics": check_physics,
    "hashes": check_hashes,
}


def check(archive: Folder) -> tuple[list[str], list[str], list[str]]:
    """Check all that is in an archive.

    Returns:
        Reasons (none if nothing is wrong), names of the checks made, and "name: what it lacks" of the others.
    """
    evidence = Evidence.gather(archive)
    reasons = [reason for found in evidence.broken.values() for reason in found]
    made, not_made = ["schema"], []
    for name, one in CHECKS.items():
        try:
            for reason in one(evidence):
                reasons.append(reason)
            made.append(name)
        except NotChecked as lacking:
            not_made.append(f"{name}: {lacking}")
    return reasons, made, not_made


def count(archive: Folder) -> str:
    """How many records an archive holds, and how many of them are no part of its grid, in words."""
    paths = {path for path in archive.paths() if is_record(path)}
    try:
        others = len(paths - set(record_paths(archive.grid)))
    except UserError:
        others = 0
    return f"{len(paths)} records" + (f" ({others} of them of another configuration, checked singly)" if others else "")
