"""Which paths a rule may make, as a pattern for Snakemake."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable


def missing_only(paths: Iterable[str]) -> str:
    """Constraint for the first wildcard of measurements/{machine}/…: the whole path must be one that is missing.

    It looks ahead from the machine on. What was measured is thereby data and no output any more: nothing that Snakemake
    could take for a change, no flag and no deletion of outputs reaches it (docs/methodology.md, "Records are kept").
    """
    stems = {os.path.splitext(path.partition("/")[2])[0] for path in paths if not os.path.exists(path)}
    return rf"(?=(?:{any_of(stems)})(?:\.predictions)?\.(?:json|csv)$)[^/]+"


def any_of(paths: Iterable[str]) -> str:
    """A regular expression that matches these paths and no others.

    It branches where they do, segment by segment, since Snakemake tries it on every file: an alternation of ten
    thousand whole paths would be gone through ten thousand times.
    """
    branches: dict[str, list[str]] = {}
    for path in sorted(set(paths)):
        segment, slash, rest = path.partition("/")
        branches.setdefault(re.escape(segment) + slash, []).append(rest)
    found = [f"{head}(?:{any_of(rests)})" if head.endswith("/") else head for head, rests in branches.items()]
    return "|".join(found) or "(?!)"
