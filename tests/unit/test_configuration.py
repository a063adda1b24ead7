"""The configuration: closed, checked as a whole, and each mistake said in one line that names its key."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from vitbench import machine
from vitbench.analysis.sets import VERDICTS
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.plan.configuration import check_keys, definitions, load, resolve, schema
from vitbench.plan.grid import Grid

DEFAULT = yaml.safe_load((HOME / "config" / "config.yaml").read_text())
DATALOADER = {"image_processor": "pil", "runner": "dataloader", "loader_workers": 0, "precision": "float32"}
TENSORS = {"image_processor": "torchvision"}
READY_MADE = {"engine": "onnx", "pretrained": "theirs", "of": "a/b"}

BAD = {
    "model": ["Not A Name", 7, "-x", "./no/such/folder"],
    "datasets": [
        {"sample": "Photos 32"}, {"test": "photos-12"}, "photos-32", {"full": None}, {"sizes": "photos-16"},
        {"sizes": ["photos-16", "photos-16"]}, {"sizes": None},
    ],
    "photos": [7, "", "/no/such/folder", ["a"]],
    "frameworks": [[], ["huggingface"], ["huggingface/pipeline"] * 2, "huggingface/pipeline", ["a/b/c"]],
    "baseline": ["huggingface", "sparknlp/onnx", ["huggingface/pipeline"]],
    "devices": [[], ["tpu"], "cpu", ["cpu", "cpu"]],
    "batch_sizes": [[], [0], [8, 8], ["8"], [2.5], 8, {}, {"cpu": []}, {"cpu": [8], "tpu": [8]}, {"gpu": [8]}],
    "workers": [[], 2, [0], [1, 1], ["2"], [1.5]],
    "spark": [
        {"master": "local[2]"}, {"master": "yarn "}, {"master": ""}, {"worker_cores": 0}, {"worker_memory_gb": 0.1},
        {"worker_memory_gb": "4g"}, {"hadoop": ""}, {"settings": {"executor.memory": "4g"}}, {"settings": []},
        {"settings": {"spark.local.dir": ["a"]}}, {"settings": {"spark.master": "yarn"}}, {"cores": 2},
        {"master": "yarn"}, {"worker_cores": 2}, "local[*]",
    ],
    "repeats": [0, "3", 2.5, 3.0, True, {"sample": 0}, {"sample": 3, "full": 0}, {"sample": 3, "full": 5, "third": 1},
                {"sizes": 0}],
    "machine": ["My Laptop", 5, "", "../up"],
    "protocol": [0, "two", 1.5],
    "seed": ["x", 1.5],
    "passes": [
        {"warm_images": 0}, {"warm_seconds": -1}, {"shift": 0}, {"shift": 2}, {"settling": -1}, {"timed": 0},
        {"timed": 2.5}, {"timed_images": 0}, {"extensions": -1}, {"most_seconds": 0}, {"at_least": 2}, 3,
    ],
    "quiet": [
        {"canary_seconds": 0}, {"gemm_slower": 0}, {"decode_slower": 1}, {"gemm_slower": "a little"}, {"steal": 2},
        {"foreign_cpu": -1}, {"free_memory_gb": "4 GB"}, {"retries": 6}, {"retries": 1.5}, {"temperature": 80}, 3,
    ],
    "margin": [0, -0.1, 0.6, "5%"],
    "most_repeats": [4, 0, 5.5, "20"],
    "budget_hours": [0, -1, "8 h"],
    "tune_minutes": [0, -5, "an hour"],
    "trials": [{"huggingface": 3}, {"huggingface/pipeline": 0}, {"huggingface/pipeline": 2.5}, 3, []],
    "control": ["yes", 1, "huggingface/pipeline"],
    "profile": ["yes", 1, None],
    "timeout_minutes": [0, -1, "long"],
    "parity": [{"agreement": 0.9}, {"agreement": 1.1}, {"least": 1}, 0.99],
    "campaign": ["", "a b", "../up", "a/b", 2026, ["a"]],
    "records": ["", 7, ["a"]],
    "baseline_records": ["", 7],
    "candidate_records": ["", 7],
    "baseline_campaign": ["a b", "../up"],
    "candidate_campaign": ["a b", "../up"],
    "other_machine": ["perhaps", 1],
    "fail_on": ["fast", ["slower", "slower"], ["fast"], 1],
    "images": [0, 2.5, "", [1]],
    "deadline_hours": [0, -1, "48 h"],
    "variant": ["pipeline", 7, "a/b/c"],
    "batch_size": [0, "8", 2.5],
    "out": ["", 7],
    "most_refused": [-0.1, 1.5, "5%"],
    "part_images": [0, "many", 2.5],
    "define": [
        {"pictures": {}}, {"datasets": {"mine": {"kind": "folder"}}}, {"datasets": {"mine": {"folder": "x"}}},
        {"datasets": {"My Own": {"kind": "folder", "folder": "x"}}}, {"models": {"mine": "folder"}},
        {"models": {"mine": {"kind": "hub", "folder": "x"}}}, {"models": {"mine": {"kind": "hub", "hub": "a/b@main"}}},
        {"models": {"mine": {"kind": "folder", "hub": "a/b"}}}, {"models": {"mine": {"kind": "zip", "folder": "x"}}},
        {"models": {"mine": {"kind": "folder", "folder": "x", "preprocessing": "crop"}}},
        {"variants": {"sparknlp": {"mine": {"engine": "tensorflow", "pretrained": "theirs"}}}},
        {"variants": {"huggingface": {"mine": 3}}},
        {"variants": {"huggingface": {"mine": {"image_processor": "pil", "precision": "int8"}}}},
        {"variants": {"huggingface": {"mine": {"image_processor": "pil", "threads_a_process": 0}}}},
        {"variants": {"onnxruntime": {"mine": {"image_processor": "pil"}}}},
        {"variants": {"onnxruntime": {"mine": {"image_processor": "pil", "threads_a_slot": 1, "quantization": "qat"}}}},
        {"variants": {"openvino": {"mine": {"image_processor": "pil", "threads_a_slot": 1}}}},
        {"variants": {"huggingface": {"mine": {"image_processor": "pil", "decoder": "simplejpeg"}}}},
        {"variants": {"huggingface": {"mine": DATALOADER | {"dtype": "float16"}}}},
        {"variants": {"huggingface": {"mine": DATALOADER | {"decoder": "opencv"}}}},
        {"variants": {"huggingface": {"mine": DATALOADER | {"on_device": "decoding"}}}},
        {"variants": {"huggingface": {"mine": DATALOADER | TENSORS | {"on_device": "resizing"}}}},
        {"variants": {"huggingface": {"mine": TENSORS | {"on_device": "decoding"}}}},
        {"variants": {"huggingface": {"mine": DATALOADER | TENSORS | {"on_device": "decoding", "decoder": "pil"}}}},
        {"variants": {"sparknlp": {"mine": {"engine": "onnx", "tensorflow_threads": 1}}}},
        {"variants": {"sparknlp": {"mine": {"engine": "tensorflow", "quantization": "dynamic"}}}},
        {"variants": {"sparknlp": {"mine": {"engine": "tensorflow", "onnx_threads": 1}}}},
        {"variants": {"sparknlp": {"mine": {"engine": "onnx", "onednn": True}}}},
        {"variants": {"sparknlp": {"mine": READY_MADE | {"quantization": "dynamic"}}}},
        {"variants": {"spark-huggingface": {"mine": {"image_processor": "pil", "threads_a_slot": 1}}}},
        {"variants": {"spark-onnxruntime": {"mine": {"image_processor": "pil", "threads_a_slot": "cores"}}}},
        {"variants": {"sparknlp": {"mine": {"engine": "openvino"}}}},
        {"variants": {"sparknlp": {"mine": {"engine": "onnx", "threads": 2}}}}, [],
    ],
}  # fmt: skip


# Keys that may be empty.
EMPTY = {key for key, value in DEFAULT.items() if value is None} | {"most_repeats"}


def given(folder: Path, content: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def problem(action, *arguments) -> str:
    """The one line that the user is told."""
    with pytest.raises(UserError) as raised:
        action(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_every_key_of_the_schema_has_a_bad_value_here():
    assert BAD.keys() == schema()["properties"].keys()
    assert set(schema()["required"]) == BAD.keys() == DEFAULT.keys()


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_bad_value_is_one_line_that_begins_with_its_key(tmp_path, key, value):
    line = problem(load, given(tmp_path, {key: value}))
    assert line.split(":")[0].split(".")[0].split("[")[0] == key, line


@pytest.mark.parametrize("key", sorted(BAD.keys() - EMPTY))
def test_an_emptied_key_is_one_line_that_names_it(tmp_path, key):
    assert problem(load, given(tmp_path, {key: None})).startswith(key)


@pytest.mark.parametrize("key", sorted(BAD))
def test_a_missing_key_is_one_line_that_names_it(key):
    assert f"'{key}' is a required property" in problem(
        resolve, {name: value for name, value in DEFAULT.items() if name != key}
    )


@pytest.mark.parametrize("key", ["batchsizes", "Model", 8, True])
def test_an_unknown_key_is_named_together_with_the_known_ones(tmp_path, key):
    line = problem(load, given(tmp_path, {key: 1}))
    assert f"unknown key {key}" in line and "batch_sizes" in line


def test_an_unknown_key_further_down_is_named_with_its_place(tmp_path):
    line = problem(load, given(tmp_path, {"passes": {"warmimages": 3}}))
    assert line.startswith("passes: unknown key warmimages") and "warm_images" in line
    assert problem(load, given(tmp_path, {"batch_sizes": {"cpu": [8], "tpu": [1]}})).find("tpu") > 0


@pytest.mark.parametrize(
    ("place", "definition"),
    [
        ("models.mine.folder", {"kind": "hub", "hub": f"a/b@{'0' * 40}", "folder": "x"}),
        ("variants.huggingface.mine.runner", DATALOADER | {"dtype": "float16"}),
        ("variants.sparknlp.mine.pretrained", READY_MADE | {"quantization": "static"}),
    ],
)
def test_a_key_that_does_not_go_with_the_others_is_named(tmp_path, place, definition):
    for part in reversed(place.split(".")[:-1]):
        definition = {part: definition}
    line = problem(load, given(tmp_path, {"define": definition}))
    assert line.startswith(f"define.{place}: does not go with the other keys there")


def test_the_default_is_valid_and_the_smoke_configuration_too():
    assert load(HOME / "config" / "config.yaml")["frameworks"] == DEFAULT["frameworks"]
    assert load(HOME / "config" / "smoke.yaml")["model"] == "vit-tiny-seeded"


def test_what_is_given_is_merged_over_the_default(tmp_path):
    own = {"passes": {"timed": 9}, "batch_sizes": {"cpu": [4]}, "datasets": {"full": "photos-99"}, "devices": ["cpu"]}
    config = load(given(tmp_path, own))
    assert config["passes"] == DEFAULT["passes"] | {"timed": 9}
    assert config["batch_sizes"] == {"cpu": [4]} and config["devices"] == ["cpu"]
    assert config["datasets"] == DEFAULT["datasets"] | {"full": "photos-99"}
    untouched = DEFAULT.keys() - own.keys() - {"machine"}
    assert {key: config[key] for key in untouched} == {key: DEFAULT[key] for key in untouched}


def test_the_keys_have_one_order_whatever_was_named_first(tmp_path):
    first = {key: DEFAULT[key] for key in ("images", "repeats")} | DEFAULT
    assert list(resolve(first)) == list(resolve(DEFAULT)) == list(load(given(tmp_path, {})))


def test_what_is_packed_or_taken_in_is_no_part_of_the_configuration_that_is_measured(tmp_path):
    told = {"campaign": "mine", "records": "elsewhere", "baseline_records": "a", "candidate_campaign": "b"}
    told |= {"other_machine": True, "fail_on": ["slower"], "deadline_hours": 2}
    told |= {"images": "pictures", "variant": "huggingface/pipeline", "batch_size": 4, "out": "there"}
    told |= {"most_refused": 0.1, "part_images": 7}
    assert load(given(tmp_path, told)) == load(given(tmp_path, {}))


def test_a_comparison_may_fail_on_each_verdict_that_it_gives():
    assert schema()["$defs"]["verdict"]["enum"] == list(VERDICTS)


def test_an_empty_file_is_the_default(tmp_path):
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing yet\n")
    assert load(empty) == load(HOME / "config" / "config.yaml")


def test_machine_auto_gets_its_value_and_a_named_one_stays(tmp_path):
    before = copy.deepcopy(DEFAULT)
    assert resolve(DEFAULT)["machine"] == machine.machine_id()
    assert before == DEFAULT
    assert load(given(tmp_path, {"machine": "lab-2.old"}))["machine"] == "lab-2.old"


@pytest.mark.parametrize(
    ("text", "line"),
    [("seed: 1\nseed: 2\n", 2), ("passes:\n  timed: 3\n  timed: 4\n", 3), ('seed: 1\n"seed": 1\n', 2)],
)
def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path, text, line):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    said = problem(load, path)
    assert said == problem(check_keys, path)
    assert said.startswith(("seed: stands twice", "timed: stands twice")) and f"{path}, line {line}" in said


def test_the_same_key_in_two_maps_is_no_double(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("define:\n  datasets: {a: {kind: folder, folder: x}, b: {kind: folder, folder: x}}\n")
    check_keys(path)


@pytest.mark.parametrize("content", [b"model: [", b"- model\n", b"model\n", b"\xff\xfe\x00model", b"model: \x00"])
def test_a_file_that_is_no_configuration_is_one_line_that_names_it(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert str(path) in problem(load, path)


def test_a_missing_file_and_a_folder_are_one_line_that_names_them(tmp_path):
    assert str(tmp_path / "no.yaml") in problem(load, tmp_path / "no.yaml")
    assert str(tmp_path) in problem(load, tmp_path)


def test_batch_sizes_must_be_there_for_each_device(tmp_path):
    line = problem(load, given(tmp_path, {"devices": ["cpu", "gpu"], "batch_sizes": {"cpu": [8]}}))
    assert line.startswith("batch_sizes: nothing for device gpu")
    both = {"devices": ["cpu", "gpu"], "batch_sizes": {"cpu": [8], "gpu": [64]}}
    assert load(given(tmp_path, both))["batch_sizes"]["gpu"] == [64]


def test_no_sweep_is_for_one_batch_size(tmp_path):
    none = {"repeats": {"sample": 0, "full": 3}}
    assert load(given(tmp_path, none | {"batch_sizes": [8]}))["repeats"]["sample"] == 0
    for several in ([1, 8], {"cpu": [1, 8], "gpu": [8]}):
        line = problem(load, given(tmp_path, none | {"batch_sizes": several}))
        assert line.startswith("repeats: sample is 0") and "1, 8" in line


def test_data_sets_of_several_sizes_want_a_number_of_repeats():
    sized = DEFAULT | {"datasets": DEFAULT["datasets"] | {"sizes": ["photos-16", "photos-48"]}}
    assert resolve(sized)["repeats"]["sizes"] == 3 and resolve(sized | {"repeats": 5})["repeats"] == 5
    line = problem(resolve, sized | {"repeats": {"sample": 1, "full": 3}})
    assert line.startswith("repeats: nothing for the role `sizes`")


def test_the_baseline_must_be_among_the_frameworks(tmp_path):
    line = problem(load, given(tmp_path, {"baseline": "sparknlp/onnx"}))
    assert line.startswith("baseline: sparknlp/onnx is not among `frameworks`") and "huggingface/pipeline" in line


# --- definitions


def test_own_definitions_stand_beside_those_of_resources(tmp_path):
    own = {
        "datasets": {"mine": {"kind": "folder", "folder": "pictures"}},
        "models": {"my-vit": {"kind": "folder", "folder": "checkpoint"}},
        "variants": {"sparknlp": {"onnx-4": {"engine": "onnx", "onnx_threads": 4}}},
    }
    found = definitions(load(given(tmp_path, {"define": own})))
    assert found["datasets"]["mine"] == own["datasets"]["mine"] and "photos" in found["datasets"]
    assert found["models"]["my-vit"] == own["models"]["my-vit"] and "vit-base-seeded" in found["models"]
    assert found["variants"]["sparknlp"]["onnx-4"] == {"engine": "onnx", "onnx_threads": 4}
    assert "pipeline" in found["variants"]["huggingface"] and "onnx" in found["variants"]["sparknlp"]


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ({"datasets": {"photos": {"kind": "folder", "folder": "x"}}}, "photos"),
        ({"models": {"vit-base-seeded": {"kind": "folder", "folder": "x"}}}, "vit-base-seeded"),
        ({"variants": {"sparknlp": {"onnx": {"engine": "onnx"}}}}, "onnx"),
    ],
)
def test_a_name_that_resources_has_already_is_refused(tmp_path, own, name):
    line = problem(definitions, load(given(tmp_path, {"define": own})))
    assert line.startswith("define") and f"{name} is in resources" in line


def test_variants_of_an_unknown_framework_are_refused(tmp_path):
    line = problem(load, given(tmp_path, {"define": {"variants": {"keras": {"plain": {}}}}}))
    assert line.startswith("define") and "keras" in line and "huggingface" in line


@pytest.mark.parametrize(
    ("change", "key", "known"),
    [
        ({"model": "vit-huge"}, "model", "vit-base-seeded"),
        ({"datasets": {"full": "imagenet"}}, "datasets", "photos-N"),
        ({"datasets": {"sample": "photos"}}, "datasets", "photos-N"),
        ({"datasets": {"sample": "photos-0"}}, "datasets", "photos-N"),
        ({"datasets": {"sizes": ["imagenet"]}}, "datasets", "photos-N"),
        ({"frameworks": ["huggingface/pipeline", "sparknlp/openvino"]}, "frameworks", "onnx"),
        ({"frameworks": ["huggingface/pipeline", "keras/plain"]}, "frameworks", "sparknlp"),
    ],
)
def test_what_is_not_defined_is_named_together_with_what_is(tmp_path, change, key, known):
    line = problem(Grid, load(given(tmp_path, change)))
    wrong = change[key] if isinstance(change[key], str) else str([*change[key]][-1])
    if isinstance(change[key], dict):
        wrong = next(iter(change[key].values()))
        wrong = wrong if isinstance(wrong, str) else wrong[0]
    assert line.startswith(key) and wrong in line and known in line


# --- own photographs


def test_a_folder_of_photographs_takes_the_place_of_both_data_sets(tmp_path):
    pictures = tmp_path / "my pictures"
    pictures.mkdir()
    config = load(given(tmp_path, {"photos": str(pictures)}))
    found = definitions(config)["datasets"]
    sample, full = (found[config["datasets"][role]] for role in ("sample", "full"))
    assert sample["folder"] == full["folder"] == str(pictures)
    assert sample != full and "photos" in found
    Grid(config)
