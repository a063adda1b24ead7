"""Do the records belong together: one machine, model and data, each block of each cell, the batch sizes chosen?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vitbench import processor
from vitbench.campaigns.checks import NotChecked, Record, text
from vitbench.cells import CONTROL, SIZES, repeats_of, role_of, variant_key

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence


def check_identity(evidence: Evidence) -> Iterable[str]:
    """One machine, protocol, model and, for each data set and variant, the same files."""
    facts: dict[str, Callable[[Record], tuple[Any, Any]]] = {
        "machine": lambda one: ("", one["machine"]),
        "processor": lambda one: ("", processor.line(one["environment"])),
        "the machine's description": lambda one: ("", one["environment"].get("machine")),
        "protocol": lambda one: ("", one["protocol"]),
        "model": lambda one: ("", (one["model"], one["identity"].get("model"))),
        "data set": lambda one: (one["dataset"], one["identity"].get("dataset")),
        "number of images": lambda one: (one["dataset"], one["images"]),
        "hash of the manifest": lambda one: (one["dataset"], one["hashes"].get("manifest")),
        "definition": lambda one: (variant_key(one), one["identity"].get("definition")),
        "hash of the model": lambda one: (variant_key(one), one["hashes"].get("model")),
        "rule of warm-up and timed passes": lambda one: ("", one["measuring"].get("passes")),
        "hash of the jars": lambda one: ((variant_key(one), one["device"]), one["hashes"].get("jars")),
    }
    for name, fact in facts.items():
        groups: dict[Any, dict[Any, list[str]]] = defaultdict(lambda: defaultdict(list))
        for path, record in evidence.planned.items():
            group, value = fact(record)
            groups[group][text(value)].append(path)
        for values in groups.values():
            usual = max(values, key=lambda value: len(values[value]))
            for value, paths in values.items():
                if value != usual:
                    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
                    yield f"{paths[0]}: {name} {value}, expected {usual} as in the others{more}"


def check_manifests(evidence: Evidence) -> Iterable[str]:
    """The manifests are those that the records were measured with."""
    if not evidence.images:
        raise NotChecked("no manifest")
    for role in evidence.images:
        now = sha256(evidence.archive.manifest_bytes(role)).hexdigest()
        for path, record in evidence.planned.items():
            then = str(record["hashes"].get("manifest") or "")
            if record["dataset"] == role and then and then != now:
                yield f"{path}: hash of the manifest {then[:12]}, expected {now[:12]}, that of the manifest of {role}"
                break


def check_blocks(evidence: Evidence) -> Iterable[str]:
    """Every cell has every block once."""
    blocks: dict[str, list[int]] = defaultdict(list)
    for path, record in evidence.planned.items():
        blocks[_folder(path)].append(record["block"])
        if record["block"] != record["repeat"]:
            yield f"{path}: block {record['block']}, expected {record['repeat']}, its repeat"
    planned: dict[str, int] = {}
    if evidence.grid:
        for cell in evidence.grid["cells"]:
            blocks.setdefault(cell["folder"], [])
            planned[cell["folder"]] = repeats_of(evidence.grid["repeats"], cell["dataset"])
    most = max(map(max, filter(None, blocks.values())), default=-1) + 1
    for folder, found in blocks.items():
        wanted = range(planned.get(folder, most))
        broken = {number for number in wanted if f"{folder}/rep{number}.json" in evidence.broken}
        if missing := sorted(set(wanted) - set(found) - broken):
            yield f"{folder}: block {', '.join(map(str, missing))} missing, expected 0 to {len(wanted) - 1}"
    sizes = defaultdict(set)
    for path, record in evidence.planned.items():
        sizes[_folder(path)].add(record["batch_size"])
    for folder, found in sizes.items():
        if len(found) > 1:
            yield f"{folder}: batch sizes {', '.join(sorted(map(str, found)))}, expected one for all repeats"


def check_choices(evidence: Evidence) -> Iterable[str]:
    """Full runs, and those on data sets of several sizes, used the batch size that was chosen for them."""
    choices = {
        _folder(path): evidence.archive.document(path)
        for path in evidence.archive.paths()
        if PurePosixPath(path).name == "choice.json"
    }
    at_best = {path: record for path, record in evidence.planned.items() if record["dataset"] != "sample"}
    if not at_best or not choices:
        raise NotChecked("no choice.json")
    for path, record in at_best.items():
        choice = choices.get(_folder_of_choice(path, record, evidence.grid))
        if choice and choice["batch_size"] != record["batch_size"]:
            yield f"{path}: batch size {record['batch_size']}, expected {choice['batch_size']}, the one that was chosen"


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _folder_of_choice(path: str, record: Record, grid: dict[str, Any] | None) -> str:
    """Folder of the choice that a record rests on: that of its variant's full run, as the grid knows.

    A control is its variant under a second name, and a slug is a name and a digest of the same settings.
    """
    *above, dataset, framework, slug, device, workers, size = PurePosixPath(path).parent.parts
    if grid is not None and role_of(record["dataset"]) == SIZES:
        dataset = grid["datasets"]["full"]["slug"]
    name, _, settings = slug.rpartition("-")
    own = f"{name.removesuffix(CONTROL)}-{settings}"
    return str(PurePosixPath(*above, dataset, framework, own, device, workers, size))
