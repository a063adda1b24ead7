"""Are the files beside the records, profiles and what was packed, as they should be?"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vitbench.campaigns.checks import NotChecked
from vitbench.errors import UserError
from vitbench.records import profile_file
from vitbench.records.archive import Packed

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence


def check_profiles(evidence: Evidence) -> Iterable[str]:
    """Profiles fit their schema."""
    found = [path for path in evidence.archive.paths() if PurePosixPath(path).name == "profile.json"]
    if not found:
        raise NotChecked("no profile.json")
    for path in found:
        try:
            profile_file.checked(evidence.archive.document(path), path)
        except UserError as error:
            yield f"{error}; expected a profile"


def check_hashes(evidence: Evidence) -> Iterable[str]:
    """The files of a campaign are those that were packed."""
    if not isinstance(evidence.archive, Packed):
        raise NotChecked("no campaign")
    stated = evidence.archive.about["files"]
    found = {
        path.relative_to(evidence.archive.root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(evidence.archive.root.rglob("*"))
        if path.is_file() and path != evidence.archive.root / "campaign.json"
    }
    for name in sorted(stated.keys() | found.keys()):
        if stated.get(name) != found.get(name):
            what = "is missing" if name not in found else "was not packed" if name not in stated else "was edited"
            yield f"{name}: {what}, expected what campaign.json lists"
