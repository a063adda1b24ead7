"""A packed campaign: whole, small, the same bytes from the same records, without a trace of the machine's folders."""

import errno
import json
import os
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import planted
import pytest
from tampering import change, paths, scaled

from vitbench.campaigns import checker
from vitbench.campaigns.packing import pack, scrub, share
from vitbench.errors import UserError
from vitbench.plan.grid import Grid
from vitbench.records import record as records
from vitbench.records.archive import Packed, is_record, open_archive, record_paths, with_shared

HOME = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """The working directory of a finished run of the default configuration."""
    return planted.plant_run(tmp_path_factory.mktemp("campaign") / "a run", grid())


@pytest.fixture
def run(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "another run"))


def grid() -> Grid:
    return Grid(planted.CONFIG)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def problem(action, *arguments) -> str:
    with pytest.raises(UserError) as raised:
        action(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_everything_comes_back_as_it_was(sound, tmp_path):
    live = open_archive(sound)
    pack(live, "mine", tmp_path, "v1")
    packed = open_archive(tmp_path / "mine")
    assert isinstance(packed, Packed) and packed.source == "campaigns/mine" and packed.version == "v1"
    assert packed.grid == live.grid and packed.config == live.config and packed.ready == live.ready
    assert packed.paths() == live.paths()
    for path in live.paths():
        assert packed.document(path) == live.document(path)
        assert json.dumps(packed.document(path)) == json.dumps(live.document(path)), "the order of keys shows in tables"
    for path in record_paths(live.grid):
        assert packed.record(path) == live.record(path)
        assert packed.predictions(path) == live.predictions(path)
        assert packed.prediction_rows(path) == live.prediction_rows(path)
    for role in live.grid["datasets"]:
        assert packed.manifest(role) == live.manifest(role)
        assert packed.manifest_bytes(role) == live.manifest_bytes(role)


def test_what_measured_is_named_and_not_what_packs(run, tmp_path):
    """Of an archive whose records say nothing of it, what packs is all that is known."""
    archive = open_archive(run)
    assert archive.version is None
    paths = [run / path for path in record_paths(archive.grid)]
    for number, path in enumerate(paths):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"vitbench": "v2" if number else "v1"}))
    pack(open_archive(run), "mine", tmp_path / "to", "v9")
    assert open_archive(tmp_path / "to" / "mine").version == "v1, v2"
    # What was measured outside a checkout, or before records said so, is not the packer's.
    last = json.loads(paths[-1].read_text())
    for other in (last | {"vitbench": ""}, {key: value for key, value in last.items() if key != "vitbench"}):
        paths[-1].write_text(json.dumps(other))
        assert open_archive(run).version == "v1, v2, unknown"
    paths[-1].write_text(json.dumps(last))
    # Two sets may be compared of which one lacks records.
    paths[0].unlink()
    assert open_archive(run).version == "v2"


def test_records_are_found_while_a_repeats_folder_goes_and_no_other_error_is_hidden(run, monkeypatch):
    found = open_archive(run).paths()
    going = next(run.glob("measurements/**/rep0.json")).with_name("gone")
    listed = os.scandir

    def scandir(folder):
        """As the system does it for a folder that has just gone, or cannot be read."""
        if Path(folder) == going:
            going.rmdir()
        if error and Path(folder) == going.parent:
            raise error
        return listed(folder)

    error = None
    going.mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    assert open_archive(run).paths() == found and not going.exists()
    error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        open_archive(run).paths()


def test_the_same_records_give_the_same_bytes_wherever_they_lie(sound, run, tmp_path):
    pack(open_archive(sound), "mine", tmp_path / "one", "v1")
    pack(open_archive(run), "mine", tmp_path / "two", "v1")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_data_sets_of_several_sizes_are_packed_and_checked(sized, tmp_path):
    live = open_archive(sized)
    pack(live, "sized", tmp_path, "v1")
    packed = open_archive(tmp_path / "sized")
    for dataset in live.grid["datasets"]:
        assert packed.manifest_bytes(dataset) == live.manifest_bytes(dataset)
    assert "manifests/sizes-photos-16.csv" in packed.about["files"] and packed.about["repeats"]["sizes"] == 3
    assert packed.about["datasets"]["sizes-photos-40"] == "photos-40"
    found, made, not_made = checker.check(packed)
    assert (found, not_made) == ([], []) and "hashes" in made
    shutil.copytree(sized, tmp_path / "incomplete")
    next((tmp_path / "incomplete").glob("measurements/**/sizes-photos-24-*/**/rep2.json")).unlink()
    assert "1 of 30 records are missing" in problem(
        pack, open_archive(tmp_path / "incomplete"), "other", tmp_path, "v1"
    )


def test_it_is_small(sound, tmp_path):
    """Equal predictions are stored once, and what records share too."""
    pack(open_archive(sound), "mine", tmp_path, "v1")
    packed = contents(tmp_path / "mine")
    assert packed["predictions.csv"].count(b"\n") == 1 + 2 * (32 + 48), "once a framework"
    count = len(record_paths(open_archive(sound).grid))
    assert sum(map(len, packed.values())) < 5000 * count
    assert all(b"\0" not in content for content in packed.values()), "plain text"


def test_a_failed_repeat_is_packed_with_its_reason(run, tmp_path):
    path = run / next(path for path in record_paths(open_archive(run).grid) if "tensorflow" in path and "bs16" in path)
    record = json.loads(path.read_text())
    lost = ("wall_seconds", "cold_seconds", "throughput", "valid_predictions", "effective_batch_size", "accuracy")
    record |= dict.fromkeys(lost) | {"status": "oom", "reason": f"no memory, see {run}/logs/x.log", "passes": []}
    path.write_text(json.dumps(record | {"timed_passes": 0, "effective_batch_sizes": None}))
    records.predictions_path(path).write_text("id,label,score\n")
    pack(open_archive(run), "mine", tmp_path, "v1")
    packed = open_archive(tmp_path / "mine")
    name = path.relative_to(run).as_posix()
    assert packed.predictions(name) == []
    assert packed.record(name)["reason"] == "no memory, see …/logs/x.log"


def test_no_folder_of_the_machine_is_left_in_it(run, tmp_path):
    config = run / "results/provenance/config.yaml"
    photos = {"kind": "folder", "folder": "/home/somebody/My Pictures/2024"}
    own = f"define: {json.dumps({'datasets': {'own': photos}})}"
    config.write_text(config.read_text().replace("photos: null", "photos: ~/Pictures").replace("define: {}", own))
    described = json.loads((run / "results/provenance/grid.json").read_text())
    described["datasets"]["full"]["definition"] = photos
    (run / "results/provenance/grid.json").write_text(json.dumps(described))
    for path in (run / path for path in record_paths(described)):
        record = json.loads(path.read_text())
        record["environment"] |= {"java": f"{run}/.venv/jdk", "home": str(Path.home()), "board": "/sys/class/powercap"}
        path.write_text(json.dumps(record))
    pack(open_archive(run), "mine", tmp_path, "v1")
    packed = open_archive(tmp_path / "mine")
    assert packed.config["photos"] == "Pictures" and packed.config["define"]["datasets"]["own"]["folder"] == "2024"
    assert packed.grid["datasets"]["full"]["definition"]["folder"] == "2024"
    found = packed.record(record_paths(packed.grid)[0])["environment"]
    assert found["java"] == "jdk" and found["board"] == "/sys/class/powercap"
    text = "".join(content.decode() for content in contents(tmp_path / "mine").values())
    for folder in (str(run), str(tmp_path), "/home/", "My Pictures"):
        assert folder not in text
    assert not re.search(r'"/(?!sys/)', text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/me/photos", "photos"),
        ("~/photos", "photos"),
        ("/home/me/my photos", "my photos"),
        ("failed: /opt/java/bin/java: not found", "failed: …/java: not found"),
        ("see /root/run/logs/a.log", "see …/logs/a.log"),
        (f"kept in {Path.home()} for now", "kept in … for now"),
        ("huggingface/pipeline", "huggingface/pipeline"),
        ("12 images/s", "12 images/s"),
        ("/sys/class/powercap/energy_uj", "/sys/class/powercap/energy_uj"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("1 / 2", "1 / 2"),
    ],
)
def test_of_a_path_its_name_is_kept(text, kept):
    assert scrub(text, Path("/root/run")) == kept


def test_what_is_shared_is_stored_once_and_comes_back():
    fingerprint = {"flags": "avx2 " * 200, "caches": ["32K", "1024K"], "cores": 2}
    values = [{"environment": fingerprint, "repeat": n, "load": [0.1 * n] * 3} for n in range(5)]
    values.append({"environment": fingerprint | {"cores": 4}})
    written, shared = share(values)
    assert [with_shared(value, shared) for value in written] == values
    assert len(json.dumps([written, shared])) < 0.5 * len(json.dumps(values))
    assert share(values) == (written, shared)


def test_what_was_not_packed_so_is_one_line_when_it_is_asked_for(sound, tmp_path):
    pack(open_archive(sound), "mine", tmp_path, "v1")
    path = tmp_path / "mine" / "measurements.jsonl"
    first, *others = path.read_text().splitlines()
    place = json.loads(first)["path"]
    for content in ({"$same": 10**6}, None):
        broken = {"path": place} | ({} if content is None else {"content": content})
        path.write_text("\n".join([json.dumps(broken), *others]) + "\n")
        archive = open_archive(tmp_path / "mine")
        assert "is not what was packed" in problem(archive.document, place)
        assert archive.document(json.loads(others[0])["path"])  # of the others nothing is known to be wrong
    path.write_text("\n".join([first[:-5], *others]) + "\n")
    assert "is not what was packed" in problem(open_archive(tmp_path / "mine").paths)


def test_records_that_are_missing_are_not_packed(run, tmp_path):
    first = record_paths(open_archive(run).grid)[0]
    (run / first).unlink()
    line = problem(pack, open_archive(run), "mine", tmp_path, "v1")
    assert "1 of 30" in line and first in line
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("asked", "wish"),
    [(2, "'{sample: 3, full: 3}'"), ({"sample": 3, "full": 1}, "'{sample: 3, full: 3}'")],
    ids=["both roles", "full runs, as after make settle"],
)
def test_blocks_that_were_measured_are_not_left_out(run, tmp_path, asked, wish):
    path = run / "results" / "provenance" / "grid.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repeats": asked}))
    assert wish in problem(pack, open_archive(run), "mine", tmp_path, "v1")
    assert not (tmp_path / "mine").exists()


def test_a_block_that_was_stopped_in_the_middle_stays_behind_and_is_counted(run, tmp_path):
    path = run / "results" / "provenance" / "grid.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repeats": {"sample": 3, "full": 2}}))
    found = run.glob("measurements/**/full-*/**/rep2.json")
    third = sorted(found, key=lambda path: json.loads(path.read_text())["order"])
    third[-1].unlink()
    assert pack(open_archive(run), "mine", tmp_path, "v1").startswith("packed")
    assert open_archive(tmp_path / "mine").about["left_out"] == len(third) - 1 > 0


@pytest.mark.parametrize("role", ["../../up", "/tmp/full", "..", ""])
def test_a_data_set_whose_name_leads_elsewhere_is_refused(run, tmp_path, role):
    """A folder of records from elsewhere names the files that are written of it."""
    path = run / "results" / "provenance" / "grid.json"
    grid = json.loads(path.read_text())
    path.write_text(json.dumps(grid | {"datasets": {role: grid["datasets"]["full"]}}))
    assert "is no name of a data set" in problem(pack, open_archive(run), "mine", tmp_path, "v1")
    grid["datasets"]["full"]["slug"] = role
    path.write_text(json.dumps(grid))
    assert "is no name of a data set" in problem(pack, open_archive(run), "mine", tmp_path, "v1")


def test_records_that_the_checker_refuses_are_not_packed(run, tmp_path):
    path = run / record_paths(open_archive(run).grid)[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"throughput": 99.0}))
    line = problem(pack, open_archive(run), "mine", tmp_path, "v1")
    assert "throughput x wall_seconds" in line and "check_records.py" in line
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", ".hidden", "-x"])
def test_a_name_is_letters_digits_hyphens_and_dots(sound, tmp_path, name):
    assert problem(pack, open_archive(sound), name, tmp_path, "v1").startswith("campaign: ")


def test_a_campaign_is_never_overwritten(sound, run, tmp_path):
    pack(open_archive(sound), "mine", tmp_path, "v1")
    before = contents(tmp_path / "mine")
    assert "already" in pack(open_archive(sound), "mine", tmp_path, "v2"), "another checkout, the same records"
    for one in run.glob("measurements/**/rep*.json"):
        one.write_text(one.read_text().replace('"setting": "planted"', '"setting": "another"'))
    assert "remove that folder first" in problem(pack, open_archive(run), "mine", tmp_path, "v1")
    assert contents(tmp_path / "mine") == before


def test_a_campaign_from_elsewhere_is_taken_in_as_it_is(sound, tmp_path):
    pack(open_archive(sound), "theirs", tmp_path / "sent", "v1")
    pack(open_archive(tmp_path / "sent" / "theirs"), "ours", tmp_path, "v2")
    assert contents(tmp_path / "ours") == contents(tmp_path / "sent" / "theirs")


def test_it_says_when_it_was_measured(sound, tmp_path):
    pack(open_archive(sound), "mine", tmp_path, "v1")
    about = open_archive(tmp_path / "mine").about
    began = [planted.BEGIN, planted.BEGIN + timedelta(minutes=2 * 29)]
    assert [datetime.fromisoformat(about[which]) for which in ("first", "last")] == began


def test_records_of_another_configuration_stay_behind_and_are_counted(run, tmp_path):
    """The canaries of those that are packed were held against theirs, too."""
    (path,) = [path for path in paths(run, "bs8", "sample", "huggingface") if path.name == "rep0.json"]
    other = path.parents[1] / "bs4" / path.name
    shutil.copytree(path.parent, other.parent)
    for one in other.parent.glob("rep*.json"):
        record = json.loads(one.read_text())
        sizes = {"batch_size": 4, "effective_batch_size": 4, "effective_batch_sizes": {"4": 8}}
        change(one, **scaled(record, 1.01, jitter=0.01), total_seconds=record["total_seconds"] + 9, **sizes)
    pack(open_archive(run), "mine", tmp_path, "v1")
    pack(open_archive(tmp_path / "mine"), "copied", tmp_path, "v1")
    for name in ("mine", "copied"):
        packed = open_archive(tmp_path / name)
        assert packed.about["left_out"] == 3 and packed.about["records"] == 30
        assert set(filter(is_record, packed.paths())) == set(record_paths(packed.grid))


def test_measurements_without_their_grid_are_not_packed(run, tmp_path):
    shutil.rmtree(run / "results")
    assert "grid.json" in problem(pack, open_archive(run), "mine", tmp_path, "v1")
