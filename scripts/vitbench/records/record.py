"""Records: the JSON file that one repeat writes, its schema, and the runs table that they become."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from vitbench import processor
from vitbench.errors import UserError
from vitbench.files import HOME, plain_cell, write_atomically
from vitbench.frameworks import multiplies_with, terms
from vitbench.tables import COLUMNS

# Version of what a record holds: older ones are refused.
SCHEMA = 2


@cache
def _validator():
    import jsonschema
    import yaml

    path = HOME / "config" / "schema" / "record.schema.yaml"
    return jsonschema.Draft202012Validator(yaml.safe_load(path.read_text()))


@cache
def may_be_null() -> tuple[str, ...]:
    """The fields of a record that may be null: what is not known of a repeat that gave no number."""
    validator = _validator()
    properties = validator.schema["properties"]
    return tuple(name for name, schema in properties.items() if validator.evolve(schema=schema).is_valid(None))


def kept(facts: dict[str, Any], part: str = "") -> dict[str, Any]:
    """Those of the facts that a record has a field for, or its part, or each entry of a part that is a list."""
    schema = _validator().schema
    inside = schema
    if part:
        inside = schema["properties"][part]
        inside = inside.get("items", inside)
        if "$ref" in inside:
            inside = schema["$defs"][inside["$ref"].rpartition("/")[2]]
    return {name: value for name, value in facts.items() if name in inside["properties"]}


def problems(record: Any) -> list[str]:
    """What is wrong with a record, in one line each; empty if it fits the schema and its numbers fit each other."""
    if isinstance(record, dict) and record.get("schema", SCHEMA) != SCHEMA:
        return [f"it was written under schema {record['schema']}, which cannot be compared with schema {SCHEMA}"]
    found = [
        f"{error.json_path}: {error.message}"
        for error in sorted(_validator().iter_errors(record), key=lambda e: e.path)
    ]
    return found or _contradictions(record)


def faults(record: Any) -> list[str]:
    """The same as `problems`, for whoever reads thousands: of a valid record it is known far sooner that it is one.

    The compiled schema only says yes; what it does not, `problems` looks at, so that both always say the same.
    """
    accepted = _compiled()
    return _contradictions(record) if accepted and accepted(record) else problems(record)


@cache
def _compiled() -> Callable[[Any], bool] | None:
    """Whether a record surely fits the schema, by code that is made of the schema once.

    None in an environment without the compiler (that of one framework alone, which reads few records).
    """
    if find_spec("fastjsonschema") is None:
        return None
    import fastjsonschema

    # Formats are not looked at by `problems` either. The compiler writes into the schema that it is given.
    how = {"use_default": False, "use_formats": False}
    check = fastjsonschema.compile(copy.deepcopy(_validator().schema), **how)

    def accepted(record: Any) -> bool:
        try:
            check(record)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return accepted


def _contradictions(record: dict[str, Any]) -> list[str]:
    """Where the numbers of a record that fits the schema do not fit each other."""
    if record["status"] != "ok":
        return []
    images = record["throughput"] * record["wall_seconds"]
    if abs(images - record["valid_predictions"]) < 0.5:
        return []
    return [f"throughput x wall_seconds = {images:.2f}, not the {record['valid_predictions']} predictions"]


def check(path: Path, record: dict[str, Any]) -> None:
    """Raise a ValueError if the record for `path` does not fit its schema, which is a mistake of ours."""
    if found := problems(record):
        raise ValueError(f"the record for {path} is not valid: {'; '.join(found)}")


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record atomically; one that does not fit its schema is not written.

    Raises:
        ValueError: the record does not fit the schema.
    """
    check(path, record)
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read and check a record.

    Raises:
        UserError: it is not JSON, or does not fit the schema.
    """
    try:
        record = json.loads(Path(path).read_text())
    except ValueError as error:
        raise UserError(f"{path} is not a record ({error}): remove it to measure it again") from error
    if found := faults(record):
        raise UserError(f"{path} is not a valid record ({found[0]}): remove it to measure it again")
    return record


def seconds_of_passes(record: dict[str, Any]) -> float:
    """What all passes of a repeat took together, short ones included."""
    short = record.get("short_passes") or {"seconds": 0.0}
    return short["seconds"] + sum(one["seconds"] for one in record["passes"])


def lost_seconds(passes: list[dict[str, Any]]) -> float | None:
    """What the losses of a cluster cost: by how much the passes in which something was lost, and the one after each, in
    which a new executor is cold, took longer than the median of the others. Pass 0 is no measure of either. None where
    nothing was lost, or no other pass is there.
    """
    hit = {place for place, one in enumerate(passes) if one.get("executors_lost") or one.get("tasks_retried")}
    slowed = {place for each in hit for place in (each, each + 1) if 0 < place < len(passes)}
    others = [one["seconds"] for place, one in enumerate(passes) if place and place not in slowed]
    if not slowed or not others:
        return None
    return sum(passes[place]["seconds"] for place in slowed) - len(slowed) * median(others)


def predictions_path(record: Path) -> Path:
    """Where the predictions of a record's repeat lie."""
    return record.with_name(f"{record.stem}.predictions.csv")


def read_predictions(path: Path) -> list[tuple[str, str, float | None]]:
    """(id, label, score or None) of each prediction of a repeat's last pass, duplicates included.

    Raises:
        UserError: the file is missing.
    """
    if not Path(path).exists():
        raise UserError(f"{path} is missing: remove the record beside it too, to measure both again")
    with open(path, newline="", encoding="utf-8") as handle:
        rows = csv.reader(handle)
        next(rows)
        return [(image, plain_cell(label), float(score) if score else None) for image, label, score in rows]


def to_row(record: dict[str, Any], source: str, path: str) -> dict[str, Any]:
    """One row of the runs table (keys: `tables.COLUMNS["runs"]`; None where a value is missing) from a record."""
    row: dict[str, Any] = {column: record.get(column) for column in COLUMNS["runs"]}
    row["source"], row["record"] = source, path
    row["pass_seconds"] = ";".join(f"{one['seconds']:.6g}" for one in record["passes"])
    for fact in ("collecting_seconds", "memory_mb", "celsius"):
        known = [one.get(fact) for one in record["passes"]]
        told = any(value is not None for value in known)
        row[f"pass_{fact}"] = ";".join("" if value is None else f"{value:.6g}" for value in known) if told else ""
    short = record.get("short_passes") or {}
    row["short_passes"], row["short_pass_seconds"] = short.get("count", 0), short.get("seconds", 0.0)
    steady = record["steady"] or dict.fromkeys(("classification", "reason", "warm_up_images", "warm_up_seconds"))
    row["steady"], row["steady_because"] = steady["classification"], steady["reason"]
    row["warm_up_images"], row["warm_up_seconds"] = steady["warm_up_images"], steady["warm_up_seconds"]
    row["last_change"] = steady.get("last_change")
    for histogram in ("effective_batch_sizes", "partition_rows"):
        row[histogram] = ";".join(f"{size}:{count}" for size, count in (record[histogram] or {}).items())
    row["flags"] = ";".join(record["flags"])
    row["attempts"] = len(record["attempts"])
    row["set_aside_seconds"] = sum(attempt["total_seconds"] for attempt in record["attempts"])
    row["quiet_seconds"] = record["quiet"]["seconds"] if record["quiet"] else 0.0
    row["canary_gemm"] = relative_canary(record["quiet"], "gemm_gflops")
    row["canary_decode"] = relative_canary(record["quiet"], "decode_per_second")
    row["suspect_because"] = "; ".join(record["quiet"]["findings"]) if record["quiet"] else ""
    for share in ("steal_share", "foreign_cpu_share"):
        spans = [record["quiet"].get(span) for span in ("during", "timed")] if record["quiet"] else []
        row[share] = max((one[share] for one in spans if one and one[share] is not None), default=None)
    energy = record["energy"] or {"joules": None, "source": None}
    row["energy_joules"], row["energy_source"] = energy["joules"], energy["source"]
    hashes = record["hashes"]
    row["code"] = hashes.get("measuring_code", "")[:12]
    row["model_hash"], row["data_hash"] = hashes.get("model", "")[:12], hashes.get("manifest", "")[:12]
    definition = record["identity"].get("definition") or {}
    row["library"], row["product_precision"] = multiplies_with(
        record["framework"], definition, record["device"], record["precision"]
    )
    row["cores"], row["machines"] = cores_of(record), machines_of(record)
    row["declared"] = ";".join(terms(record["framework"], definition))
    row["processor"] = processor.line(record["environment"]) or ""
    row["packages"] = ";".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))
    return row


def seconds_taken(record: Mapping[str, Any]) -> float:
    """Seconds that a repeat took, attempts that were set aside included."""
    return record["total_seconds"] + sum(attempt["total_seconds"] for attempt in record["attempts"])


def cores_of(record: dict[str, Any]) -> int | None:
    """Cores that a repeat could use: of its machine, or of all workers of its cluster, or as many as the slots that its
    variant is held to have threads; None if nobody wrote it down.
    """
    if cluster := record.get("cluster"):
        return record["workers"] * cluster["cores"]
    if "slots" in record["identity"].get("definition", {}) and record["slots"]:
        return record["slots"] * record["threads"]
    return record["environment"].get("cores")


def machines_of(record: dict[str, Any]) -> int:
    """On how many machines a repeat ran: one, unless the workers of its cluster are elsewhere, one on each."""
    cluster = record.get("cluster")
    return record["workers"] if cluster and not cluster["here"] else 1


def relative_canary(quiet: dict[str, Any] | None, part: str) -> float | None:
    """The slower of a repeat's canaries in this part (of CANARY), relative to the reference; None if unknown."""
    if not quiet or not quiet["reference"]:
        return None
    return min(quiet[when][part] for when in ("before", "after")) / quiet["reference"][part]
