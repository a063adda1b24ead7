"""The command `measure.py`, which needs no Snakemake: its help, what it refuses, and what it records."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import measure
import measure_peak
import numpy
import profile_cell
import pytest

from vitbench import machine
from vitbench.errors import UserError
from vitbench.files import HOME, sha256, sha256_of_files
from vitbench.frameworks import ADAPTERS
from vitbench.inputs import datasets
from vitbench.measure import repeat
from vitbench.plan import time_left
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid
from vitbench.records import record as records

HF = "huggingface/pipeline/cpu/w1"
# Few passes, on a machine as busy as it may be: what a repeat does does not depend on how often.
QUICK = """
passes: {warm_images: 6, warm_seconds: 0, shift: 1, settling: 100, timed: 2, timed_images: 6, extensions: 0,
  most_seconds: 60}
quiet: {canary_seconds: 0.01, gemm_slower: 0.99, decode_slower: 0.99, steal: 1, foreign_cpu: 1, free_memory_gb: 0,
  retries: 0}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(HOME / "scripts" / "measure.py"), *arguments], cwd=folder, capture_output=True, text=True
    )


def assert_refused(folder: Path, *words: str, arguments: tuple[str, ...]) -> None:
    """One line on standard error that holds these words, status 1, and nothing written."""
    before = sorted(folder.rglob("*"))
    done = run(folder, *arguments)
    assert done.returncode == 1 and done.stdout == "", done
    assert done.stderr.startswith("vitbench: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_help_says_what_there_is_with_an_example(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0 and done.stderr == ""
    for word in (
        "--cell",
        "--out",
        "--dataset",
        "--repeat",
        "--config",
        "--threads",
        "framework/variant/device/wN/bsN",
    ):
        assert word in done.stdout
    assert "example: python scripts/measure.py" in done.stdout


def test_the_command_loads_nothing_heavy_before_it_measures():
    heavy = {"torch", "transformers", "pyspark", "sparknlp", "snakemake", "pandas", "matplotlib"}
    code = f"import sys, measure; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(HOME / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done


def test_a_malformed_cell_is_refused(tmp_path):
    arguments = ("--cell", "huggingface-pipeline", "--out", "rep0.json")
    assert_refused(tmp_path, "--cell", "framework/variant/device/wN/bsN", arguments=arguments)


@pytest.mark.parametrize("cell", [f"{HF}/8", f"{HF}/bs-1", "huggingface/pipeline/tpu/w1/bs8", f"{HF}/bs8 ", ""])
def test_other_malformed_cells_are_refused_alike(place, cell):
    assert "framework/variant/device/wN/bsN" in refusal("--cell", cell, "--out", "rep0.json")


def test_an_unknown_cell_is_refused_with_those_that_are_there(tmp_path):
    assert_refused(tmp_path, f"{HF}/bs3", f"{HF}/bs8", arguments=("--cell", f"{HF}/bs3", "--out", "a/rep0.json"))


def test_a_missing_data_set_is_refused(tmp_path):
    assert_refused(
        tmp_path,
        "data set",
        "manifest.csv",
        "snakemake prepare",
        arguments=("--cell", f"{HF}/bs8", "--out", "a/rep0.json"),
    )


def test_a_wrong_configuration_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("repeats: none\n")
    arguments = ("--cell", f"{HF}/bs8", "--out", "rep0.json", "--config")
    assert_refused(tmp_path, "repeats", arguments=(*arguments, "mine.yaml"))
    assert_refused(tmp_path, "other.yaml", arguments=(*arguments, "other.yaml"))


# --- with data set and model, in this process, on a framework that does as it is told


@pytest.fixture
def place(tmp_path, monkeypatch) -> Grid:
    """A working directory with a data set of three text files, which the fake framework reads, and a model's folder."""
    monkeypatch.chdir(tmp_path)
    Path("quick.yaml").write_text(QUICK)
    grid = Grid(load(Path("quick.yaml")))
    for role in grid.datasets:
        manifest = Path(grid.manifest(role))
        (manifest.parent / "images").mkdir(parents=True)
        lines = [",".join(datasets.COLUMNS)]
        for number, label in enumerate(("cat", "dog", "owl")):
            (manifest.parent / "images" / f"i{number}.txt").write_text(label)
            lines.append(f"i{number},images/i{number}.txt,{'0' * 64},3,{label},1,,s{number}")
        lines.append(f"i3,,{'0' * 64},3,cat,0,not an image,s3")
        manifest.write_text("\n".join(lines) + "\n")
    model = Path(grid.model_folder(grid.sweep[0]))
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({"id2label": {"0": "cat", "1": "dog", "2": "owl"}}))
    monkeypatch.setitem(ADAPTERS, "huggingface", lambda definition: "fake_adapter")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.delenv("VITBENCH_ORDERED_BY", raising=False)
    return grid


def recorded(*arguments: str, out: str = "rep0.json") -> dict:
    """The record that the command writes with few passes."""
    assert measure.main([*arguments, "--config", "quick.yaml", "--out", out]) == 0
    return records.read(Path(out))


def refusal(*arguments: str) -> str:
    before = sorted(Path().rglob("*"))
    with pytest.raises(UserError) as raised:
        measure.main([*arguments])
    assert "\n" not in str(raised.value) and sorted(Path().rglob("*")) == before
    return str(raised.value)


def test_a_repeat_is_recorded_under_the_name_that_was_given(place, capsys):
    record = recorded("--cell", f"{HF}/bs8", "--repeat", "0", "--threads", "1", out="some where/rep0.json")
    assert sorted(path.name for path in Path("some where").iterdir()) == ["rep0.json", "rep0.predictions.csv"]
    assert (record["status"], record["images"], record["valid_predictions"], record["accuracy"]) == ("ok", 3, 3, 1)
    assert (record["framework"], record["variant"], record["batch_size"], record["repeat"]) == (
        "huggingface",
        "pipeline",
        8,
        0,
    )
    assert record["order"] == place.order.index((place.find("sample", f"{HF}/bs8"), 0))
    assert record["identity"]["dataset"] == place.datasets["sample"].slug
    assert record["identity"]["definition"] == {"image_processor": "pil"}
    assert record["hashes"]["manifest"] == sha256(Path(place.manifest("sample"))) and record["hashes"]["jars"] is None
    assert record["measuring"] == {key: place.config[key] for key in ("passes", "quiet", "timeout_minutes", "seed")}
    # Two passes of three images to become warm, and two timed ones: those of the configuration.
    assert [one["phase"] for one in record["passes"]] == ["cold", "warm-up", "timed", "timed"]
    assert f"{HF}/bs8 on sample, repeat 0: ok, " in capsys.readouterr().out


def test_the_record_says_on_what_it_was_measured_and_by_what(place, monkeypatch):
    monkeypatch.setattr(repeat, "describe_checkout", lambda: "v7")
    record = recorded("--cell", f"{HF}/bs8")
    told = record["environment"]
    assert told["id"] == machine.machine_id() == record["machine"]
    assert told["cores"] == machine.cores() and told["processor"]["logical"] >= told["cores"]
    assert told["packages"]["numpy"] == numpy.__version__ and told["python"] == platform.python_version()
    assert record["vitbench"] == "v7"


def test_a_first_repeat_is_held_against_the_canaries_of_the_barrier(place):
    canaries = [{"gemm_gflops": speed, "decode_per_second": 2 * speed} for speed in (1.0, 2.0, 6.0)]
    Path("ready.json").write_text(json.dumps({"canaries": canaries}))
    with pytest.raises(UserError, match="there is no redy.json"):
        recorded("--cell", f"{HF}/bs8", "--ready", "redy.json")
    reference = recorded("--cell", f"{HF}/bs8", "--ready", "ready.json")["quiet"]["reference"]
    assert reference == {"gemm_gflops": 2.0, "decode_per_second": 4.0, "canaries": 3}


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (measure, ["--ready", "ready.json", "--cell", f"{HF}/bs8", "--out", "rep0.json"]),
        (profile_cell, ["--cell", f"{HF}/bs8", "--out", "profile.json"]),
        (measure_peak, ["--out", "peak.json"]),
    ],
)
def test_fewer_cores_are_refused_where_the_barrier_was_passed_with_all(place, monkeypatch, script, options):
    """Snakemake keeps what the barrier found when it is run again, with fewer cores."""
    monkeypatch.setattr(machine, "cores", lambda: 4)
    Path("ready.json").write_text(json.dumps({"canaries": []}))
    with pytest.raises(UserError, match="a measurement takes all 4 cores"):
        script.main([*options, "--config", "quick.yaml", "--threads", "1"])


@pytest.mark.parametrize(("boot", "read"), [("here", 0), ("elsewhere", 1), (None, 0)])
def test_images_that_the_barrier_read_on_another_node_are_read_on_this_one(place, monkeypatch, boot, read):
    seen = []
    monkeypatch.setattr(measure, "read_all", lambda manifest: seen.append(manifest))
    ready = {"canaries": []} | ({"boot": machine.boot() if boot == "here" else boot} if boot else {})
    Path("ready.json").write_text(json.dumps(ready))
    recorded("--cell", f"{HF}/bs8", "--ready", "ready.json")
    assert seen == [Path(place.manifest("sample"))] * read


def test_a_repeat_has_the_minutes_of_the_configuration(place):
    prepared = repeat.prepare(place, place.find("sample", f"{HF}/bs8"), Path("rep0.json"), 1)
    assert prepared.timeout_seconds == 60 * place.config["timeout_minutes"]


def test_each_of_several_workers_has_the_images_of_the_configuration_to_get_warm(place, monkeypatch):
    one = place.find("sample", f"{HF}/bs8")
    two = replace(one, workers=2)
    # As where its framework runs on a cluster.
    monkeypatch.setitem(place.places, (two, 0), len(place.places))
    images = [repeat.prepare(place, cell, Path("rep0.json"), 1).passes.warm_images for cell in (one, two)]
    assert images == [place.config["passes"]["warm_images"], 2 * place.config["passes"]["warm_images"]]


def test_another_machine_than_the_configured_one_is_refused(place):
    Path("mine.yaml").write_text("machine: xeon-2\n")
    line = refusal("--cell", f"{HF}/bs8", "--out", "rep0.json", "--config", "mine.yaml")
    assert "machine: xeon-2" in line and machine.machine_id() in line and "machine: auto" in line


def test_an_earlier_protocol_is_refused(place):
    """As of the configuration that lies beside old records: its repeats would be measured in another way."""
    earlier = place.config["protocol"] - 1
    Path("mine.yaml").write_text(f"protocol: {earlier}\n")
    line = refusal("--cell", f"{HF}/bs8", "--out", "rep0.json", "--config", "mine.yaml")
    assert f"protocol: {earlier} is configured" in line


def test_only_labels_that_the_model_knows_count_for_accuracy(place):
    model = Path(place.model_folder(place.sweep[0]))
    (model / "config.json").write_text(json.dumps({"id2label": {"0": "cat", "1": "mouse"}}))
    prepared = repeat.prepare(place, place.find("sample", f"{HF}/bs8"), Path("rep0.json"), 1)
    assert prepared.labels == {"i0": "cat", "i1": "", "i2": ""}
    (model / "config.json").write_text(json.dumps({"id2label": {"0": "mouse"}}))
    record = recorded("--cell", f"{HF}/bs8")
    assert record["accuracy"] is None and record["labels"] == {"cat": None, "dog": None, "owl": None}


def test_an_image_that_is_a_link_keeps_its_own_name(place, tmp_path):
    """Spark reports the link's name, from which the id follows."""
    image = Path(place.manifest("sample")).parent / "images" / "i1.txt"
    image.rename(tmp_path / "a dog of mine.txt")
    image.symlink_to(tmp_path / "a dog of mine.txt")
    task = repeat.prepare(place, place.find("sample", f"{HF}/bs8"), Path("rep0.json"), 1).task
    assert [path for image, path in task.images if image == "i1"] == [f"{task.images_folder}/i1.txt"]
    assert {Path(path).parent for _, path in task.images} == {Path(task.images_folder)}


@pytest.mark.parametrize(
    ("change", "how"),
    [("gone", "is gone"), ("longer", "has 4 bytes, 3 when it was made"), ("another", "has another content")],
)
def test_an_image_that_changed_under_the_manifest_is_refused(place, change, how):
    image = Path(place.manifest("sample")).parent / "images" / "i1.txt"
    if change == "gone":
        image.unlink()
    else:
        image.write_text("dogs" if change == "longer" else "cow")
        os.utime(image, (later := time.time() + 10, later))
    line = refusal("--cell", f"{HF}/bs8", "--out", "rep0.json")
    assert how in line and "images/i1.txt" in line


def choose(place, choice: dict, cell: str = f"{HF}/bsbest") -> None:
    """Write what `choose_batch_size` writes of a full run, the baseline's or another."""
    path = Path(place.choice(place.find("full", cell)))
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(choice))


def test_a_full_run_takes_the_batch_size_that_was_chosen(place):
    choose(place, {"batch_size": 16, "median": 1.0, "reason": "fastest"})
    record = recorded("--dataset", "full", "--cell", f"{HF}/bsbest")
    assert (record["status"], record["batch_size"], record["dataset"]) == ("ok", 16, "full")


def test_a_control_is_measured_as_its_twin_under_a_name_of_its_own(place):
    control = HF.replace("pipeline", "pipeline-control")
    choose(place, {"batch_size": 16, "median": 1.0, "reason": "fastest"}, f"{control}/bsbest")
    record = recorded("--dataset", "full", "--cell", f"{control}/bsbest")
    assert (record["status"], record["variant"], record["batch_size"]) == ("ok", "pipeline-control", 16)
    assert record["identity"]["definition"] == place.variants["huggingface/pipeline"].definition
    assert record["accelerator"] == "cpu" and record["labels"] == {}


def test_a_full_run_without_a_batch_size_is_a_row_with_the_reason(place, capsys):
    reason = "no batch size of the sweep worked"
    choose(place, {"batch_size": None, "median": None, "reason": reason})
    record = recorded("--dataset", "full", "--cell", f"{HF}/bsbest")
    assert (record["status"], record["reason"], record["batch_size"]) == ("error", reason, None)
    assert f"{HF}/bsbest on full, repeat 0: error: {reason}" in capsys.readouterr().out


def test_a_full_run_before_the_choice_is_refused(place):
    line = refusal("--dataset", "full", "--cell", f"{HF}/bsbest", "--out", "a/rep0.json")
    assert "choice.json" in line


def test_a_missing_model_is_refused(place):
    model = Path(place.model_folder(place.sweep[0]))
    (model / "config.json").unlink()
    model.rmdir()
    assert "model" in (line := refusal("--cell", f"{HF}/bs8", "--out", "rep0.json")) and str(model) in line


def test_a_data_set_without_a_valid_image_is_refused(place):
    manifest = Path(place.manifest("sample"))
    manifest.write_text(manifest.read_text().replace(",1,,", ",0,,"))
    assert "no valid image" in refusal("--cell", f"{HF}/bs8", "--out", "rep0.json")


def test_missing_jars_are_refused(place):
    cell = next(cell for cell in place.sweep if cell.framework == "sparknlp")
    Path(place.model_folder(cell)).mkdir(parents=True)
    assert ".jar is missing" in refusal("--cell", cell.name, "--out", "rep0.json")


def test_a_changed_measuring_source_changes_its_hash(tmp_path):
    before = repeat.measuring_code_sha256()
    copy = tmp_path / "scripts"
    for source in (HOME / "scripts").rglob("*.py"):
        (copy / source.relative_to(HOME / "scripts")).parent.mkdir(parents=True, exist_ok=True)
        (copy / source.relative_to(HOME / "scripts")).write_bytes(source.read_bytes())
    assert repeat.measuring_code_sha256(copy) == before
    with open(copy / "vitbench" / "frameworks" / "sparknlp" / "adapter.py", "a") as source:
        source.write("# changed\n")
    assert repeat.measuring_code_sha256(copy) != before


def test_the_hash_of_several_files_knows_their_names(tmp_path):
    hashes = set()
    for name in ("weights", "weights.old"):
        (tmp_path / name).write_text("1")
        hashes.add(sha256_of_files(tmp_path, [tmp_path / name]))
    assert len(hashes) == 2


def test_a_repeat_beyond_what_the_file_of_a_run_asks_for_is_not_measured(place):
    """Snakemake takes a file of another configuration for its own where its metadata are gone."""
    Path("ready.json").write_text(json.dumps({"canaries": []}))
    line = refusal("--cell", f"{HF}/bs8", "--out", "rep9.json", "--ready", "ready.json", "--repeat", "9")
    assert "of sample, and this is number 9" in line and "remove it" in line


def test_what_is_wrong_with_the_line_of_progress_takes_no_record_back(place, monkeypatch, capsys):
    """It reads the other records, of which one may be broken."""
    monkeypatch.setattr(time_left, "line", lambda *_: json.loads("{"))
    reading, writing = os.pipe()
    record = recorded("--cell", f"{HF}/bs8", "--progress", str(writing))
    os.close(writing)
    assert record["status"] == "ok" and os.read(reading, 100) == b""
    os.close(reading)
    assert "no line of progress: JSONDecodeError" in capsys.readouterr().out
