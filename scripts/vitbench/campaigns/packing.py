"""Packing: the records of a run and all that tables and charts need of it, in a few files of text (docs/campaigns.md).

The same records give the same bytes. What `vitbench.records.archive.Packed` reads is written here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vitbench.campaigns import checker
from vitbench.cells import repeats_of, role_of, variant_key
from vitbench.errors import UserError
from vitbench.files import staged
from vitbench.records.archive import CAMPAIGN, SAME, Folder, Packed, is_record, record_paths

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
# A value shorter than this, in characters of JSON, is written where it stands, shared or not.
LEAST_SHARED = 60
# Absolute paths of this system's own files, the same on any machine, say nothing of one.
PATHS = re.compile(r"(?<![\w.…~:/])(?:~|/(?!proc/|sys/|dev/))[^\s/'\"<>|,;:()]*/[^\s'\"<>|,;:()]*")


def pack(archive: Folder, name: str, to: Path, version: str) -> str:
    """Pack what was measured in a folder, or copy a campaign, as `to`/NAME; one line that says what was done.

    Args:
        version: what git calls this vitbench; a campaign that is copied keeps its own.
    Raises:
        UserError: the name is none, records are missing, the checker refuses them, or a campaign of that name exists
            and holds something else.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"campaign: {name}: letters, digits, hyphens and dots make a name, such as standard-2026")
    _refuse_missing(archive)
    _refuse_left_out(archive)
    _refuse_wrong(archive)
    files = _files(archive) if not isinstance(archive, Packed) else _copied(archive)
    about = _about(archive, files) | {"vitbench": archive.version or version}
    folder = Path(to) / name
    count = f"{about['records']} records, {sum(map(len, files.values())) / 1e3:.0f} kB"
    if folder.exists():
        if (folder / CAMPAIGN).exists() and Packed(folder).about["files"] == about["files"]:
            return f"{folder} holds these {count} already"
        raise UserError(
            f"{folder} exists and holds something else: take another name, or remove that folder first to replace it"
        )
    with staged(folder) as place:
        for path, content in (files | {CAMPAIGN: _json(about)}).items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
    return f"packed {count} as {folder}"


def _refuse_missing(archive: Folder) -> None:
    wanted, there = record_paths(archive.grid), set(archive.paths())
    if missing := [path for path in wanted if path not in there]:
        raise UserError(
            f"{len(missing)} of {len(wanted)} records are missing in {archive.root} (the first: {missing[0]}); measure "
            "them with `snakemake` and the same configuration, then pack"
        )


def _refuse_left_out(archive: Folder) -> None:
    """Refuse to leave out blocks that were measured, by `make settle` for instance: nobody may choose among them."""
    grid, wanted = archive.grid, set(record_paths(archive.grid))
    roles = {cell["folder"]: role_of(cell["dataset"]) for cell in grid["cells"]}
    beyond = [path for path in archive.paths() if is_record(path) and path not in wanted and _folder(path) in roles]
    block_of = {path: (roles[_folder(path)], archive.record(path)["repeat"]) for path in beyond}
    repeats = {role: repeats_of(grid["repeats"], role) for role in dict.fromkeys(roles.values())}
    # The block after these that was stopped in the middle gives no comparison that could have been liked or not.
    whole, measured = Counter(roles.values()), Counter(block_of.values())
    stopped = {(role, number) for role, number in repeats.items() if measured[role, number] < whole[role]}
    more = [path for path in beyond if block_of[path] not in stopped]
    if not more:
        return
    for role, block in (block_of[path] for path in more):
        repeats[role] = max(repeats[role], block + 1)
    wish = ", ".join(f"{role}: {number}" for role, number in repeats.items())
    raise UserError(
        f"{len(more)} records lie beyond the repeats that this configuration asks for (the first: {more[0]}), and a "
        f"campaign holds every block that was measured: add --config repeats='{{{wish}}}'"
    )


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _refuse_wrong(archive: Folder) -> None:
    reasons, _, _ = checker.check(archive)
    if reasons:
        raise UserError(
            f"not packed: {reasons[0]}{f' (and {len(reasons) - 1} more reasons)' if len(reasons) > 1 else ''}; "
            f"python scripts/check_records.py {archive.root} lists them all"
        )


def _about(archive: Folder, files: dict[str, bytes]) -> dict[str, Any]:
    """What people want to know of a campaign before they open it, and the hash of every file."""
    measured = [archive.record(path) for path in record_paths(archive.grid)]
    others = sum(map(is_record, archive.paths())) - len(measured)
    return {
        "format": 1,
        "machine": archive.grid["machine"],
        "machine_text": measured[0]["environment"].get("machine"),
        "protocol": archive.grid["protocol"],
        "model": archive.grid["model"]["name"],
        "datasets": {role: one["name"] for role, one in archive.grid["datasets"].items()},
        "variants": list(dict.fromkeys(variant_key(one) for one in measured)),
        "repeats": archive.grid["repeats"],
        "records": len(measured),
        # Of other configurations, measured in the same folder: this campaign's canaries were held against theirs too.
        "left_out": archive.about.get("left_out", 0) if isinstance(archive, Packed) else others,
        "first": min(record["started"] for record in measured),
        "last": max(record["started"] for record in measured),
        "versions": {name: one for record in measured for name, one in record["versions"].items()},
        "files": {path: sha256(content).hexdigest() for path, content in sorted(files.items())},
    }


def _copied(archive: Packed) -> dict[str, bytes]:
    return {path: (archive.root / path).read_bytes() for path in archive.about["files"]}


def _files(archive: Folder) -> dict[str, bytes]:
    """File → content of a campaign, all but campaign.json."""
    numbers, predictions = _predictions(archive)
    paths = _belonging(archive)
    contents, shared = share([scrub(archive.document(path), archive.root) for path in paths])
    lines = []
    for path, content in zip(paths, contents, strict=True):
        line = {"path": path} | ({"predictions": numbers[path]} if path in numbers else {}) | {"content": content}
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    config = yaml.safe_dump(scrub(archive.config, archive.root), sort_keys=False, allow_unicode=True)
    files = {
        "config.yaml": config.encode(),
        "grid.json": _json(scrub(archive.grid, archive.root)),
        "measurements.jsonl": "".join(lines).encode(),
        "shared.json": _json(shared),
        "predictions.csv": predictions,
    }
    if archive.ready is not None:
        files["ready.json"] = _json(scrub(archive.ready, archive.root))
    return files | {f"manifests/{role}.csv": archive.manifest_bytes(role) for role in archive.grid["datasets"]}


def _belonging(archive: Folder) -> list[str]:
    """Files of the grid: its records, and the choices, profiles and peaks in the folders of its cells and above."""
    wanted = set(record_paths(archive.grid))
    cells = {cell["folder"] for cell in archive.grid["cells"]}
    folders = cells | {str(parent) for folder in cells for parent in PurePosixPath(folder).parents}
    return sorted(path for path in archive.paths() if (path in wanted if is_record(path) else _folder(path) in folders))


def _predictions(archive: Folder) -> tuple[dict[str, int], bytes]:
    """Record → number of its set of predictions, and the table of the sets, each once; 0 is the empty set."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["set", "id", "label", "score"])
    known: dict[str, int] = {"[]": 0}
    numbers = {}
    for path in record_paths(archive.grid):
        rows = archive.prediction_rows(path)[1:]
        key = json.dumps(rows)
        if key not in known:
            known[key] = len(known)
            writer.writerows([known[key], *row] for row in rows)
        numbers[path] = known[key]
    return numbers, out.getvalue().encode()


def share(values: list[Any]) -> tuple[list[Any], list[Any]]:
    """The values with every larger part that occurs more than once replaced by {"$same": its place in the second list}.

    Undone by `vitbench.records.archive.with_shared`.
    """
    counts: Counter[str] = Counter()

    def count(value: Any) -> None:
        key = json.dumps(value, ensure_ascii=False)
        if len(key) < LEAST_SHARED:
            return
        counts[key] += 1
        if counts[key] == 1:  # what is inside of a value that was seen before was seen as often
            for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                count(one)

    for value in values:
        count(value)
    places: dict[str, int] = {}
    shared: list[Any] = []

    def written(value: Any) -> Any:
        key = json.dumps(value, ensure_ascii=False)
        if counts.get(key, 0) > 1:
            if key not in places:
                places[key] = len(shared)
                shared.append(value)
            return {SAME: places[key]}
        if isinstance(value, dict):
            return {name: written(one) for name, one in value.items()}
        return [written(one) for one in value] if isinstance(value, list) else value

    return [written(value) for value in values], shared


def scrub(value: Any, root: Path) -> Any:
    """A value without folders of a machine in its strings: of an absolute path its last name is left, after `…/`."""
    if isinstance(value, dict):
        return {scrub(key, root): scrub(one, root) for key, one in value.items()}
    if isinstance(value, list):
        return [scrub(one, root) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("/", "~/")) and PATHS.match(value):  # a path by itself, blanks and all
        return PurePosixPath(value).name
    for folder in (Path(root).resolve(), Path.home()):
        if len(folder.parts) > 1:
            value = re.sub(rf"{re.escape(str(folder))}(?=/|\b)", "…", value)
    return PATHS.sub(lambda found: f"…/{PurePosixPath(found[0]).name}", value)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
