"""Records: what is one, what is refused and why, and the row that it becomes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from example_records import example_record, one_pass

from vitbench import cells, tables
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.records import record as records

SCHEMA = yaml.safe_load((HOME / "config" / "schema" / "record.schema.yaml").read_text())
# Columns that a record does not have under their own names.
# Columns from what the record says under `steady` and `short_passes`.
OF_STEADY = (
    "steady", "steady_because", "warm_up_images", "warm_up_seconds", "last_change",
    "short_passes", "short_pass_seconds",
)  # fmt: skip
DERIVED = (
    "partition_rows", "attempts", "set_aside_seconds", "quiet_seconds", "canary_gemm", "canary_decode", "steal_share",
    "foreign_cpu_share", "suspect_because", "energy_joules", "energy_source", "code", "packages", "model_hash",
    "data_hash", "processor", "library", "product_precision", "declared", "cores", "machines", "out_of_turn",
    "pass_collecting_seconds", "pass_memory_mb", "pass_celsius",
)  # fmt: skip
FAILED = {"wall_seconds": None, "throughput": None, "valid_predictions": None, "accuracy": None}


def test_a_valid_record_passes_and_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "deep" / "rep0.json"
    record = example_record(setting="ünïcode ≥ 1", flags=["no steady state", "suspect"])
    assert records.problems(record) == []
    records.write(path, record)
    assert records.read(path) == record
    assert [file.name for file in path.parent.iterdir()] == ["rep0.json"]


def test_a_failed_repeat_is_a_valid_record_too():
    failed = example_record(
        status="oom", reason="killed", passes=[], timed_passes=0, steady=None, cold_seconds=None, **FAILED
    )
    assert records.problems(failed) == []


@pytest.mark.parametrize("field", sorted(SCHEMA["required"]))
def test_a_missing_field_is_named(field):
    record = example_record()
    del record[field]
    assert any(f"'{field}' is a required property" in line for line in records.problems(record))


def test_every_field_is_required_and_described_by_the_example():
    # Records of the first campaigns have no `labels`, since their models had all, and say nothing of their kernels, nor
    # of what measured them.
    # Those of frameworks that plan no pass have no short ones, those of one node nothing of a cluster, and those that
    # have one way in and out say nothing of it.
    optional = {"labels", "executed", "vitbench", "short_passes", "cluster", "input", "sink"}
    assert set(SCHEMA["required"]) | optional == set(SCHEMA["properties"]) == example_record().keys()


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        ({"wall_seconds": -3.0}, "$.wall_seconds"),
        ({"load_seconds": -0.1}, "$.load_seconds"),
        ({"start_seconds": "1.5"}, "$.start_seconds"),
        ({"total_seconds": None}, "$.total_seconds"),
        ({"status": "fine"}, "$.status"),
        ({"status": "skipped"}, "$.status"),
        ({"flags": ["odd"]}, "$.flags[0]"),
        ({"flags": "no steady state"}, "$.flags"),
        ({"accuracy": 1.2}, "$.accuracy"),
        ({"batch_size": 0}, "$.batch_size"),
        ({"batch_size": "best"}, "$.batch_size"),
        ({"device": "tpu"}, "$.device"),
        ({"dataset": "test"}, "$.dataset"),
        ({"machine": "My Machine"}, "$.machine"),
        ({"images": 0}, "$.images"),
        ({"repeat": -1}, "$.repeat"),
        ({"effective_batch_sizes": {"4": 0}}, "$.effective_batch_sizes"),
        ({"passes": [one_pass(0.0)]}, "$.passes[0].seconds"),
        ({"passes": [one_pass(1.0, lost="i1")]}, "$.passes[0].lost"),
        ({"passes": [one_pass(1.0, note="x")]}, "$.passes[0]"),
        ({"comment": "mine"}, "$: "),
    ],
)
def test_a_fault_is_named_with_its_place(fault, place):
    found = records.problems(example_record(**fault))
    assert any(line.startswith(place) for line in found), found
    assert records.faults(example_record(**fault)) == found


def test_a_valid_record_is_known_by_the_compiled_schema_alone(monkeypatch):
    monkeypatch.setattr(records, "problems", lambda _: pytest.fail("the slow way was taken"))
    failed = example_record(status="oom", passes=[], timed_passes=0, steady=None, cold_seconds=None, **FAILED)
    attempt = {"started": "2026-11-23T14:01:02+00:00", "status": "ok", "wall_seconds": 1.0, "pass_seconds": [1.0],
               "flags": ["suspect"], "reason": None, "quiet": None, "total_seconds": 9.5}  # fmt: skip
    assert records.faults(example_record()) == records.faults(failed) == []
    assert records.faults(example_record(attempts=[attempt])) == []
    assert "throughput x wall_seconds" in records.faults(example_record(throughput=2.5))[0]


@pytest.mark.parametrize("what", [[], "record", 3, None, {"schema": 1}, {}])
def test_what_is_no_record_is_told_alike_in_both_ways(what):
    assert records.faults(what) == records.problems(what) != []


def test_without_the_compiler_records_are_checked_all_the_same(monkeypatch):
    monkeypatch.setattr(records, "_compiled", lambda: None)
    assert records.faults(example_record()) == [] and records.faults(example_record(images=0))


@pytest.mark.parametrize("schema", [1, "2", None])
def test_a_record_of_another_schema_is_refused_with_one_line_that_says_so(schema):
    (line,) = records.problems({"schema": schema, "warm_passes": 2})
    assert f"schema {schema}" in line and f"schema {records.SCHEMA}" in line


def test_an_extra_field_is_named():
    assert any("'comment'" in line for line in records.problems(example_record(comment="mine")))


def test_a_rate_that_does_not_fit_its_time_is_found():
    assert records.problems(example_record(throughput=2.1)) == []  # 6.3 images: rounding may do that
    assert "throughput x wall_seconds = 7.50" in records.problems(example_record(throughput=2.5))[0]
    assert records.problems(example_record(wall_seconds=30.0))


@pytest.mark.parametrize("field", ["wall_seconds", "throughput", "valid_predictions"])
def test_a_record_that_is_ok_without_its_number_is_found(field):
    assert any(field in line for line in records.problems(example_record(**{field: None})))


@pytest.mark.parametrize("what", [[], "record", 3, None])
def test_something_else_is_no_record(what):
    assert records.problems(what)


def test_an_invalid_record_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="wall_seconds"):
        records.write(tmp_path / "new" / "rep0.json", example_record(wall_seconds=-1))
    assert list(tmp_path.iterdir()) == []
    records.write(tmp_path / "rep0.json", example_record())
    with pytest.raises(ValueError, match="status"):
        records.write(tmp_path / "rep0.json", example_record(status="fine"))
    assert records.read(tmp_path / "rep0.json") == example_record()


@pytest.mark.parametrize("content", ['{"schema": 1', "", "[]", json.dumps(example_record(status="fine"))])
def test_a_file_that_is_no_record_is_one_line_that_names_it(tmp_path, content):
    path = tmp_path / "rep0.json"
    path.write_text(content)
    with pytest.raises(UserError) as raised:
        records.read(path)
    assert str(path) in str(raised.value) and "remove it" in str(raised.value) and "\n" not in str(raised.value)


# --- rows of the runs table


def test_a_row_has_the_fixed_columns_first_and_then_those_of_the_tables():
    design = (
        "source machine protocol model dataset images framework variant device workers batch_size effective_batch_size "
        "repeat status wall_seconds cold_seconds throughput"
    )
    row = records.to_row(example_record(), "live", "measurements/rep0.json")
    assert list(row)[:17] == design.split()
    assert tuple(row) == tables.COLUMNS["runs"]


def test_a_row_says_what_its_record_says():
    record = example_record(flags=["no steady state", "suspect"], effective_batch_sizes={"16": 2, "1": 1})
    row = records.to_row(record, "live", "measurements/rep0.json")
    assert (row["source"], row["record"]) == ("live", "measurements/rep0.json")
    assert row["pass_seconds"] == "4.5;3.1;2.9"
    assert row["effective_batch_sizes"] == "16:2;1:1" and row["flags"] == "no steady state;suspect"
    assert row["steady"] == "flat" and row["steady_because"] == "warm" and row["last_change"] is None
    assert (row["warm_up_images"], row["warm_up_seconds"], row["timed_passes"]) == (6, 4.5, 2)
    assert (row["short_passes"], row["short_pass_seconds"]) == (100, 45.5)
    of_its_own = {"source", "record", "pass_seconds", "effective_batch_sizes", "flags", *OF_STEADY, *DERIVED}
    same = set(tables.COLUMNS["runs"]) - of_its_own
    assert {column: row[column] for column in same} == {column: record[column] for column in same}


def test_a_row_says_how_quiet_the_machine_was_and_what_was_measured_with():
    speeds = {"before": (95.0, 190.0), "after": (90.0, 140.0)}
    probes = {when: {"gemm_gflops": gemm, "decode_per_second": rate} for when, (gemm, rate) in speeds.items()}
    quiet = probes | {"reference": {"gemm_gflops": 100.0, "decode_per_second": 200.0}}
    quiet["seconds"], quiet["findings"] = 2.5, ["on battery power", "3.1 GB free before"]
    quiet["during"] = {"steal_share": 0.01, "foreign_cpu_share": None}
    record = example_record(
        quiet=quiet,
        attempts=[{"total_seconds": 30.0}],
        energy={"joules": 12.5, "source": "rapl", "quality": "counter"},
        partition_rows={"16": 2},
        versions={"torch": "2", "numpy": "1"},
        hashes={"measuring_code": "c" * 64, "model": "m" * 64, "manifest": "d" * 64},
    )
    row = records.to_row(record, "live", "p")
    assert {column: row[column] for column in DERIVED} == {
        "partition_rows": "16:2",
        "attempts": 1,
        "set_aside_seconds": 30.0,
        "quiet_seconds": 2.5,
        "canary_gemm": pytest.approx(0.9),
        "canary_decode": pytest.approx(0.7),
        "suspect_because": "on battery power; 3.1 GB free before",
        "steal_share": 0.01,
        "foreign_cpu_share": None,
        "energy_joules": 12.5,
        "energy_source": "rapl",
        "code": "c" * 12,
        "packages": "numpy 1;torch 2",
        "model_hash": "m" * 12,
        "data_hash": "d" * 12,
        "processor": "",  # the fingerprint of an example says too little
        "library": None,
        "product_precision": "float32",
        "cores": None,  # nor how many there were
        "machines": 1,
        "declared": "",  # a framework that is not here
        "out_of_turn": None,  # known when all repeats are
        "pass_collecting_seconds": "",  # its passes tell nothing of these
        "pass_memory_mb": "",
        "pass_celsius": "",
    }


def test_a_row_of_a_failed_repeat_has_empty_cells():
    failed = example_record(status="timeout", passes=[], steady=None, effective_batch_sizes=None, **FAILED)
    row = records.to_row(failed, "live", "p")
    assert (row["pass_seconds"], row["effective_batch_sizes"], row["flags"], row["wall_seconds"]) == ("", "", "", None)
    short = {"short_passes", "short_pass_seconds"}  # were made before it failed
    assert {column: row[column] for column in OF_STEADY if column not in short} == dict.fromkeys(set(OF_STEADY) - short)


def test_a_cell_is_named_as_on_the_command_line():
    row = records.to_row(example_record(), "live", "p")
    assert cells.cell_name(row) == "fake/told/cpu/w1/bs4"
    assert cells.cell_name(row | {"batch_size": 16.0, "workers": 2.0}) == "fake/told/cpu/w2/bs16"
    assert cells.cell_name(row | {"batch_size": None}) == "fake/told/cpu/w1/bsbest"
    assert cells.cell_name(row | {"batch_size": float("nan")}) == "fake/told/cpu/w1/bsbest"


# --- predictions


def test_predictions_come_back_whatever_their_labels_hold(tmp_path):
    said = [
        ("a,b", 'tench, "Tinca tinca"', 0.1234567890123),
        ("c", "two\nlines", None),
        ("c", "", 1.0),
        ("d;e", "château \u2028 'x'", 1e-12),
    ]
    path = tmp_path / "rep0.predictions.csv"
    with open(path, "w", newline="") as handle:
        csv.writer(handle).writerows([("id", "label", "score"), *said])
    assert records.read_predictions(path) == said


@pytest.mark.parametrize(("definition", "slots", "cores"), [({}, 1, 4), ({"slots": 1}, 1, 1), ({"slots": 7}, 4, 4)])
def test_a_variant_that_is_held_to_fewer_slots_could_use_no_more_cores(definition, slots, cores):
    changes = {"slots": slots, "threads": 1, "environment": {"cores": 4}, "identity": {"definition": definition}}
    assert records.cores_of(example_record(**changes)) == cores


def test_predictions_lie_beside_their_record():
    path = records.predictions_path(Path("measurements/bs8/rep2.json"))
    assert path == Path("measurements/bs8/rep2.predictions.csv")
