"""What a run will cost: by the records that are there, else by the assumptions of resources/estimates.yaml."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import planted
import pytest
import yaml
from example_records import example_record
from test_path_lists import parquet

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS
from vitbench.inputs.arithmetic import VIT_BASE, flop_per_image
from vitbench.inputs.datasets import COLUMNS
from vitbench.plan import estimate
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid, archive_path
from vitbench.records import record as records

ASSUMED = yaml.safe_load((HOME / "resources" / "estimates.yaml").read_text())
HF, TF = "huggingface/pipeline/cpu/w1", "sparknlp/tensorflow/cpu/w1"


@pytest.fixture
def grid(tmp_path, monkeypatch) -> Grid:
    """The default's grid on two cores, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "cores", lambda: 2)
    monkeypatch.setattr(estimate, "platform_name", lambda: "linux-x86_64")
    return Grid(planted.CONFIG, "linux-x86_64")


def plant(grid: Grid, role: str, name: str, repeat: int = 0, **changes) -> None:
    records.write(Path(grid.record(grid.find(role, name), repeat)), example_record(**changes))


def seconds_of(grid: Grid, role: str, name: str) -> float:
    return estimate.seconds(grid, [(grid.find(role, name), 0)])


# --- without records


def test_without_records_the_assumptions_are_used(grid):
    flop = flop_per_image(VIT_BASE)
    passes = ASSUMED["cold_pass_factor"] + 3 + 5  # 4 of 32 images, of which the first is cold, and 5 timed ones
    expected = [
        FRAMEWORKS["huggingface"].start_and_load_seconds + passes * 32 * flop / (rate * 1e9 * 2)
        for rate in ASSUMED["gflops_per_core"].values()
    ]
    assert any(seconds_of(grid, "sample", f"{HF}/bs8") == pytest.approx(one) for one in expected)


def test_photographs_of_a_camera_take_longer_by_what_decoding_them_takes(grid):
    large = Grid(planted.CONFIG | {"datasets": dict.fromkeys(("sample", "full"), "photos-large-16")}, "linux-x86_64")
    crops = Grid(planted.CONFIG | {"datasets": dict.fromkeys(("sample", "full"), "photos-16")}, "linux-x86_64")
    more = seconds_of(large, "full", f"{HF}/bsbest") - seconds_of(crops, "full", f"{HF}/bsbest")
    passes = ASSUMED["cold_pass_factor"] + 7 + 5  # 8 of 16 images, of which the first is cold, and 5 timed ones
    assert more == pytest.approx(passes * 16 * 12 / ASSUMED["megapixels_decoded_per_second"])


def test_more_images_take_longer_and_more_cores_less_but_starting_stays(grid, monkeypatch):
    start = FRAMEWORKS["sparknlp"].start_and_load_seconds
    sample, full = seconds_of(grid, "sample", f"{TF}/bs8") - start, seconds_of(grid, "full", f"{TF}/bsbest") - start
    factor = ASSUMED["cold_pass_factor"]
    # A short pass has an image for each of the two cores, and is planned.
    short = grid.config["passes"]["short_passes"]
    planning = short * FRAMEWORKS["sparknlp"].planning_seconds
    an_image = (sample - planning) / ((factor + 3 + 5) * 32 + 2 * short)
    assert planning > 0 and an_image > 0
    assert full == pytest.approx(planning + an_image * ((factor + 2 + 5) * 48 + 2 * short))
    # With three cores it has three, which take as long as two did.
    monkeypatch.setattr(estimate, "cores", lambda: 3)
    fewer = planning + an_image * (2 / 3 * (factor + 3 + 5) * 32 + 2 * short)
    assert seconds_of(grid, "sample", f"{TF}/bs8") - start == pytest.approx(fewer)


def test_a_smaller_model_is_faster(grid):
    small = Grid(grid.config | {"model": "vit-tiny-seeded"}, "linux-x86_64")
    assert seconds_of(small, "sample", f"{HF}/bs8") < seconds_of(grid, "sample", f"{HF}/bs8") / 2


def test_the_images_of_a_manifest_are_counted(grid, tmp_path):
    manifest = tmp_path / grid.manifest("sample")
    start = FRAMEWORKS["huggingface"].start_and_load_seconds
    before = seconds_of(grid, "sample", f"{HF}/bs8") - start
    manifest.parent.mkdir(parents=True)
    manifest.write_text("id,valid\n" + '"a name\nof two lines",1\n' * 16)
    factor = ASSUMED["cold_pass_factor"]  # 13 passes of 16 images where there were 9 of 32
    assert seconds_of(grid, "sample", f"{HF}/bs8") - start == pytest.approx(before / 2 * (factor + 12) / (factor + 8))


def test_a_long_pass_is_warm_up_enough_and_one_more_is_timed(grid, tmp_path):
    manifest = tmp_path / grid.manifest("sample")
    manifest.parent.mkdir(parents=True)
    start, factor = FRAMEWORKS["huggingface"].start_and_load_seconds, ASSUMED["cold_pass_factor"]
    short = seconds_of(grid, "sample", f"{HF}/bs8") - start  # of 32 images
    manifest.write_text("id,valid\n" + "x,1\n" * 32_000)
    long = seconds_of(grid, "sample", f"{HF}/bs8") - start
    assert long == pytest.approx(1000 * short * (factor + 1) / (factor + 8))


def test_the_whole_is_the_sum_of_its_parts(grid):
    one_by_one = sum(estimate.seconds(grid, [place]) for place in grid.order)
    assert estimate.seconds(grid, estimate.missing(grid)) == pytest.approx(one_by_one)
    assert estimate.seconds(grid, []) == 0


def of_files(grid: Grid, definition: dict) -> Grid:
    """The grid with these files in both roles."""
    define = {"datasets": {"mine": definition}}
    return Grid(grid.config | {"define": define, "datasets": {"sample": "mine", "full": "mine"}}, "linux-x86_64")


@pytest.mark.parametrize("kind", ["folder", "text", "Parquet"])
def test_files_that_nobody_has_opened_yet_are_counted(grid, tmp_path, kind):
    for number in range(16):
        path = tmp_path / "photographs" / str(number % 3) / f"{number}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "photographs" / "notes.txt").touch()
    listed = [f"{number}.jpg" for number in range(16)]
    if kind == "folder":
        definition = {"kind": "folder", "folder": str(tmp_path / "photographs")}
    elif kind == "text":
        (tmp_path / "list").write_text("\n".join(listed))
        definition = {"kind": "list", "list": str(tmp_path / "list")}
    else:
        definition = {"kind": "list", "list": str(parquet(tmp_path / "list", path=listed))}
    mine, few = of_files(grid, definition), of_files(grid, definition | {"at_most": 8})
    for images, counted in ((16, mine), (8, few)):
        known = Grid(grid.config | {"datasets": {"sample": "photos-32", "full": f"photos-{images}"}}, "linux-x86_64")
        assert seconds_of(counted, "full", f"{HF}/bsbest") == seconds_of(known, "full", f"{HF}/bsbest")
    with pytest.raises(UserError, match="batch_sizes: 16 is larger than the 8 images"):
        estimate.check_start(few)


def test_a_folder_that_is_not_there_is_for_the_data_sets_own_job_to_name(grid, tmp_path):
    mine = of_files(grid, {"kind": "folder", "folder": str(tmp_path / "nowhere")})
    estimate.announce(mine)
    estimate.check_start(mine)


# --- with records


def test_with_records_their_times_are_used_for_the_same_variant_and_no_other(grid):
    other = seconds_of(grid, "sample", f"{TF}/bs8")
    plant(grid, "sample", f"{HF}/bs1")  # 15.5 s, of which 10.5 s in three passes over 6 images
    assert seconds_of(grid, "sample", f"{HF}/bs16") == pytest.approx(5 + 10.5 / 18 * 32 * (4 + 5))
    assert seconds_of(grid, "full", f"{HF}/bsbest") == pytest.approx(5 + 10.5 / 18 * 48 * (3 + 5))
    assert seconds_of(grid, "sample", f"{TF}/bs8") == other


def test_the_median_of_several_records_counts(grid):
    for repeat, total in enumerate((15.5, 16.5, 100.0)):
        plant(grid, "sample", f"{HF}/bs1", repeat, total_seconds=total)
    assert seconds_of(grid, "sample", f"{HF}/bs8") == pytest.approx(6 + 10.5 / 18 * 32 * 9)


def test_attempts_that_were_set_aside_are_part_of_what_a_repeat_takes(grid):
    plant(grid, "sample", f"{HF}/bs1")
    asked = [(grid.find("sample", f"{HF}/bs8"), 0)]
    set_aside = [{"total_seconds": 30.0}, {"total_seconds": 40.0}]
    found = estimate.seconds(grid, asked, lambda path: records.read(path) | {"attempts": set_aside})
    assert found == pytest.approx(estimate.seconds(grid, asked) + 70)


def test_a_batch_size_of_an_earlier_sweep_that_is_not_configured_is_refused_and_not_compared(grid):
    alone = Grid(planted.CONFIG | {"batch_sizes": [8], "repeats": {"sample": 0, "full": 3}}, "linux-x86_64")
    choice = Path(alone.choice(alone.full[0]))
    choice.parent.mkdir(parents=True)
    for kept in (8, None):
        choice.write_text(json.dumps({"batch_size": kept}))
        estimate.check_start(alone)
    choice.write_text(json.dumps({"batch_size": 1}))
    with pytest.raises(UserError, match="keep 1, which an earlier sweep chose.*names 8 and no sweep"):
        estimate.check_start(alone)
    # Where it is swept anew the table says what is kept, and `snakemake tune` keeps what it found.
    estimate.check_start(grid)
    estimate.check_start(Grid(alone.config | {"trials": {"huggingface/pipeline": 2}}, "linux-x86_64"))


def test_only_the_last_few_records_of_a_cell_are_read(grid):
    many, read = Grid(planted.CONFIG | {"repeats": 6}, "linux-x86_64"), []
    for repeat in range(6):
        plant(many, "sample", f"{HF}/bs1", repeat, total_seconds=1000.0 if repeat < 3 else 16.5)
    asked = [(many.find("sample", f"{HF}/bs8"), 0)]
    found = estimate.seconds(many, asked, lambda path: read.append(path) or records.read(path))
    assert found == pytest.approx(6 + 10.5 / 18 * 32 * 9) and len(read) == estimate.ENOUGH


def test_a_repeat_over_as_many_images_tells_it_better_than_any_other(grid):
    plant(grid, "sample", f"{HF}/bs1")
    plant(grid, "full", f"{HF}/bsbest", images=48, dataset="full")  # 10.5 s in all of its passes
    assert seconds_of(grid, "full", f"{HF}/bsbest") == pytest.approx(5 + 10.5)


def test_an_image_that_is_none_makes_no_data_set_another(grid):
    planted.plant_manifest(Path(), grid, "full")
    manifest = Path(grid.manifest("full"))
    *images, last = manifest.read_text().splitlines()
    valid = len(images) - 1
    cells = next(csv.reader([last]))
    cells[COLUMNS.index("valid")] = "0"
    manifest.write_text("\n".join([*images, ",".join(cells)]) + "\n")
    plant(grid, "sample", f"{HF}/bs1")
    plant(grid, "full", f"{HF}/bsbest", images=valid, dataset="full")
    assert seconds_of(grid, "full", f"{HF}/bsbest") == pytest.approx(5 + 10.5)


def test_an_export_is_imported_on_the_cpu_also_where_a_gpu_alone_is_measured(tmp_path, grid):
    sizes = json.loads((HOME / "envs" / "downloads.json").read_text())
    named = planted.CONFIG | {"frameworks": ["huggingface/pipeline", "sparknlp/onnx"], "batch_sizes": [1, 8]}
    only_gpu, only_cpu = (Grid(named | {"devices": [one]}, "linux-x86_64") for one in ("gpu", "cpu"))
    more = estimate.to_prepare(only_gpu)[1] - estimate.to_prepare(only_cpu)[1]
    assert more == estimate._bytes(sizes, "onnx-gpu")


def test_data_sets_of_several_sizes_are_announced_with_their_time(grid, capsys):
    sized = Grid(planted.SIZED | {"control": False}, "linux-x86_64")
    estimate.announce(sized)
    assert capsys.readouterr().err.startswith("vitbench: 28 of 28 measurements and 2 profiles")  # 2 + 2 + 3 × 2 × 4
    start = FRAMEWORKS["huggingface"].start_and_load_seconds
    few, many = (seconds_of(sized, f"sizes-photos-{size}", f"{HF}/bsbest") - start for size in (16, 40))
    factor = ASSUMED["cold_pass_factor"]
    assert many / few == pytest.approx((40 * (factor + 3 + 5)) / (16 * (factor + 7 + 5)))
    small = Grid(planted.SIZED | {"batch_sizes": [24]}, "linux-x86_64")
    with pytest.raises(UserError, match="24 is larger than the 16 images of the data set `sizes-photos-16`"):
        estimate.check_start(small)


def test_a_failed_repeat_tells_nothing_of_how_long_one_takes(grid):
    before = seconds_of(grid, "sample", f"{HF}/bs8")
    nothing = dict.fromkeys(("wall_seconds", "throughput", "valid_predictions", "cold_seconds", "accuracy"))
    plant(
        grid, "sample", f"{HF}/bs1", status="oom", passes=[], timed_passes=0, steady=None, total_seconds=1.0, **nothing
    )
    assert seconds_of(grid, "sample", f"{HF}/bs8") == before


def test_a_broken_record_is_one_line_that_names_it(grid, tmp_path):
    plant(grid, "sample", f"{HF}/bs1")
    path = tmp_path / grid.record(grid.find("sample", f"{HF}/bs1"), 0)
    path.write_text("{")
    with pytest.raises(UserError, match="rep0.json"):
        estimate.seconds(grid, estimate.missing(grid))


def test_missing_are_those_without_a_record_in_the_order_of_measuring(grid):
    assert estimate.missing(grid) == grid.order
    plant(grid, "sample", f"{HF}/bs1", 1)
    expected = [place for place in grid.order if place != (grid.find("sample", f"{HF}/bs1"), 1)]
    assert estimate.missing(grid) == expected


# --- what is said


def test_a_run_begins_with_measurements_minutes_and_bytes(grid, tmp_path, capsys):
    estimate.announce(grid)
    line = capsys.readouterr().err.strip()
    assert line.startswith("vitbench: 30 of 30 measurements and 2 profiles to do, about ") and "\n" not in line
    preparing, to_download = estimate.to_prepare(grid)
    profiling = 2 * estimate.seconds(grid, [(cell, 0) for cell in grid.profiles()])
    minutes = (estimate.seconds(grid, grid.order) + profiling + preparing) / 60
    assert f"about {round(minutes)} minutes" in line and f"about {to_download / 1e6:.0f} MB" in line
    assert to_download > 4e8 and preparing > 60


@pytest.fixture
def article(tmp_path, grid) -> Grid:
    """The article's data sets and batch sizes."""
    article = load(HOME / "config" / "article.yaml")
    return Grid(article, "linux-x86_64")


def test_the_article_begins_with_its_hours_its_gigabytes_and_the_smaller_preset(article, capsys):
    estimate.announce(article)
    first, second = capsys.readouterr().err.splitlines()
    hours = int(re.search(r"about (\d+) hours \([\d.]+ days\)", first)[1])
    left = article.order
    assert hours == round((estimate.seconds(article, left) + estimate.to_prepare(article)[0]) / 3600) > 24
    megabytes = int(re.search(r"about (\d+) MB to download", first)[1])
    assert megabytes > 4000
    assert "smaller preset is the embedded default" in second and "photos-16 and photos-32" in second
    assert re.search(r"about \d+ minutes", second)


def test_an_archive_that_is_there_is_not_downloaded(article, tmp_path):
    before = estimate.to_prepare(article)[1]
    path = tmp_path / archive_path("imagenet-mini")
    path.parent.mkdir(parents=True)
    path.touch()
    assert before - estimate.to_prepare(article)[1] == 34_745 * ASSUMED["bytes_per_image"]


def test_what_lies_there_is_not_downloaded_or_prepared_again(grid, tmp_path):
    preparing, to_download = estimate.to_prepare(grid)
    (tmp_path / "resources/jars/tensorflow-cpu").mkdir(parents=True)
    less, fewer = estimate.to_prepare(grid)
    assert less < preparing and 0 < fewer < to_download - 4e8
    for folder in ("checkpoint", "tensorflow", "sparknlp-tensorflow"):
        (tmp_path / "resources/models" / grid.model.slug / folder).mkdir(parents=True)
    for role in grid.datasets:
        (tmp_path / grid.manifest(role)).parent.mkdir(parents=True)
        (tmp_path / grid.manifest(role)).write_text("id\nx\n")
    assert estimate.to_prepare(grid) == (0, 0)


def test_a_profile_that_cannot_be_takes_no_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(estimate, "seconds", lambda _grid, repeats: asked.append(list(repeats)) or 0.0)
    estimate.announce(Grid(planted.CONFIG | {"frameworks": ["huggingface/pipeline", "huggingface/dataloader"]}))
    assert "and 2 profiles" in capsys.readouterr().err
    assert [cell.variant for cell, _ in asked[1]] == ["pipeline"]


def test_a_finished_run_begins_with_saying_so_and_notes_are_said_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arm = Grid(planted.CONFIG, "linux-arm64")
    for cell, repeat in arm.order:
        path = tmp_path / arm.record(cell, repeat)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    for cell in arm.profiles():
        (tmp_path / arm.profile(cell)).write_text("{}")
    estimate.announce(arm)
    lines = capsys.readouterr().err.splitlines()
    assert "sparknlp/onnx is measured in its place" in lines[0]
    assert lines[1] == "vitbench: all 30 measurements are there"
