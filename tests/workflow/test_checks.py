"""What is checked before anything costly starts is checked whatever folders and files are called."""

import pytest
import tree as trees


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was measured; its name and a folder in it are those of things that are only drawn."""
    copy = trees.clone(tmp_path_factory.mktemp("published") / "run1", without=("docs/images/", "tests/"))
    (copy.root / "campaigns").mkdir()
    (copy.root / "campaigns/mine.yaml").write_text("repeats: 2\n")
    return copy


@pytest.fixture
def pictures(tmp_path):
    """A folder of photographs below one that is called import."""
    folder = tmp_path / "import" / "pics"
    folder.mkdir(parents=True)
    return folder


WHERE = {
    "photographs in …/import/pics": lambda pictures: ["--config", f"photos={pictures}"],
    "a configuration at campaigns/mine.yaml": lambda pictures: ["--configfile", "campaigns/mine.yaml", "--config"],
    "a folder …/published/run1": lambda pictures: ["--config"],
}


@pytest.mark.parametrize("where", WHERE)
def test_the_estimate_is_said(fresh, pictures, where):
    said = fresh.snakemake("--dry-run", *WHERE[where](pictures), "seed=2")
    assert "measurements and 2 profiles to do" in said


@pytest.mark.parametrize("where", list(WHERE)[1:])
def test_a_batch_that_no_data_set_fills_is_refused(fresh, pictures, where):
    said = fresh.snakemake("--dry-run", *WHERE[where](pictures), "batch_sizes=[10000]", fails=True)
    assert "vitbench: batch_sizes: 10000 is larger than the " in said


@pytest.mark.parametrize("target", ["published", "campaigns", "reports/published/benchmark.xlsx"])
def test_what_is_only_drawn_asks_for_nothing_that_measuring_needs(fresh, target):
    said = fresh.snakemake("--dry-run", target, "--config", "frameworks=[none/such]", "baseline=none/such")
    assert "measurements" not in said


def test_a_configuration_that_cannot_be_measured_ends_with_one_line(fresh):
    said = fresh.snakemake("--dry-run", "--config", "frameworks=[none/such]", "baseline=none/such", fails=True)
    assert [line for line in said.splitlines() if line.startswith("vitbench: ")][-1].count("no such framework") == 1
    assert "Traceback" not in said


def test_lists_and_maps_of_the_command_line_are_numbers_where_numbers_belong(fresh):
    words = ["batch_sizes=[1,8]", "repeats={sample: 1, full: 4}", "profile=false", "passes={timed: 3}"]
    said = fresh.snakemake("--dry-run", "--config", *words)
    assert "vitbench: 20 of 20 measurements to do" in said  # 2 x 2 of the sweep, (2 + 2 controls) x 4


def test_labelling_plans_what_its_variant_needs_and_no_measurement(fresh, pictures):
    (pictures / "1.jpg").touch()
    images = ["classify", "--config", f"images={pictures}"]
    asked = fresh.planned(*images, "variant=onnxruntime/int8")
    needed = ("build_checkpoint", "export_onnx", "prepare_onnxruntime", "check_export", "write_configuration")
    assert asked == dict.fromkeys((*needed, "classify"), 1)
    # By itself it is the baseline, which loads the checkpoint as it is.
    assert fresh.planned(*images) == dict.fromkeys(("build_checkpoint", "write_configuration", "classify"), 1)


def test_images_that_cannot_be_labelled_end_no_run_that_only_measures(fresh):
    assert "measure" in fresh.planned("--config", "images=nowhere", "out=config")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([], "images: name a folder, a list, a Parquet file or the URL of a store"),
        (["images=nowhere"], "images: "),
        (["images=s3://me:secret@bucket/photos"], "images: this URL holds a password"),
        (["images=.", "variant=keras/plain"], "no such framework"),
        (["images=.", "model=./no-vit"], "model: no-vit is no folder"),
        (["images=.", "out=config"], "holds other things than a job of ours"),
    ],
)
def test_what_cannot_be_labelled_is_said_before_anything_is_made(fresh, settings, words):
    said = fresh.snakemake("--dry-run", "classify", "--config", "seed=1", *settings, fails=True)
    last = [line for line in said.splitlines() if line.startswith("vitbench: ")][-1]
    # What stands on its command line Snakemake itself repeats.
    assert words in last and "secret" not in last
    assert "Traceback" not in said
