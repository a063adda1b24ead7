"""The checker finds nothing wrong with what a run writes, and names what somebody changed in it."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import check_records
import planted
import pytest
from tampering import change, paths, probed, reasons, refer, rewrite, scaled, shares, shortened

from vitbench.campaigns import checker
from vitbench.campaigns.checks.copies import check_answers
from vitbench.campaigns.checks.records import check_short_passes
from vitbench.campaigns.packing import pack
from vitbench.errors import UserError
from vitbench.files import sha256
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid
from vitbench.records.archive import open_archive
from vitbench.records.record import predictions_path
from vitbench.records.turns import out_of_turn

HOME = Path(__file__).parents[2]


def shifted(rows: list[list[str]]) -> list[list[str]]:
    """Each image gets the label of the one before."""
    labels = [row[1] for row in rows]
    return [[row[0], label, row[2]] for row, label in zip(rows, labels[-1:] + labels[:-1], strict=True)]


def test_a_finished_run_is_sound_and_everything_in_it_was_checked(sound, capsys):
    found, made, not_made = checker.check(open_archive(sound))
    assert found == []
    assert not_made == ["hashes: no campaign"]
    assert set(made) == {"schema", *checker.CHECKS} - {"hashes"}
    assert check_records.main([str(sound)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and "30 records are sound" in lines[0] and "not checked: hashes: no campaign" in lines[0]


def test_its_measurements_alone_say_what_could_not_be_checked(sound, tmp_path):
    alone = Path(shutil.copytree(sound / "measurements", tmp_path / "sent" / "measurements"))
    for folder in (alone, alone.parent, next(alone.iterdir())):
        found, made, not_made = checker.check(open_archive(folder))
        assert found == []
        assert "parity" in made and "blocks" in made
        assert any(one.startswith("order: the seed is not known") for one in not_made)
        assert any(one.startswith("manifests: no manifest") for one in not_made)


def test_without_a_peak_physics_is_not_checked(run):
    next(run.glob("measurements/**/peak.json")).unlink()
    outrun_the_machine(run)
    found, made, not_made = checker.check(open_archive(run))
    assert not [one for one in found if "GFLOP/s" in one] and "physics" not in made
    assert "physics: no peak.json of this machine and model" in not_made


def test_the_highest_rate_of_all_libraries_is_the_peak(run):
    path = next(run.glob("measurements/**/peak.json"))
    beside = path.with_name("peak+openvino.json")
    measured = path.read_text()

    def times(factor: float) -> str:
        changed = json.loads(measured)
        for one in changed["rates"] + changed["peak"]:
            one["gflops"] *= factor
        return json.dumps(changed)

    path.write_text(times(0.01))
    assert "GFLOP/s of this machine" in " ".join(checker.check(open_archive(run))[0])
    beside.write_text(measured)
    assert checker.check(open_archive(run))[0] == []
    beside.write_text(times(20))
    (found,) = checker.check(open_archive(run))[0]
    assert beside.name in found and "the fastest canary's" in found


def edit_throughput(run):
    path = paths(run, "bs8")[0]
    change(path, throughput=json.loads(path.read_text())["throughput"] * 1.2)


def edit_time_and_throughput(run):
    path = paths(run, "tensorflow", "bs8")[0]
    before = json.loads(path.read_text())
    change(path, wall_seconds=before["wall_seconds"] / 2, throughput=before["throughput"] * 2)


def add_a_key(run):
    change(paths(run)[3], comment="measured by hand")


def write_a_word_for_a_number(run):
    change(paths(run)[3], wall_seconds="fast")


def break_a_record(run):
    paths(run)[3].write_text('{"schema": 1,')


def write_no_date(run):
    change(paths(run)[3], started="yesterday")


def write_a_time_without_its_zone(run):
    path = paths(run)[3]
    change(path, started=json.loads(path.read_text())["started"].removesuffix("+00:00"))


def write_other_settings(run):
    change(paths(run)[3], measuring={"passes": {"agree": 0.5}})


def write_a_word_for_a_size(run):
    change(paths(run)[3], effective_batch_sizes={"eight": 4})


def remove_a_block(run):
    path = paths(run, "huggingface", "bs1/rep1")[0]
    path.unlink()
    predictions_path(path).unlink()


def remove_a_cell(run):
    shutil.rmtree(paths(run, "tensorflow", "bsbest")[0].parent)


def swap_two_of_a_block(run):
    one, two = sorted(paths(run, "sample", "rep1"), key=lambda path: json.loads(path.read_text())["order"])[1:3]
    first, second = json.loads(one.read_text()), json.loads(two.read_text())
    change(one, order=second["order"], started=second["started"])
    change(two, order=first["order"], started=first["started"])


def measure_one_again_later(run):
    path = paths(run, "sample", "rep0")[2]
    later = datetime.fromisoformat(json.loads(path.read_text())["started"]) + timedelta(hours=5)
    change(path, started=later.isoformat())


def measure_two_at_once(run):
    one, two = sorted(paths(run, "full"), key=lambda path: json.loads(path.read_text())["order"])[:2]
    begin = datetime.fromisoformat(json.loads(one.read_text())["started"])
    change(two, started=(begin + timedelta(seconds=2)).isoformat())


def copy_a_repeat(run):
    one, two = paths(run, "full", "tensorflow")[:2]
    first, second = json.loads(one.read_text()), json.loads(two.read_text())
    kept = ("repeat", "block", "order", "started")
    two.write_text(json.dumps(first | {key: second[key] for key in kept}))


def copy_a_file(run):
    one, two = paths(run, "full", "tensorflow")[:2]
    shutil.copy(one, two)


def shift_the_labels(run):
    for path in paths(run, "tensorflow", "full"):
        rewrite(path, shifted)
        change(path, accuracy=0.0)


def shift_the_labels_of_one(run):
    rewrite(paths(run, "tensorflow", "full")[0], shifted)


def drop_an_image(run):
    rewrite(paths(run, "bs8")[0], lambda rows: rows[1:])


def answer_twice(run):
    rewrite(paths(run, "bs8")[0], lambda rows: rows + rows[:1])


def remove_predictions(run):
    predictions_path(paths(run)[0]).unlink()


def lose_an_image_without_a_flag(run):
    path = paths(run, "bs8")[0]
    record = json.loads(path.read_text())
    passes = [one | {"valid": 31, "lost": ["sample-000"]} for one in record["passes"]]
    change(path, passes=passes, valid_predictions=31, throughput=31 / record["wall_seconds"], accuracy=31 / 32)
    rewrite(path, lambda rows: rows[1:])


def lose_an_executor_without_a_flag(run):
    lost = {"executors_lost": 1, "why_lost": ["exited"], "tasks_retried": 1}
    size = {"master": "standalone", "here": True, "executors": 2, "cores": 1, "memory_mb": 4096, "pinned": True}
    change(paths(run, "tensorflow", "bs8")[0], cluster=size | lost)


def remove_a_flag(run):
    path = paths(run)[0]
    change(path, quiet=probed(json.loads(path.read_text()), "after", gemm_gflops=50.0))


def invent_a_flag(run):
    change(paths(run)[0], flags=["no steady state"])


def set_a_good_attempt_aside(run):
    path = paths(run)[0]
    record = json.loads(path.read_text())
    attempt = {"status": "ok", "wall_seconds": 3.0, "pass_seconds": [3.0, 3.0], "flags": [], "reason": None}
    earlier = datetime.fromisoformat(record["started"]) - timedelta(seconds=50)
    change(path, attempts=[attempt | {"started": earlier.isoformat(), "quiet": record["quiet"], "total_seconds": 9.0}])


def another_machine(run):
    path = paths(run)[4]
    change(path, environment=json.loads(path.read_text())["environment"] | {"machine": "a faster machine"})


def another_model(run):
    path = paths(run, "tensorflow")[0]
    change(path, hashes=json.loads(path.read_text())["hashes"] | {"model": "of another model"})


def another_manifest(run):
    path = next(run.glob("resources/datasets/full*/manifest.csv"))
    path.write_text(path.read_text().replace("coffee", "espresso"))


def another_batch_size(run):
    for path in paths(run, "full", "tensorflow"):
        change(path, batch_size=1, effective_batch_size=1, effective_batch_sizes={"1": 48})


def another_batch_size_of_a_control(run):
    for path in paths(run, "full", "pipeline-control"):
        change(path, batch_size=1, effective_batch_size=1, effective_batch_sizes={"1": 48})


def warm_up_otherwise(run):
    """One framework of a block alone, as after an interruption and an edit."""
    path = paths(run, "full", "tensorflow")[0]
    measuring = json.loads(path.read_text())["measuring"]
    change(path, measuring=measuring | {"passes": measuring["passes"] | {"warm_seconds": 0.5}})


def outrun_the_machine(run):
    """Everything about it fits, but no machine like this one multiplies so fast."""
    path = paths(run, "tensorflow", "bs8")[0]
    record = json.loads(path.read_text())
    passes = record["measuring"]["passes"] | {"warm_seconds": 0}
    change(path, measuring=record["measuring"] | {"passes": passes}, **shortened(record, 0.001))


def a_peak_that_is_none(run):
    path = next(run.glob("measurements/**/peak.json"))
    path.write_text(path.read_text().replace('"schema": 1', '"schema": "one"'))


def move_a_record(run):
    one, two = paths(run, "bs1/rep0")[0], paths(run, "bs16/rep0")[0]
    shutil.copy(one, two)


FAULTS = {
    edit_throughput: "throughput x wall_seconds",
    edit_time_and_throughput: "the median of its timed passes",
    add_a_key: "'comment' was unexpected",
    write_a_word_for_a_number: "$.wall_seconds: 'fast'",
    break_a_record: "is not JSON",
    write_no_date: "started yesterday, expected a date",
    write_a_time_without_its_zone: "expected a date and time with its zone",
    write_other_settings: "measuring.passes",
    write_a_word_for_a_size: "a word for a size",
    remove_a_block: "bs1: block 1 missing, expected 0 to 2",
    remove_a_cell: "bsbest: block 0, 1, 2 missing",
    swap_two_of_a_block: "there by seed 1",
    measure_one_again_later: "expected its turn in block 0",
    measure_two_at_once: "expected after the end of",
    copy_a_repeat: "expected seconds of its own",
    copy_a_file: "expected what its name says",
    shift_the_labels: "labels equal for 0.0%",
    shift_the_labels_of_one: "from its predictions and the manifest",
    drop_an_image: "lost ['sample-000'], expected []",
    answer_twice: "duplicated ['sample-000'], expected []",
    remove_predictions: "missing or no table",
    lose_an_image_without_a_flag: "not flagged `images lost`",
    lose_an_executor_without_a_flag: "not flagged `work lost`",
    remove_a_flag: "not flagged `suspect`",
    invent_a_flag: "flagged `no steady state`, expected not flagged",
    set_a_good_attempt_aside: "attempt 0 was set aside",
    another_machine: "description a faster machine",
    another_model: "hash of the model of another model",
    warm_up_otherwise: "rule of warm-up and timed passes",
    another_manifest: "that of the manifest of full",
    another_batch_size: "the one that was chosen",
    another_batch_size_of_a_control: "the one that was chosen",
    outrun_the_machine: "GFLOP/s of this machine (ONNX Runtime, float32)",
    a_peak_that_is_none: "expected what peak.schema.yaml says",
    move_a_record: "expected bs16 as in its path",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_was_changed_is_named(run, fault, capsys):
    fault(run)
    assert check_records.main([str(run)]) == 1
    said = capsys.readouterr()
    found = said.out.splitlines()
    assert any(FAULTS[fault] in one for one in found), found
    assert all("expected" in one or "measurements" in one for one in found), found
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("fault", [edit_throughput, add_a_key, copy_a_repeat, drop_an_image, shift_the_labels])
def test_it_is_named_in_the_measurements_alone_too(run, fault):
    """Without grid and manifest, as somebody may send them."""
    fault(run)
    shutil.rmtree(run / "results")
    assert reasons(run / "measurements")


def test_records_of_another_configuration_are_checked_singly(run, capsys):
    """A working directory may hold more than one campaign needs."""
    path = paths(run, "bs8")[0]
    other = path.parents[1] / "bs4" / path.name
    shutil.copytree(path.parent, other.parent)
    for one in other.parent.glob("rep*.json"):
        record = json.loads(one.read_text())
        sizes = {"batch_size": 4, "effective_batch_size": 4, "effective_batch_sizes": {"4": 8}}
        change(one, **scaled(record, 1.01, jitter=0.01), total_seconds=record["total_seconds"] + 9, **sizes)
    assert check_records.main([str(run)]) == 0
    assert "33 records (3 of them of another configuration, checked singly)" in capsys.readouterr().out
    change(other, throughput=99.0)
    assert any("bs4/rep0.json: throughput" in one for one in reasons(run))


def test_what_a_killed_run_left_half_written_is_no_record(run, capsys):
    path = paths(run, "bs8")[0]
    partial = path.parent / f".{path.name}.partial" / path.name
    partial.parent.mkdir()
    shutil.copy(path, partial)
    assert check_records.main([str(run)]) == 0
    assert "30 records are sound" in capsys.readouterr().out


def test_more_blocks_measured_later_are_no_fault(run):
    """`make quick`, then `make standard`: the second run's order counts from its own beginning."""
    grid = Grid(planted.CONFIG | {"repeats": 5})
    provenance = run / "results/provenance"
    (provenance / "grid.json").write_text(json.dumps(grid.describe()))
    for cell, repeat in grid.order:
        if repeat >= 3:
            path = planted.plant(run, grid, cell, repeat)
            later = datetime.fromisoformat(json.loads(path.read_text())["started"]) + timedelta(days=1)
            change(path, started=later.isoformat())
    refer(run)
    assert reasons(run) == []


@pytest.mark.parametrize("name", ["predictions.csv", "measurements.jsonl", "manifests/full.csv", "grid.json"])
def test_an_edit_of_a_packed_campaign_is_named(run, tmp_path, name):
    pack(open_archive(run), "mine", tmp_path, "v1")
    assert reasons(tmp_path / "mine") == []
    path = tmp_path / "mine" / name
    edited = path.read_text().replace("coffee", "rocket").replace('"huggingface"', '"huggingface" ')
    path.write_text(edited + (" " if name == "grid.json" else ""))
    assert f"{name}: was edited, expected what campaign.json lists" in reasons(tmp_path / "mine")


def test_a_throughput_edited_in_a_packed_campaign_is_named_even_with_its_hash(run, tmp_path):
    pack(open_archive(run), "mine", tmp_path, "v1")
    path = tmp_path / "mine" / "measurements.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first = next(line for line in lines if "predictions" in line)
    first["content"]["throughput"] = 99.0
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    about = json.loads((tmp_path / "mine/campaign.json").read_text())
    about["files"]["measurements.jsonl"] = sha256(path)
    (tmp_path / "mine/campaign.json").write_text(json.dumps(about))
    (reason,) = reasons(tmp_path / "mine")
    assert reason.startswith(f"{first['path']}: throughput x wall_seconds")


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir(), lambda folder: folder.touch()])
def test_a_folder_without_records_is_one_line(tmp_path, make):
    make(tmp_path / "sent")
    with pytest.raises(UserError) as raised:
        check_records.main([str(tmp_path / "sent")])
    assert "\n" not in str(raised.value) and "sent" in str(raised.value)


def test_the_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        check_records.main(["--help"])
    assert ended.value.code == 0 and "python scripts/check_records.py" in capsys.readouterr().out


def other(run: Path, monkeypatch, **changes) -> Path:
    """Measure another configuration in the folder of a finished run; the configuration that the folder is of now."""
    monkeypatch.setattr(planted, "IMAGES", {"sample": 31, "full": 47})
    more = run / "other.yaml"
    more.write_text(json.dumps({"datasets": {"sample": "photos-31", "full": "photos-47"}} | changes))
    planted.plant_run(run, Grid(load(more)))
    return run


@pytest.mark.parametrize("changes", [{}, {"repeats": 2}, {"model": "vit-tiny-seeded"}])
def test_two_configurations_one_after_the_other_are_both_sound(run, monkeypatch, changes):
    """Each record is held against the manifest of its own data set, not against that of the last one in its role."""
    assert reasons(other(run, monkeypatch, **changes)) == []


def test_blocks_that_a_larger_configuration_shuffled_are_sound(run):
    """As after `make`, then config/pair.yaml in the same folder: the controls were among the cells of its blocks."""
    path = run / "results" / "provenance" / "grid.json"
    grid = json.loads(path.read_text())
    for seed in range(8):  # of two cells each order is one of two
        fewer = [cell for cell in grid["cells"] if "-control-" not in cell["folder"]]
        assert len(fewer) < len(grid["cells"])
        path.write_text(json.dumps(grid | {"cells": fewer, "seed": seed}))
        assert not [one for one in reasons(run) if "of full, expected" in one and "by seed" in one]


def test_cells_that_happen_to_come_first_in_a_block_of_more_are_sound(run):
    """Their places are those that they would have had alone, and their order is that of the larger shuffle."""
    path = run / "results" / "provenance" / "grid.json"
    grid = json.loads(path.read_text())
    full = [cell for cell in grid["cells"] if cell["dataset"] == "full"]
    full.sort(key=lambda cell: json.loads((run / cell["folder"] / "rep0.json").read_text())["order"])
    others = [cell for cell in grid["cells"] if cell["dataset"] != "full"]
    for seed in range(8):
        path.write_text(json.dumps(grid | {"cells": others + full[:2], "seed": seed}))
        assert not [one for one in reasons(run) if "of full, expected" in one and "by seed" in one]


def test_the_record_of_another_configuration_is_still_checked(run, monkeypatch):
    lied = paths(run, "huggingface", "bs8", "sample")[0]
    other(run, monkeypatch)
    change(lied, accuracy=0.5, images=30)
    found = reasons(run)
    assert any("accuracy 0.5, expected 1.0" in one for one in found)
    assert any("30 images, expected 32" in one for one in found)


# --- data sets of several sizes


@pytest.fixture
def sized_run(sized, tmp_path) -> Path:
    """A copy of a run that measured them, to be tampered with."""
    return Path(shutil.copytree(sized, tmp_path / "a run"))


def test_a_run_with_data_sets_of_several_sizes_is_sound(sized):
    found, made, not_made = checker.check(open_archive(sized))
    assert (
        found == [] and not_made == ["hashes: no campaign"] and {"order", "choices", "blocks", "manifests"} <= set(made)
    )


def in_a_block_of_sizes(run: Path) -> list[Path]:
    """Records of the second block of sizes, as they were measured."""
    return sorted(paths(run, "/sizes-", "rep1.json"), key=lambda path: json.loads(path.read_text())["order"])


def swap_sizes(run):
    one, two = in_a_block_of_sizes(run)[2:4]
    first, second = json.loads(one.read_text()), json.loads(two.read_text())
    change(one, order=second["order"], started=second["started"])
    change(two, order=first["order"], started=first["started"])


def measure_a_size_later(run):
    path = in_a_block_of_sizes(run)[2]
    later = datetime.fromisoformat(json.loads(path.read_text())["started"]) + timedelta(hours=9)
    change(path, started=later.isoformat())


def take_another_batch_size(run):
    for path in paths(run, "/sizes-photos-24-", "huggingface"):
        change(path, batch_size=4, effective_batch_size=4, effective_batch_sizes={"4": 6})


def remove_a_size(run):
    path = in_a_block_of_sizes(run)[0]
    path.unlink()
    predictions_path(path).unlink()


def answer_otherwise_on_a_size(run):
    for path in paths(run, "/sizes-photos-32-", "tensorflow"):
        rewrite(path, shifted)
        change(path, accuracy=0.0)


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (swap_sizes, "of block 1 of sizes, expected"),
        (measure_a_size_later, "expected its turn in block 1"),
        (take_another_batch_size, "batch size 4, expected 8, the one that was chosen"),
        (remove_a_size, "block 1 missing, expected 0 to 2"),
        (answer_otherwise_on_a_size, "on sizes-photos-32: labels equal for 0.0%"),
    ],
)
def test_what_was_changed_in_a_data_set_of_the_sizes_is_named(sized_run, tamper, told):
    tamper(sized_run)
    found = reasons(sized_run)
    assert any(told in one for one in found), found


def test_a_size_that_came_after_its_turn_among_the_others_is_named():
    """A block is that of the role: within its own data set nothing is out of order."""
    at = [(16, 0), (48, 9), (32, 2), (40, 4)]
    rows = [
        {"record": f"rep of {size}", "dataset": f"sizes-photos-{size}", "block": 0, "order": order}
        | {"started": f"2026-11-23T12:0{minute}:00+00:00"}
        for order, (size, minute) in enumerate(at)
    ]
    assert out_of_turn(rows) == {"rep of 48"}
    assert out_of_turn(row for row in rows if row["record"] != "rep of 48") == set()


@pytest.mark.parametrize(
    ("factor", "foreign", "told"),
    [
        (1, 0.01, None),
        (0.5, 0.01, "counters of the timed passes over"),
        (1, 0.4, "40.0% of the CPU in the timed passes"),
    ],
)
def test_what_was_taken_from_the_timed_passes_is_made_again_of_its_counters(run, factor, foreign, told):
    path = paths(run, "full", "sparknlp", "rep1")[0]
    record = json.loads(path.read_text())
    elapsed = factor * sum(one["seconds"] for one in record["passes"] if one["phase"] == "timed") + 0.01
    counters = {"elapsed": elapsed, "cores": 2, "busy": 2 * elapsed, "steal": 0.0, "own_cpu_seconds": 2 * elapsed}
    counters["own_cpu_seconds"] -= 2 * elapsed * foreign
    timed = shares(counters) | {"throttled_seconds": 0.0}
    change(path, quiet=record["quiet"] | {"timed": timed})
    assert any(told in one for one in reasons(run)) if told else reasons(run) == []
    change(path, quiet=record["quiet"] | {"timed": timed | {"foreign_cpu_share": 0.0}})
    assert any("foreign_cpu_share 0.0, expected" in one for one in reasons(run))


@pytest.mark.parametrize("slug", ["../elsewhere", "sample-photos-32-00000000", None])
def test_a_data_set_that_is_not_there_is_no_excuse_for_a_crash(run, slug):
    manifest = open_archive(run).manifest_path("sample")
    (run / "resources/elsewhere").mkdir()
    (run / "resources/elsewhere/manifest.csv").write_text("".join(manifest.open().readlines()[:4]))
    record = paths(run, "sample")[0]
    known = json.loads(record.read_text())["identity"]
    change(record, identity=known | {"dataset": slug})
    found = reasons(run)
    assert any("expected sample-photos-32" in one for one in found)
    assert not any("as in the manifest" in one for one in found), "a record may not choose what it is held against"


MADE = {"count": 100, "images": 200, "seconds": 45.0, "settling_seconds": 12.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"short_passes": MADE | {"count": 99}}, "99 short passes, expected 100"),
        ({"short_passes": None}, "0 short passes, expected 100"),
        ({"short_passes": MADE | {"images": 99}}, "expected one or more in each"),
        # Pass 0 took as long as all passes may: there are none.
        ({"cold_seconds": 180.0, "short_passes": None}, None),
        ({"cold_seconds": 180.0}, "100 short passes, expected 0"),
        # They had taken as long before all were made.
        ({"short_passes": MADE | {"count": 60, "images": 120, "seconds": 181.0}}, None),
        ({"protocol": 3}, "100 short passes, expected 0"),
        ({"protocol": 3, "measuring": {"passes": {"most_seconds": 180}}, "short_passes": None}, None),
        ({"framework": "huggingface"}, "100 short passes, expected 0"),
        ({"framework": "huggingface", "short_passes": None}, None),
        # Of somebody's own framework nobody here knows whether it plans a pass.
        ({"framework": "theirs"}, None),
        ({"framework": "theirs", "short_passes": None}, None),
        ({"framework": "theirs", "short_passes": MADE | {"count": 7, "images": 14}}, "7 short passes, expected 100"),
    ],
)
def test_short_passes_are_those_that_were_asked_for(changes, expected):
    passes = {"short_passes": 100, "most_seconds": 180}
    record = {"framework": "sparknlp", "protocol": 4, "images": 32, "cold_seconds": 8.0, "short_passes": MADE}
    record |= {"measuring": {"passes": passes}} | changes
    found = list(check_short_passes(SimpleNamespace(good={"rep0.json": record})))
    assert found == [] if expected is None else len(found) == 1 and expected in found[0]


@pytest.mark.parametrize("campaign", sorted(path.name for path in (HOME / "resources" / "campaigns").iterdir()))
def test_every_committed_campaign_is_sound_whatever_its_protocol(campaign):
    assert reasons(HOME / "resources" / "campaigns" / campaign) == []


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        ("onnxruntime", "spark-onnxruntime", False),  # its tasks run that very adapter
        ("huggingface", "spark-huggingface", False),
        ("onnxruntime", "sparknlp", True),
        ("huggingface", "spark-onnxruntime", True),
        ("spark-huggingface", "spark-onnxruntime", True),
        ("unknown-here", "onnxruntime", True),
    ],
)
def test_scores_may_be_equal_where_two_frameworks_run_one_adapter(one, other, refused):
    scores = [(f"{number}", "cat", f"0.{number}2345678") for number in range(1, 9)]
    good = {name: {"dataset": "full", "framework": name, "variant": "float32"} for name in (one, other)}
    evidence = SimpleNamespace(good=good, predictions=lambda path: scores)
    assert bool(list(check_answers(evidence))) == refused
