"""The answer in words, for each way a comparison can end, and the eight lines of the end of a run."""

from __future__ import annotations

import pandas
import pytest
from example_tables import TWO, example, typed

from vitbench.files import HOME
from vitbench.present.answer import answer, article_line, closing_lines, headline, name_variant

VERSIONS = {"transformers": "5.23.0", "spark-nlp": "5.5.3"}
ROW = {
    "baseline": "huggingface/pipeline/cpu/w1/bs8", "candidate": "sparknlp/tensorflow/cpu/w1/bs16", "dataset": "full",
    "speedup": 1.558, "low": 1.49, "high": 1.62, "verdict": "too few repeats", "blocks": 3, "faster_blocks": 3,
    "images": 48, "comparison": "each at its best batch size, full",
}  # fmt: skip


def speedup(*changes: dict) -> pandas.DataFrame:
    return typed([ROW | change for change in changes], "speedup")


def published() -> pandas.DataFrame:
    return pandas.read_csv(HOME / "resources" / "published" / "runs.csv")


# --- the sentence


def test_too_few_repeats_are_said_with_their_range_and_no_verdict():
    assert answer(speedup({}), VERSIONS) == (
        "Spark NLP 5.5.3 (tensorflow) was 1.56 times as fast as Hugging Face 5.23.0 (pipeline) on 48 images "
        "[range 1.49–1.62, faster in 3 of 3 blocks; no verdict below 5]"
    )


@pytest.mark.parametrize("verdict", ["faster", "slower", "tie"])
def test_a_verdict_is_said_with_its_interval(verdict):
    sentence = answer(speedup({"verdict": verdict, "blocks": 5}), VERSIONS)
    assert sentence.endswith(f"[95% interval 1.49–1.62, 5 blocks: {verdict}]")


def test_a_failed_parity_gives_no_ratio_but_its_reason():
    nothing = dict.fromkeys(("speedup", "low", "high"))
    sentence = answer(speedup({"verdict": "parity failed", "reason": "3 images lost"} | nothing), VERSIONS)
    assert "parity failed" in sentence and "3 images lost" in sentence
    assert "times as fast" not in sentence and "nan" not in sentence


def test_nothing_to_compare_is_said():
    assert "Nothing to compare" in answer(speedup(), VERSIONS)
    assert "Nothing to compare" in answer(speedup({"dataset": "sample"}), VERSIONS)


def test_unknown_versions_and_frameworks_are_left_as_they_are():
    assert name_variant("sparknlp/onnx/cpu/w1/bs1", {}) == "Spark NLP (onnx)"
    assert name_variant("keras/plain/cpu/w1/bs1", {"keras": "3.1"}) == "keras 3.1 (plain)"


# --- which comparison answers the question


def test_the_answer_is_between_frameworks_on_the_full_data_set():
    within = {"candidate": "huggingface/pipeline-torchvision/cpu/w1/bs8"}
    assert headline(speedup({"dataset": "sample"}, within, {})).candidate == ROW["candidate"]
    assert headline(speedup(within)).candidate == within["candidate"]
    assert headline(speedup({"dataset": "sample"})) is None


def test_the_answer_is_that_of_the_cpu_where_both_devices_were_measured():
    gpu = {key: ROW[key].replace("/cpu/", "/gpu/") for key in ("baseline", "candidate")}
    assert headline(speedup(gpu, {})).candidate == ROW["candidate"]
    assert headline(speedup(gpu)).candidate == gpu["candidate"]


# --- the article, and the eight lines


def test_the_articles_ratio_is_computed_from_its_published_seconds():
    assert "1.15 times as fast (one run)" in article_line(published())
    halved = published()
    halved.loc[(halved.framework == "sparknlp") & (halved.part == 2), "seconds"] /= 2
    assert "2.30 times as fast" in article_line(halved)


def closing(run, **more) -> list[str]:
    context = run.context | {"gpus": [], "label_note": ""} | more
    return closing_lines(run.runs, run.best, run.parity, run.speedup, context, published(), 12.4)


def test_a_run_ends_with_eight_lines():
    run = example(TWO)
    lines = closing(run)
    assert len(lines) == 8 and all(lines) and not any("\n" in line or "nan" in line for line in lines)
    assert lines[0] == run.context["answer"]
    assert "the same for 48 of 48 images" in lines[1] and "Best batch size: huggingface/pipeline" in lines[1]
    assert "1.15" in lines[2] and "Not measured: gpu (none found)" in lines[3]
    assert (
        lines[4].startswith(f"{len(run.runs)} measurements in")
        and "0 failed, 0 suspect, 0 without a steady state." in lines[4]
    )
    assert "repeats=5 (make standard), about 12 min more" in lines[6]


def test_labels_that_the_model_has_not_are_one_line_more_unless_it_knows_none_by_its_making():
    run = example(TWO)
    note = "accuracy over 2 of 6 images; no label of the model: kat; nearest: cat for kat"
    data_sets = {role: one | {"labels": note} for role, one in run.context["datasets"].items()}
    lines = closing(run, datasets=data_sets)
    assert len(lines) == 9 and lines[7] == f"A{note[1:]}."
    assert len(closing(run, datasets=data_sets, label_note="labels are not valid")) == 8


def test_failures_and_flags_are_counted_and_what_was_skipped_is_not_a_failure():
    run = example(
        (*TWO, "sparknlp/onnx"),
        failed={("huggingface/pipeline", 16): "oom", "sparknlp/onnx": "skipped"},
        flags={("huggingface/pipeline", 1): "no steady state;suspect"},
    )
    assert "3 failed, 3 suspect, 3 without a steady state." in closing(run)[4]
    assert closing(run)[4].startswith(f"{(run.runs.status != 'skipped').sum()} measurements")


def test_what_disturbed_a_suspect_repeat_is_said():
    run = example(TWO, flags={("huggingface/pipeline", 8): "suspect"})
    suspects = run.runs.index[run.runs["flags"] == "suspect"]
    run.runs.loc[suspects[1], "suspect_because"] = "on battery power"
    assert f"{len(suspects)} suspect (on battery power), 0 without a steady state." in closing(run)[4]
    run.runs.loc[suspects[2], "suspect_because"] = "1.0 GB free before (limit 4)"
    assert f"{len(suspects)} suspect (the first: on battery power), 0 without a steady state." in closing(run)[4]


def test_attempts_that_were_set_aside_are_counted_with_their_time():
    run = example(TWO)
    run.runs.loc[0, ["attempts", "set_aside_seconds"]] = [2, 3600.0]
    minutes = run.runs.total_seconds.sum() / 60 + 60
    assert f"in {minutes:.0f} min" in closing(run)[4] and closing(run)[4].endswith("; 2 measured again.")


def test_the_control_is_no_answer():
    control = {"candidate": "huggingface/pipeline-control/cpu/w1/bs8", "comparison": "A/A control"}
    assert headline(speedup(control)) is None
    assert headline(speedup(control, {})).candidate == ROW["candidate"]


def test_with_enough_repeats_and_a_gpu_the_lines_say_so():
    lines = closing(example(TWO, repeats=5))
    assert "repeats=10 (make rigorous)" in lines[6]
    assert "Not measured" not in closing(example(TWO, devices=("cpu", "gpu")))[3]
    assert "A100: add gpu" in closing(example(TWO), gpus=["A100"])[3]


def test_what_is_said_of_photographs_depends_on_whose_they_are():
    assert "make photos=" in closing(example(TWO))[7]
    assert "labels are not" in closing(example(TWO), label_note="not its own")[7]


def test_lines_of_a_run_in_which_nothing_worked():
    run = example(TWO, failed=dict.fromkeys(TWO, "error"))
    lines = closing(run)
    assert len(lines) == 8 and not any("nan" in line for line in lines)
    assert "pipeline none" in lines[1]
