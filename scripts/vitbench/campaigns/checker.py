"""Are these records what a run of vitbench writes? Checks of records that anybody made, one small function a check.

Those of a subject of their own (times, quietness, machine, copies) are in `vitbench.campaigns.checks`.

Each check gives its reasons, one line each: file, what is wrong, what was expected. A check that lacks what it needs
raises `NotChecked`, and the answer says so.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from math import isclose
from pathlib import PurePosixPath
from statistics import median
from typing import Any

import pandas

from vitbench import accuracy, machine, tables
from vitbench.analysis import parity
from vitbench.campaigns.checks import NotChecked, Record, began, variant
from vitbench.campaigns.checks.copies import check_answers, check_copies
from vitbench.campaigns.checks.machine import check_machine, check_physics, check_precision, check_software
from vitbench.campaigns.checks.quietness import check_canaries, check_limits, check_probes
from vitbench.campaigns.checks.times import check_order, check_parts
from vitbench.cells import SIZES, cell_name, repeats_of, role_of
from vitbench.errors import UserError
from vitbench.files import plain_cell
from vitbench.inputs.datasets import Image
from vitbench.measure import quiet
from vitbench.records import profile_file
from vitbench.records import record as records
from vitbench.records.archive import Folder, Packed, PredictionRows, is_record, record_paths
from vitbench.steady import TIMED, UNSTEADY, Pass, Passes, follow

# Records hold sums and products of the same numbers: what differs by more was not computed from them.
PRECISION = 1e-6
# A shuffle or a cell that nobody can be asked about is checked against these.
BASELINE = "huggingface/pipeline"
AGREEMENT = 0.99


@dataclass
class Evidence:
    """What is to be checked.

    Attributes:
        archive: where it is read from.
        records: path → record, of those that fit the schema.
        broken: path → reasons why another one does not.
    """

    archive: Folder
    records: dict[str, Record] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    _by_slug: dict[str | None, dict[str, str] | None] = field(default_factory=dict)

    @classmethod
    def gather(cls, archive: Folder) -> Evidence:
        """Read all records of an archive.

        Raises:
            UserError: there is none.
        """
        evidence = cls(archive)
        paths = [path for path in archive.paths() if is_record(path)]
        if not paths:
            raise UserError(
                f"{archive.root} holds no record (rep0.json, …): name a folder of measurements, a working directory "
                "or a campaign"
            )
        for path in paths:
            try:
                record = archive.document(path)
            except UserError as error:
                evidence.broken[path] = [str(error)]
                continue
            if found := records.problems(record) or _unusable(record):
                evidence.broken[path] = [f"{path}: {one}" for one in found]
            else:
                evidence.records[path] = record
        return evidence

    @cached_property
    def grid(self) -> dict[str, Any] | None:
        """The grid by which it was measured; None where it is not there."""
        try:
            return self.archive.grid
        except UserError:
            return None

    @cached_property
    def planned(self) -> dict[str, Record]:
        """The records of the grid, in its order; all, where there is no grid."""
        if self.grid is None:
            return self.records
        return {path: self.records[path] for path in record_paths(self.grid) if path in self.records}

    @cached_property
    def good(self) -> dict[str, Record]:
        return {path: record for path, record in self.records.items() if record["status"] == "ok"}

    def predictions(self, path: str) -> PredictionRows | None:
        """Rows (id, label, score) without the header; None where there is no such file."""
        try:
            header, *rows = self.archive.prediction_rows(path)
        except (UserError, ValueError):
            return None
        if header != ["id", "label", "score"] or not all(len(row) == 3 for row in rows):
            return None
        return [[image, plain_cell(label), score] for image, label, score in rows]

    def manifest(self, role: str) -> list[Image] | None:
        """Rows of a role's manifest; None where it is not there."""
        try:
            return self.archive.manifest(role) if self.grid else None
        except UserError:
            return None

    @cached_property
    def images(self) -> dict[str, dict[str, str]]:
        """Role → id → label of each valid image, of the roles whose manifest is there."""
        found = {role: self.manifest(role) for role in (self.grid or {"datasets": {}})["datasets"]}
        return {role: {image.id: image.label for image in rows if image.valid} for role, rows in found.items() if rows}

    def images_of(self, record: Record) -> dict[str, str] | None:
        """id → label of each valid image of a record's own data set; None where its manifest is not there.

        Records of another configuration may lie in the same folder: their data sets bear the same roles, not the same
        slugs.
        """
        slug = record["identity"].get("dataset")
        if slug not in self._by_slug:
            try:
                rows = self.archive.manifest_of(str(slug))
            except UserError:
                rows = None
            self._by_slug[slug] = rows and {image.id: image.label for image in rows if image.valid}
        return self._by_slug[slug]


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


# --- one record at a time ---------------------------------------------------------------------------------------------


def check_places(evidence: Evidence) -> Iterable[str]:
    """The path of a record says what is in it."""
    for path, record in evidence.records.items():
        name = PurePosixPath(path).name
        if name != f"rep{record['repeat']}.json":
            yield f"{path}: repeat {record['repeat']}, expected what its name says"
        segments = PurePosixPath(path).parts[:-1]
        if len(segments) < 9:
            continue  # a folder of records that somebody put together
        identity = record["identity"]
        wanted = (
            record["machine"],
            f"p{record['protocol']}",
            identity.get("model"),
            identity.get("dataset"),
            record["framework"],
            identity.get("variant"),
            record["device"],
            f"w{record['workers']}",
            f"bs{record['batch_size']}",
        )
        for segment, value in zip(segments[-9:], wanted, strict=True):
            if segment != value and segment != "bsbest":
                yield f"{path}: it says {value}, expected {segment} as in its path"


def check_numbers(evidence: Evidence) -> Iterable[str]:
    """Every number of a record follows from its passes."""
    for path, record in evidence.good.items():
        timed = [one for one in record["passes"] if one["phase"] == TIMED]
        if not timed:
            yield f"{path}: no timed pass, expected at least one of an ok repeat"
            continue
        seconds = [one["seconds"] for one in timed]
        valid = min(one["valid"] for one in timed)
        histogram = record["effective_batch_sizes"]
        expected = {
            "wall_seconds": ("the median of its timed passes", median(seconds)),
            "cold_seconds": ("the seconds of pass 0", record["passes"][0]["seconds"]),
            "timed_passes": ("the number of its timed passes", len(timed)),
            "valid_predictions": ("the fewest of any timed pass", valid),
            "throughput": ("valid predictions / wall_seconds", valid / record["wall_seconds"]),
            "effective_batch_size": (
                "the largest of effective_batch_sizes",
                max(map(int, histogram)) if histogram else None,
            ),
        }
        for name, (meaning, value) in expected.items():
            if not _same(record[name], value):
                yield f"{path}: {name} {record[name]}, expected {value} ({meaning})"
        if valid > record["images"]:
            yield f"{path}: {valid} valid predictions, expected at most its {record['images']} images"


def check_predictions(evidence: Evidence) -> Iterable[str]:
    """The predictions are those that the last pass counted, and as right as the record says."""
    for path, record in evidence.records.items():
        where = records.predictions_path(PurePosixPath(path))
        rows = evidence.predictions(path)
        if rows is None:
            yield f"{where}: missing or no table of id, label, score; expected one beside the record"
            continue
        if record["status"] != "ok":
            if rows:
                yield f"{where}: {len(rows)} predictions, expected none of a repeat that ended as {record['status']}"
            continue
        counts, last = Counter(row[0] for row in rows), record["passes"][-1]
        images = evidence.images_of(record)
        known = images if images is not None else counts.keys() - set(last["unknown"])
        found = {
            "valid": sum(count == 1 and image in known for image, count in counts.items()),
            "duplicated": sorted(image for image, count in counts.items() if count > 1 and image in known),
        }
        if images is not None:
            found |= {
                "lost": sorted(images.keys() - counts.keys()),
                "unknown": sorted(counts.keys() - images.keys()),
            }
            if len(images) != record["images"]:
                yield f"{path}: {record['images']} images, expected {len(images)} as in the manifest"
        for name, value in found.items():
            stated = sorted(last[name]) if isinstance(last[name], list) else last[name]
            if stated != value:
                yield f"{where}: {name} {value}, expected {stated} as the record says of the last pass"
        if images is not None:
            yield from _wrong_accuracy(path, record, rows, images)


def _wrong_accuracy(path: str, record: Record, rows: PredictionRows, images: dict[str, str]) -> Iterable[str]:
    matched = record.get("labels", {})
    found = accuracy.share_right(rows, accuracy.expected(images, matched))
    if not _same(record["accuracy"], found):
        yield f"{path}: accuracy {record['accuracy']}, expected {found} from its predictions and the manifest"
    for label, other in accuracy.contradicted(matched, {label for _, label, _ in rows}):
        yield f"{path}: labels: {label} is {other}, expected what its text and the predictions say"


def check_flags(evidence: Evidence) -> Iterable[str]:
    """A record is flagged if, and only if, its passes and quiet probes say so."""
    for path, record in evidence.good.items():
        effective, asked = record["effective_batch_size"], record["batch_size"]
        expected = {
            "images lost": any(one["valid"] < record["images"] for one in record["passes"][1:]),
            "labels changed between passes": any(one["changed"] for one in record["passes"]),
            "batch size not reached": effective is not None and asked is not None and effective < asked,
        }
        if record["measuring"].get("passes"):
            passes = [Pass(one["seconds"], one["settling_seconds"]) for one in record["passes"]]
            course = follow(Passes(**record["measuring"]["passes"]), record["images"], passes)
            expected[UNSTEADY] = not course.settled
            if [one["phase"] for one in record["passes"]] != course.phases() or not _alike(
                record["steady"], course.steady()
            ):
                yield f"{path}: its phases and `steady` are not those that its passes give"
        if record["quiet"] is not None:
            expected["suspect"] = bool(_findings(record) or record["quiet"]["findings"])
        for flag, raised in expected.items():
            if (flag in record["flags"]) != raised:
                had, wanted = ("not ", "") if raised else ("", "not ")
                yield f"{path}: {had}flagged `{flag}`, expected {wanted}flagged by its passes and quiet probes"


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two objects `steady` say the same."""
    seconds = "warm_up_seconds"
    return one | {seconds: 0} == other | {seconds: 0} and _same(one[seconds], other[seconds])


def _findings(record: Record) -> list[str]:
    """What the findings are in a record's probes by the limits that it was measured with, if it has any."""
    found, limits = record["quiet"], record["measuring"].get("quiet")
    if not limits:
        return []
    return quiet.findings(found["before"], found["after"], found["during"], found["reference"], quiet.Limits(**limits))


def check_attempts(evidence: Evidence) -> Iterable[str]:
    """Only attempts that were suspect were set aside, and each was made before the next."""
    for path, record in evidence.records.items():
        for number, attempt in enumerate(record["attempts"]):
            if attempt["status"] == "ok" and "suspect" not in attempt["flags"]:
                yield f"{path}: attempt {number} was set aside, expected to be kept: not suspect"
        times = [began(one) for one in (*record["attempts"], record)]
        if times != sorted(times):
            yield f"{path}: its attempts are not in the order of their times, expected each before the next"


# --- all of them together ---------------------------------------------------------------------------------------------


def check_identity(evidence: Evidence) -> Iterable[str]:
    """One machine, protocol, model and, for each data set and variant, the same files."""
    facts: dict[str, Callable[[Record], tuple[Any, Any]]] = {
        "machine": lambda one: ("", one["machine"]),
        "processor": lambda one: ("", machine.processor_line(one["environment"])),
        "the machine's description": lambda one: ("", one["environment"].get("machine")),
        "protocol": lambda one: ("", one["protocol"]),
        "model": lambda one: ("", (one["model"], one["identity"].get("model"))),
        "data set": lambda one: (one["dataset"], one["identity"].get("dataset")),
        "number of images": lambda one: (one["dataset"], one["images"]),
        "hash of the manifest": lambda one: (one["dataset"], one["hashes"].get("manifest")),
        "definition": lambda one: (variant(one), one["identity"].get("definition")),
        "hash of the model": lambda one: (variant(one), one["hashes"].get("model")),
        "hash of the jars": lambda one: ((variant(one), one["device"]), one["hashes"].get("jars")),
    }
    for name, fact in facts.items():
        groups: dict[Any, dict[Any, list[str]]] = defaultdict(lambda: defaultdict(list))
        for path, record in evidence.planned.items():
            group, value = fact(record)
            groups[group][_text(value)].append(path)
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


def check_parity(evidence: Evidence) -> Iterable[str]:
    """The variants give the baseline's labels; one of another precision may not, and has no ratio then."""
    grid = evidence.grid or {"baseline": BASELINE, "agreement": AGREEMENT}
    if grid["baseline"] not in {variant(record) for record in evidence.planned.values()}:
        raise NotChecked(f"no record of a baseline, {grid['baseline']}")
    if len({(one["machine"], one["protocol"], one["model"]) for one in evidence.planned.values()}) > 1:
        raise NotChecked("records of several machines, protocols or models")
    known = {path: rows for path in evidence.planned if (rows := evidence.predictions(path)) is not None}
    rows = [records.to_row(evidence.planned[path], "live", path) for path in known]

    def predictions(path: str) -> list[tuple[str, str, float | None]]:
        return [(image, label, float(score) if score else None) for image, label, score in known[path]]

    def labels(role: str) -> dict[str, str]:
        """As the manifest has them; without one, all images that anybody classified, without labels."""
        seen = [row[0] for path in known if evidence.planned[path]["dataset"] == role for row in known[path]]
        return evidence.images.get(role) or dict.fromkeys(seen, "")

    table = pandas.DataFrame(rows, columns=tables.COLUMNS["runs"])
    compared = parity.parity(table, grid["baseline"], predictions, labels, grid["agreement"])
    ran_in = {cell_name(row): row["precision"] for row in rows}
    for row in compared.itertuples():
        if not row.passed and row.compared and ran_in[row.candidate] == ran_in[row.baseline]:
            yield f"{row.candidate} on {row.dataset}: {row.reason}; expected the labels of {row.baseline}"


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


CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "paths": check_places,
    "numbers": check_numbers,
    "parts": check_parts,
    "predictions": check_predictions,
    "flags": check_flags,
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


def _same(stated: float | None, expected: float | None) -> bool:
    if stated is None or expected is None:
        return stated is expected
    return isclose(stated, expected, rel_tol=PRECISION, abs_tol=PRECISION)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _folder_of_choice(path: str, record: Record, grid: dict[str, Any] | None) -> str:
    """Folder of the choice that a record rests on: that of its variant's full run, as the grid knows."""
    folder = PurePosixPath(path).parent
    if grid is None or role_of(record["dataset"]) != SIZES:
        return str(folder)
    *above, _, framework, variant_slug, device, workers, size = folder.parts
    return str(PurePosixPath(*above, grid["datasets"]["full"]["slug"], framework, variant_slug, device, workers, size))


def _unusable(record: Record) -> list[str]:
    """What the schema lets pass and no other check could work with."""
    wrong = []
    for started in (record["started"], *(attempt["started"] for attempt in record["attempts"])):
        try:
            aware = datetime.fromisoformat(started).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            wrong.append(f"started {started}, expected a date and time with its zone")
    if not all(size.isdigit() for size in record["effective_batch_sizes"] or {}):
        wrong.append("effective_batch_sizes with a word for a size, expected numbers")
    if record["status"] == "ok" and (found := record["quiet"]):
        needed = (*quiet.CANARY, "free_memory_bytes")
        wrong += [
            f"quiet.{when} without {name}, expected a number"
            for when in ("before", "after")
            for name in needed
            if found[when][name] is None
        ]
    for name, settings in (("passes", Passes), ("quiet", quiet.Limits)):
        stated = record["measuring"].get(name)
        if stated and not (isinstance(stated, dict) and stated.keys() == {one.name for one in fields(settings)}):
            wrong.append(
                f"measuring.{name} {_text(stated)}, expected {', '.join(one.name for one in fields(settings))}"
            )
    return wrong


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
