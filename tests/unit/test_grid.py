"""From a configuration to cells, their order, and where their records lie."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import planted
import pytest

from vitbench.cells import BEST, Cell
from vitbench.errors import UserError
from vitbench.plan import grid as module
from vitbench.plan import looks
from vitbench.plan.configuration import definitions
from vitbench.plan.grid import Grid
from vitbench.records.archive import record_paths

LINUX, ARM = "linux-x86_64", "linux-arm64"
DEFAULT = planted.CONFIG | {"machine": "xeon-2"}


def grid(platform: str = LINUX, **changes) -> Grid:
    """A grid without the A/A control, which the tests that are about it switch on."""
    changes.setdefault("control", False)
    if "frameworks" in changes:
        changes.setdefault("baseline", changes["frameworks"][0])
    return Grid(copy.deepcopy(DEFAULT) | changes, platform)


# --- cells


@pytest.mark.parametrize("cell", [Cell("sample", "a", "b-c", "cpu", 1, 8), Cell("full", "a", "b", "gpu", 12, BEST)])
def test_a_cells_name_says_all_of_it_but_the_data_set(cell):
    assert Cell.parse(cell.name, cell.dataset) == cell and Cell.parse(cell.name).dataset is None


@pytest.mark.parametrize(
    "name", ["sparknlp/onnx/cpu", "a/b/tpu/w1/bs8", "a/b/cpu/w1/bs", "a/b/cpu/1/bs8", "a/b/c/cpu/w1/bs8"]
)
def test_a_name_that_is_no_cell_is_refused(name):
    with pytest.raises(UserError, match="framework/variant/device/wN/bsN"):
        Cell.parse(name)


def test_the_default_has_two_variants_three_batch_sizes_and_a_full_run_each():
    default = grid()
    assert [cell.name for cell in default.sweep] == [
        *(f"huggingface/pipeline/cpu/w1/bs{size}" for size in (1, 8, 16)),
        *(f"sparknlp/tensorflow/cpu/w1/bs{size}" for size in (1, 8, 16)),
    ]
    assert [cell.name for cell in default.full] == [
        "huggingface/pipeline/cpu/w1/bsbest",
        "sparknlp/tensorflow/cpu/w1/bsbest",
    ]
    assert {cell.dataset for cell in default.sweep} == {"sample"} and {cell.dataset for cell in default.full} == {
        "full"
    }
    assert default.skipped == [] and default.notes == []


def test_each_device_has_its_own_batch_sizes():
    both = grid(devices=["cpu", "gpu"], batch_sizes={"cpu": [1, 8], "gpu": [64]}, frameworks=["huggingface/pipeline"])
    assert [(cell.device, cell.batch_size) for cell in both.sweep] == [("cpu", 1), ("cpu", 8), ("gpu", 64)]
    assert [(cell.device, cell.batch_size) for cell in both.full] == [("cpu", BEST), ("gpu", BEST)]


def test_the_sweep_of_a_full_cell_is_its_variant_on_its_device():
    both = grid(devices=["cpu", "gpu"], batch_sizes={"cpu": [1, 8], "gpu": [64]})
    for full in both.full:
        sweep = both.sweep_of(full)
        assert [cell.batch_size for cell in sweep] == ([1, 8] if full.device == "cpu" else [64])
        assert {(one.framework, one.variant, one.device, one.dataset) for one in sweep} == {
            (full.framework, full.variant, full.device, "sample")
        }


def controls(found: Grid) -> list[str]:
    return [name for name in found.variants if name.endswith("-control")]


def test_each_framework_has_one_control_and_the_baseline_is_its_frameworks():
    both = ["huggingface/pipeline-torchvision", "sparknlp/onnx", "huggingface/pipeline", "sparknlp/tensorflow"]
    there = controls(grid(control=True, frameworks=both, baseline="huggingface/pipeline"))
    assert sorted(there) == ["huggingface/pipeline-control", "sparknlp/onnx-control"]
    assert controls(grid(control=True, frameworks=both[:1], baseline=both[0])) == [f"{both[0]}-control"]
    assert controls(grid()) == []


def test_a_control_is_a_variant_once_more_on_the_full_set():
    with_it = grid(control=True, devices=["cpu", "gpu"])
    twins = [cell for cell in with_it.full if cell.variant == "pipeline-control"]
    assert [cell.name for cell in twins] == [f"huggingface/pipeline-control/{one}/w1/bsbest" for one in ("cpu", "gpu")]
    assert not any(cell.variant.endswith("control") for cell in with_it.sweep)
    for twin, original in zip(twins, [cell for cell in with_it.full if cell.variant == "pipeline"], strict=True):
        # What is loaded and measured is the same, where it is recorded is not.
        assert with_it.sweep_of(twin) == with_it.sweep_of(original) != []
        assert with_it.model_folder(twin) == with_it.model_folder(original)
        assert with_it.record(twin, 0) != with_it.record(original, 0)
    definitions = [with_it.variants[f"huggingface/{name}"].definition for name in ("pipeline", "pipeline-control")]
    assert definitions[0] == definitions[1]
    assert {(twin, block) for twin in twins for block in range(3)} <= set(with_it.order)


def test_the_control_moves_no_record_of_the_others():
    for cell in grid().full:
        assert grid(control=True).record(cell, 0) == grid().record(cell, 0)


def test_a_variant_of_ones_own_cannot_pose_as_the_control():
    with pytest.raises(UserError, match="frameworks: huggingface/my-control: names in -control are kept"):
        grid(frameworks=["huggingface/my-control"], **define("variants", "huggingface", **{"my-control": {}}))


# --- order


def blocks(found: Grid, role: str) -> list[list[Cell]]:
    """The cells of each block, in the order in which they are measured."""
    return [
        [cell for cell, repeat in found.order if repeat == block and cell.dataset == role]
        for block in range(found.repeats(role))
    ]


def test_every_block_holds_each_cell_once_and_the_sweep_comes_first():
    default = grid()
    for role, cells in (("sample", default.sweep), ("full", default.full)):
        assert [Counter(block) for block in blocks(default, role)] == [Counter(cells)] * 3
    assert len(default.order) == 3 * (6 + 2)
    repeats = {role: [repeat for cell, repeat in default.order if cell.dataset == role] for role in ("sample", "full")}
    assert all(numbers == sorted(numbers) for numbers in repeats.values())
    roles = [cell.dataset for cell, _ in default.order]
    assert roles == ["sample"] * 18 + ["full"] * 6


def test_the_order_is_shuffled_by_the_seed_in_every_block_anew():
    assert grid().order == grid().order
    assert grid(seed=2).order != grid().order
    assert sorted(map(str, grid(seed=2).order)) == sorted(map(str, grid().order))
    many = blocks(grid(repeats=10), "sample")
    assert len({tuple(block) for block in many}) > 1
    assert len({block[0] for block in many}) > 1, "no cell always comes first"


def test_more_repeats_keep_the_order_of_those_that_were_measured():
    three, five = grid(repeats=3), grid(repeats=5)
    for role in ("sample", "full"):
        assert blocks(five, role)[:3] == blocks(three, role)
        assert len(blocks(five, role)) == 5


def test_repeats_by_role_are_spent_where_claims_are_made():
    apart, three, five = grid(repeats={"sample": 3, "full": 5}), grid(repeats=3), grid(repeats=5)
    assert blocks(apart, "sample") == blocks(three, "sample") and blocks(apart, "full") == blocks(five, "full")
    assert len(apart.order) == 3 * 6 + 5 * 2
    assert sorted(record_paths(apart.describe())) == sorted(
        str(apart.record(cell, repeat)) for cell, repeat in apart.order
    )


def test_looks_with_fewer_blocks_are_described_and_this_one_is_not(tmp_path, monkeypatch):
    """Noting a look changes no description at that look, else every finished run would be derived once more."""
    monkeypatch.chdir(tmp_path)
    five, eight = grid(repeats={"sample": 3, "full": 5}), grid(repeats={"sample": 3, "full": 8})
    before = five.describe()
    looks.record(Path(five.looks), 5, 20)
    assert five.describe() == before and five.looks == eight.looks
    assert eight.describe()["looks"] == [{"blocks": 5, "most_repeats": 20}]
    assert str(five.looks).startswith(f"measurements/xeon-2/p{DEFAULT['protocol']}/")


def test_blocks_whose_verdicts_were_read_stay_where_nothing_is_to_be_measured_for_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    three = grid(repeats={"sample": 3, "full": 3})
    assert Grid.with_all_seen(three.config).repeats("full") == 3
    looks.record(Path(three.looks), 5, 20)
    lacking = Grid.with_all_seen(three.config)
    assert lacking.repeats("full") == 3 and "verdicts of 5 blocks" in lacking.notes[-1]
    for cell in three.full:
        for block in range(5):
            record = Path(three.record(cell, block))
            record.parent.mkdir(parents=True, exist_ok=True)
            record.touch()
    seen = Grid.with_all_seen(three.config)
    assert (seen.repeats("full"), seen.repeats("sample"), seen.notes) == (5, 3, three.notes)
    more = Grid.with_all_seen(three.config | {"repeats": 8})
    assert more.repeats("full") == 8 and more.notes == three.notes


SIZED = {"datasets": planted.SIZED["datasets"], "repeats": planted.SIZED["repeats"] | {"full": 2}}


def test_every_variant_runs_on_each_of_several_sizes_at_its_best_batch_size_and_no_control_does():
    sized = grid(control=True, **SIZED)
    assert {cell.dataset for cell in sized.sizes} == {f"sizes-photos-{size}" for size in (16, 24, 32, 40)}
    assert len(sized.sizes) == 2 * 4 and {cell.batch_size for cell in sized.sizes} == {BEST}
    assert {cell.variant for cell in sized.sizes} == {"pipeline", "tensorflow"}
    assert sized.cells == sized.sweep + sized.full + sized.sizes
    assert grid().sizes == [] and grid(datasets=DEFAULT["datasets"] | {"sizes": []}).sizes == []


def test_sizes_come_after_the_full_runs_in_shuffled_blocks_of_their_own():
    sized, before = grid(**SIZED), grid(repeats={"sample": 1, "full": 2})
    assert sized.order[: len(before.order)] == before.order  # nothing that was measured moves
    rest = sized.order[len(before.order) :]
    found = [[cell for cell, repeat in rest if repeat == block] for block in range(3)]
    assert [Counter(block) for block in found] == [Counter(sized.sizes)] * 3 and len(rest) == 3 * 8
    assert [repeat for _, repeat in rest] == [0] * 8 + [1] * 8 + [2] * 8
    assert len({tuple(block) for block in found}) > 1
    # Sizes are mixed inside a block: none of its data sets comes in one piece in every block.
    turns = [sum(one.dataset != two.dataset for one, two in zip(block, block[1:], strict=False)) for block in found]
    assert max(turns) > 3
    assert grid(seed=2, **SIZED).order != sized.order
    paths = sorted(str(sized.record(cell, repeat)) for cell, repeat in sized.order)
    assert sorted(record_paths(sized.describe())) == paths


def test_a_data_set_of_the_role_sizes_has_a_folder_and_a_name_of_its_own():
    sized = grid(**SIZED)
    cell = next(cell for cell in sized.sizes if cell.dataset == "sizes-photos-24")
    assert sized.find("sizes-photos-24", cell.name) == cell
    assert re.fullmatch(
        r"resources/datasets/sizes-photos-24-[0-9a-f]{8}/manifest\.csv", str(sized.manifest(cell.dataset))
    )
    assert "/sizes-photos-24-" in str(sized.record(cell, 0))
    # Its batch size is that of the full run.
    full = next(one for one in sized.full if (one.framework, one.variant) == (cell.framework, cell.variant))
    assert sized.choice(cell) == sized.choice(full) and sized.sweep_of(cell) == sized.sweep_of(full)
    # And that of a control is its twin's, whatever its own sweep would choose.
    twice = grid(control=True, **SIZED)
    control = next(one for one in twice.full if one.variant == f"{cell.variant}-control")
    assert twice.choice(control) == sized.choice(full) and twice.cell_folder(control) != twice.cell_folder(full)
    with pytest.raises(
        UserError, match="no data set sizes-photos-99 in this configuration; there is sample, full, sizes-"
    ):
        sized.find("sizes-photos-99", cell.name)
    assert grid().describe()["repeats"] == 3
    by_role = {"sample": 1, "full": 2, "sizes": 3}
    assert sized.describe()["repeats"] == by_role and grid(repeats=by_role).describe()["repeats"] == {
        "sample": 1,
        "full": 2,
    }


# --- paths


def test_a_record_lies_where_the_design_says():
    default = grid()
    path = default.record(default.find("sample", "sparknlp/tensorflow/cpu/w1/bs8"), 2)
    assert isinstance(path, PurePosixPath)
    slug = r"[a-z0-9._-]+-[0-9a-f]{8}"
    assert re.fullmatch(
        rf"measurements/xeon-2/p{DEFAULT['protocol']}/{slug}/sample-{slug}"
        r"/sparknlp/tensorflow-[0-9a-f]{8}/cpu/w1/bs8/rep2\.json",
        str(path),
    )
    full = default.record(default.full[0], 0)
    assert re.fullmatch(
        rf"measurements/xeon-2/p{DEFAULT['protocol']}/{slug}/full-{slug}/huggingface/{slug}/cpu/w1/bsbest/rep0\.json",
        str(full),
    )
    assert default.choice(default.full[0]) == full.parent / "choice.json"


def test_every_repeat_has_a_path_of_its_own():
    default = grid(devices=["cpu", "gpu"], repeats=5)
    paths = [default.record(cell, repeat) for cell, repeat in default.order]
    assert len(paths) == len(set(paths)) == 5 * 2 * (6 + 2)


def define(kind: str, name: str, /, **settings) -> dict:
    return {"define": {kind: {name: settings}}}


CHANGES = {
    "machine": ({}, {"machine": "xeon-4"}),
    "protocol": ({}, {"protocol": 99}),
    "model definition": tuple(
        {"model": "mine"} | define("models", "mine", kind="folder", folder=place) for place in ("a", "b")
    ),
    "data set definition": tuple(
        {"datasets": {"sample": "mine", "full": "photos-48"}} | define("datasets", "mine", kind="folder", folder=place)
        for place in ("a", "b")
    ),
    "number of photographs": ({}, {"datasets": {"sample": "photos-33", "full": "photos-48"}}),
    "variant definition": tuple(
        {"frameworks": ["huggingface/mine"]} | define("variants", "huggingface", mine={"image_processor": name})
        for name in ("pil", "torchvision")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_definition_never_meets_an_old_record(change):
    before, after = (grid(**changes) for changes in CHANGES[change])
    old, new = before.record(before.sweep[0], 0), after.record(after.sweep[0], 0)
    assert old != new
    assert [one == two for one, two in zip(old.parts, new.parts, strict=True)].count(False) == 1


def test_what_is_no_part_of_a_measurement_changes_no_path():
    old = grid()
    for changes in ({"repeats": 5}, {"seed": 3}, {"batch_sizes": [1, 8]}, {"parity": {"agreement": 1}}):
        assert str(grid(**changes).record(old.sweep[0], 0)) == str(old.record(old.sweep[0], 0))


def test_a_definition_is_the_same_whatever_the_order_of_its_keys():
    one, two = (
        grid(**{"frameworks": ["sparknlp/mine"]} | define("variants", "sparknlp", mine=settings))
        for settings in ({"engine": "onnx", "onnx_threads": 2}, {"onnx_threads": 2, "engine": "onnx"})
    )
    assert one.record(one.sweep[0], 0) == two.record(two.sweep[0], 0)


def test_platforms_of_a_variant_are_no_part_of_its_identity():
    one, two = (
        grid(**{"frameworks": ["sparknlp/mine"]} | define("variants", "sparknlp", mine={"engine": "onnx"} | more))
        for more in ({}, {"platforms": [LINUX], "otherwise": "sparknlp/onnx"})
    )
    assert one.record(one.sweep[0], 0) == two.record(two.sweep[0], 0)


def test_the_same_data_set_in_both_roles_has_a_folder_for_each():
    same = grid(datasets={"sample": "photos-32", "full": "photos-32"})
    sample, full = PurePosixPath(same.manifest("sample")), PurePosixPath(same.manifest("full"))
    assert re.fullmatch(r"resources/datasets/sample-photos-32-[0-9a-f]{8}/manifest\.csv", str(sample))
    assert re.fullmatch(r"resources/datasets/full-photos-32-[0-9a-f]{8}/manifest\.csv", str(full))
    assert sample.parent.name.rpartition("-")[2] != full.parent.name.rpartition("-")[2]


def test_parts_follow_engine_and_device():
    both = grid(devices=["cpu", "gpu"], frameworks=["huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx"])
    parts = {cell.name.partition("/w1")[0]: (both.model_folder(cell).name, both.jars(cell)) for cell in both.full}
    assert parts["huggingface/pipeline/cpu"] == ("checkpoint", None)
    assert parts["sparknlp/onnx/cpu"] == ("sparknlp-onnx", PurePosixPath("resources/jars/onnx-cpu"))
    assert parts["sparknlp/tensorflow/gpu"] == ("sparknlp-tensorflow", PurePosixPath("resources/jars/tensorflow-gpu"))


# --- platforms


def test_what_a_platform_cannot_run_is_skipped_and_its_stand_in_measured():
    arm = grid(ARM)
    assert list(arm.variants) == ["huggingface/pipeline", "sparknlp/onnx"]
    assert {cell.variant for cell in arm.sweep + arm.full} == {"pipeline", "onnx"}
    assert [cell.name for cell, _ in arm.skipped] == [
        *(f"sparknlp/tensorflow/cpu/w1/bs{size}" for size in (1, 8, 16)),
        "sparknlp/tensorflow/cpu/w1/bsbest",
    ]
    assert {reason for _, reason in arm.skipped} == {f"sparknlp/tensorflow has no native code for {ARM}"}
    assert len(arm.notes) == 1 and "skipped, sparknlp/onnx is measured in its place" in arm.notes[0]


def test_a_stand_in_that_is_measured_anyway_is_measured_once():
    for frameworks in (["sparknlp/tensorflow", "sparknlp/onnx"], ["sparknlp/onnx", "sparknlp/tensorflow"]):
        arm = grid(ARM, frameworks=["huggingface/pipeline", *frameworks])
        assert sorted(arm.variants) == ["huggingface/pipeline", "sparknlp/onnx"]
        assert len(arm.sweep) == len(set(arm.sweep)) == 6


def test_a_stand_in_has_the_same_record_as_if_it_had_been_chosen():
    arm, chosen = grid(ARM), grid(LINUX, frameworks=["huggingface/pipeline", "sparknlp/onnx"])
    name = "sparknlp/onnx/cpu/w1/bs8"
    assert arm.record(arm.find("sample", name), 0) == chosen.record(chosen.find("sample", name), 0)


def test_a_variant_without_a_stand_in_is_only_skipped():
    arm = grid(ARM, frameworks=["huggingface/pipeline", "sparknlp/tensorflow-no-onednn"])
    assert list(arm.variants) == ["huggingface/pipeline"] and len(arm.skipped) == 4
    assert arm.notes[0].endswith("skipped")


def test_a_baseline_that_cannot_run_is_replaced_by_its_stand_in():
    arm = grid(ARM, baseline="sparknlp/tensorflow")
    assert arm.baseline == "sparknlp/onnx" and arm.baseline in arm.variants


def test_a_baseline_without_a_stand_in_is_refused():
    with pytest.raises(UserError, match="baseline: sparknlp/tensorflow-no-onednn"):
        grid(
            ARM,
            frameworks=["huggingface/pipeline", "sparknlp/tensorflow-no-onednn"],
            baseline="sparknlp/tensorflow-no-onednn",
        )


def test_a_platform_that_runs_none_of_it_is_told_so():
    only = {"frameworks": ["sparknlp/tensorflow-no-onednn"], "baseline": "sparknlp/tensorflow-no-onednn"}
    with pytest.raises(UserError, match="none of them can be measured here; .*linux-arm64"):
        grid(ARM, **only)


def test_without_an_argument_the_platform_is_this_one(monkeypatch):
    monkeypatch.setattr(module, "platform_name", lambda: ARM)
    assert Grid(DEFAULT).platform == ARM and "sparknlp/onnx" in Grid(DEFAULT).variants


# --- finding


def test_a_cell_is_found_by_its_name_and_by_the_slug_of_its_variant():
    default = grid()
    for role, cells in (("sample", default.sweep), ("full", default.full)):
        for cell in cells:
            assert default.find(role, cell.name) == cell
            slugged = f"{cell.framework}/{default.variant_slug(cell)}/{cell.device}/w{cell.workers}/bs{cell.batch_size}"
            assert default.variant_slug(cell) != cell.variant and default.find(role, slugged) == cell


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("sample", "huggingface/pipeline/cpu/w1/bs2"),
        ("sample", "huggingface/pipeline/gpu/w1/bs1"),
        ("full", "huggingface/pipeline/cpu/w1/bs8"),
        ("sample", "huggingface/pipeline/cpu/w1/bsbest"),
        ("sample", "huggingface/pipeline-00000000/cpu/w1/bs1"),
    ],
)
def test_a_cell_that_is_not_there_is_named_with_those_that_are(role, name):
    with pytest.raises(UserError) as raised:
        grid().find(role, name)
    assert name in str(raised.value) and "sparknlp/tensorflow/cpu/w1/bs" in str(raised.value)


# --- a model that comes ready-made


READY_MADE = {"frameworks": ["huggingface/pipeline", "sparknlp/pretrained", "sparknlp/onnx"]}
HUB = {"kind": "hub", "hub": "google/vit-base-patch16-224@0123456"}


def test_a_ready_made_model_lies_by_its_name_and_is_not_exported(monkeypatch):
    monkeypatch.setattr(module, "definitions", with_model(HUB))
    made = grid(LINUX, model="theirs", **READY_MADE)
    ready = next(cell for cell in made.sweep if cell.variant == "pretrained")
    assert made.model_folder(ready).name == "sparknlp-pretrained-image_classifier_vit_base_patch16_224"
    assert made.jars(ready).name == "tensorflow-cpu"
    assert made.exports() == ["onnx"]


def test_a_ready_made_model_is_compared_with_no_other():
    with pytest.raises(UserError, match="frameworks: sparknlp/pretrained is the model google/vit-base-patch16-224"):
        grid(LINUX, **READY_MADE)


def with_model(definition):
    """`definitions`, as if this model stood in resources/models.yaml."""

    def found(config):
        defined = definitions(config)
        return defined | {"models": defined["models"] | {"theirs": definition}}

    return found


def test_a_quantised_graph_is_an_annotator_of_its_own_and_its_products_are_int8():
    names = ["huggingface/pipeline", "sparknlp/onnx-tuned", "sparknlp/onnx-int8"]
    made = grid(frameworks=names)
    needs = {cell.variant: made.needs(cell) for cell in made.sweep if cell.framework == "sparknlp"}
    plain, quantised = needs["onnx-tuned"], needs["onnx-int8"]
    assert (plain.form, quantised.form) == ("sparknlp-onnx", "sparknlp-onnx-dynamic")
    assert (plain.export, plain.jars) == (quantised.export, quantised.jars) == ("onnx", "onnx-cpu")
    assert (plain.precision, quantised.precision) == ("float32", "int8")
