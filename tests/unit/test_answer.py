"""The answer in words, for each way a comparison can end, and the eight lines of the end of a run."""

from __future__ import annotations

import shlex

import collect_records
import pandas
import planted
import pytest
import write_context
import write_summary
import yaml
from example_tables import TWO, example, typed

from vitbench import tables
from vitbench.analysis.fairness import BEST, ENGINE, UNEQUAL
from vitbench.analysis.looks import Rule
from vitbench.files import HOME
from vitbench.present.answer import (
    answer,
    article_line,
    closing_lines,
    headline,
    name_variant,
    noise_line,
    other_terms,
    repeat_command,
)
from vitbench.records.archive import open_archive

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


def test_one_block_has_no_range():
    one = {"blocks": 1, "faster_blocks": 1, "low": 1.558, "high": 1.558}
    assert answer(speedup(one), VERSIONS).endswith("on 48 images [1 block; no verdict below 5]")
    other = one | {"candidate": "sparknlp/onnx/cpu/w1/bs8", "fairness": "any precision"}
    (line,) = other_terms(speedup(one | {"fairness": "equal input, precision and threads"}, other), VERSIONS)
    assert "1.56 times as fast [1 block: too few repeats]" in line
    control = one | {"family": "control", "candidate": "huggingface/pipeline-control/cpu/w1/bs8"}
    assert "itself 1.56 (n = 1): too few" in noise_line(speedup(control))


@pytest.mark.parametrize("verdict", ["faster", "slower", "inconclusive"])
def test_a_verdict_is_said_with_its_interval(verdict):
    sentence = answer(speedup({"verdict": verdict, "blocks": 5}), VERSIONS)
    assert sentence.endswith(f"[95% interval 1.49–1.62, 5 blocks: {verdict}]")


def test_equivalence_is_said_with_its_margin():
    sentence = answer(speedup({"verdict": "equivalent", "blocks": 5, "margin": 0.05}), VERSIONS)
    assert sentence.endswith("[95% interval 1.49–1.62, 5 blocks: equivalent within 5%]")


def test_an_exploratory_comparison_is_called_so():
    for verdict in ("faster", "equivalent", "too few repeats"):
        row = {"verdict": verdict, "blocks": 5, "margin": 0.05}
        assert answer(speedup(row | {"family": "exploratory"}), VERSIONS).endswith("; exploratory]")
        assert "exploratory" not in answer(speedup(row | {"family": "primary"}), VERSIONS)


def test_the_command_that_repeats_a_comparison_names_all_that_it_was_of():
    cells = [f"huggingface/{name}/gpu/w1/bs{size}" for name, size in (("pipeline", 64), ("dataloader", 64), ("d", 16))]
    words = shlex.split(repeat_command(cells))
    assert words[:2] == ["snakemake", "--config"]
    given = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in words[2:])}
    assert given == {"model": "NAME", "photos": "DIR", "repeats": 5, "baseline": "huggingface/pipeline",
                     "devices": ["gpu"], "batch_sizes": [16, 64],
                     "frameworks": ["huggingface/pipeline", "huggingface/dataloader", "huggingface/d"]}  # fmt: skip


def control(framework: str, verdict: str = "inconclusive", **more) -> dict:
    name = f"{framework}/v/cpu/w1/bs8"
    return {
        "baseline": name, "candidate": name.replace("/v/", "/v-control/"), "family": "control", "verdict": verdict,
        "comparison": "A/A control", "speedup": 1.04, "low": 0.92, "high": 1.1, "blocks": 5, "floor": 1.09,
        "floor_low": 1.05, "floor_high": 1.29,
    } | more  # fmt: skip


def test_the_noise_is_said_with_each_control_and_its_own_uncertainty():
    line = noise_line(speedup({}, control("huggingface"), control("sparknlp", speedup=0.98)))
    assert "huggingface/v/cpu against itself 1.04" in line and "sparknlp/v/cpu against itself 0.98" in line
    assert "within 0.92 to 1.09" in line and "1.05 to 1.29" in line and "believed" not in line
    assert "no claim of that device is to be believed" in noise_line(speedup(control("sparknlp", "slower")))
    assert noise_line(speedup({})) == ""


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


def test_equal_terms_are_answered_first_then_the_articles_and_the_others_stand_in_a_line():
    equal = {"candidate": "sparknlp/onnx-tuned/cpu/w1/bs8", "fairness": "equal input, precision and threads"}
    article, lower = {"fairness": "as in the article"}, {"candidate": "sparknlp/onnx/cpu/w1/bs1", "speedup": 2.5}
    rows = speedup(lower | {"fairness": "any precision"}, article, equal | {"speedup": 1.25})
    assert headline(rows).candidate == equal["candidate"]
    assert "on 48 images (equal input, precision and threads) [" in answer(rows, VERSIONS)
    assert headline(rows.iloc[:2]).candidate == ROW["candidate"]
    (line,) = other_terms(rows, VERSIONS)
    assert "as in the article, Spark NLP 5.5.3 (tensorflow) 1.56 times as fast [range 1.49–1.62: too few" in line
    assert "any precision, Spark NLP 5.5.3 (onnx) 2.50 times" in line and "equal input" not in line
    assert line.index("as in the article") < line.index("any precision") and "the fastest of" not in line
    faster = {"candidate": "openvino/int8/cpu/w1/bs8", "speedup": 5.0, "fairness": "any precision"}
    several = speedup(lower | {"fairness": "any precision"}, faster, article, equal | {"speedup": 1.25})
    (line,) = other_terms(several, VERSIONS)
    assert "(int8) 5.00 times" in line and "the fastest of 2" in line
    gpu = {"candidate": ROW["baseline"].replace("/cpu/", "/gpu/"), "fairness": "not on equal terms"}
    assert other_terms(speedup(article, gpu), VERSIONS) == []  # another device is another question
    assert other_terms(speedup({}), VERSIONS) == other_terms(speedup(article), VERSIONS) == []
    # What is on no equal terms goes by its place in the table, whatever its label.
    unequal = {"candidate": "sparknlp/v/cpu/w1/bs8", "fairness": "not on equal terms"}
    assert headline(speedup(unequal, lower | {"fairness": "any precision"})).candidate == unequal["candidate"]


# --- the article, and the eight lines


def test_the_articles_ratio_is_computed_from_its_published_seconds():
    assert "1.15 times as fast (one run)" in article_line(published())
    halved = published()
    halved.loc[(halved.framework == "sparknlp") & (halved.part == 2), "seconds"] /= 2
    assert "2.30 times as fast" in article_line(halved)


def closing(run, rule=Rule(most=20), **more) -> list[str]:  # noqa: B008 — frozen
    total = typed(more.pop("total_time", []), "total_time")
    context = run.context | {"gpus": [], "label_note": ""} | more
    return closing_lines(run.runs, run.best, run.parity, run.speedup, context, total, published(), 0.05, rule)


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
    assert "make settle" in lines[6] and "1 of 1 primary comparisons not decided" in lines[6]
    assert "about 40 blocks" in lines[6] and "about 9 h" in lines[6] and "`most_repeats` is 20" in lines[6]


def test_hours_for_a_million_images_are_said_with_their_interval_or_why_there_are_none():
    line = {"framework": "huggingface", "variant": "pipeline", "device": "cpu", "workers": 1, "data_sets": 5,
            "hours": 36.71, "hours_low": 35.02, "hours_high": 38.49}  # fmt: skip
    bent = {"framework": "sparknlp", "variant": "onnx", "device": "gpu", "workers": 1}
    bent |= {"reason": "no line: 16 images lie off it"}
    (said,) = set(closing(example(TWO), total_time=[line, bent])) - set(closing(example(TWO)))
    assert "huggingface/pipeline 36.7 hours [35.0, 38.5]" in said and "through 5 sizes" in said
    assert "sparknlp/onnx (GPU) no hours, no line: 16 images lie off it" in said and "nan" not in said
    (only,) = set(closing(example(TWO), total_time=[bent])) - set(closing(example(TWO)))
    assert "95%" not in only


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


@pytest.mark.parametrize(
    ("baseline", "candidate", "named"),
    [
        ("huggingface/pipeline/cpu/w1/bs8", "sparknlp/onnx/cpu/w1/bs8", ["(pipeline)", "(onnx)"]),
        ("huggingface/pipeline/gpu/w1/bs8", "sparknlp/onnx/gpu/w1/bs8", ["(pipeline, GPU)", "(onnx, GPU)"]),
        ("huggingface/pipeline/cpu/w1/bs8", "huggingface/pipeline/gpu/w1/bs8", ["(pipeline, CPU)", "(pipeline, GPU)"]),
        ("huggingface/pipeline/cpu/w1/bs8", "sparknlp/onnx/cpu/w2/bs8", ["(pipeline, CPU)", "(onnx, CPU, 2 workers)"]),
    ],
)
def test_the_answer_says_on_what_hardware_where_that_is_not_one_nodes_cpu(baseline, candidate, named):
    said = answer(speedup({"baseline": baseline, "candidate": candidate}), {})
    assert all(one in said for one in named), said


def test_what_has_a_part_of_the_machine_is_no_answer_where_another_has_all_of_it():
    half = {"candidate": "sparknlp/onnx/cpu/w1/bs8", "fairness": UNEQUAL}
    whole = {"candidate": "sparknlp/onnx/cpu/w2/bs8", "fairness": BEST}
    assert headline(speedup(half, whole)).candidate == headline(speedup(whole, half)).candidate == whole["candidate"]
    assert headline(speedup(half, whole | {"fairness": UNEQUAL})).candidate == whole["candidate"]


def test_more_workers_on_unequal_terms_are_no_answer_where_one_is_on_other_terms_but_equal_hardware():
    same = {"baseline": "onnxruntime/one-slot/cpu/w1/bs8"}
    one = same | {"candidate": "spark-onnxruntime/float32/cpu/w1/bs8", "fairness": ENGINE}
    two = same | {"candidate": "spark-onnxruntime/float32/cpu/w2/bs8", "fairness": UNEQUAL}
    assert headline(speedup(one, two)).candidate == headline(speedup(two, one)).candidate == one["candidate"]


def test_with_enough_repeats_and_a_gpu_the_lines_say_so():
    assert "decided" in closing(example(TWO, repeats=5, verdict="faster"))[6]
    assert "make settle" not in closing(example(TWO, repeats=5, verdict="equivalent"))[6]
    fixed = closing(example(TWO, repeats=5, verdict="inconclusive"), rule=Rule())[6]
    assert "make settle" not in fixed and "Not decided: 1 of 1" in fixed and "a greater `most_repeats`" in fixed
    # Below five blocks there was no verdict to read, so that more may follow whatever was planned.
    few = closing(example(TWO, repeats=3), rule=Rule())[6]
    assert "more repeats" in few and "make settle" not in few and "No block may be added" not in few
    assert "Not measured" not in closing(example(TWO, devices=("cpu", "gpu")))[3]
    assert "A100: add gpu" in closing(example(TWO), gpus=["A100"])[3]


def test_where_no_primary_comparison_has_a_ratio_none_is_called_decided():
    run = example(TWO, repeats=5, verdict="faster")
    nothing = dict.fromkeys(("speedup", "low", "high"), float("nan"))
    run.speedup = run.speedup.assign(verdict="parity failed", **nothing)
    assert "is decided" not in closing(run)[6] and "No comparison" in closing(run)[6]


def test_what_is_said_of_photographs_depends_on_whose_they_are():
    assert "make photos=" in closing(example(TWO))[7]
    assert "labels are not" in closing(example(TWO), label_note="not its own")[7]


def test_lines_of_a_run_in_which_nothing_worked():
    run = example(TWO, failed=dict.fromkeys(TWO, "error"))
    lines = closing(run)
    assert len(lines) == 8 and not any("nan" in line for line in lines)
    assert "pipeline none" in lines[1]


# --- the files that hold them


def test_the_hours_of_a_block_are_those_of_the_full_runs(tmp_path):
    run = example(TWO)  # three repeats of 40 s; two cells on the full set, six on the sample
    run.speedup["blocks_needed"] = float("nan")
    frames = {"runs": run.runs, "best": run.best, "parity": run.parity, "speedup": run.speedup}
    frames["total_time"] = typed([], "total_time")
    grid = {"margin": 0.05, "most_repeats": 20, "repeats": 3, "looks": []}
    published_runs = HOME / "resources" / "published" / "runs.csv"
    context = run.context | {"gpus": [], "label_note": ""}
    write_summary.main(frames, context, grid, published_runs, tmp_path / "summary.txt")
    line = (tmp_path / "summary.txt").read_text().splitlines()[6]
    assert "5 blocks at least, about 3 min more" in line  # two blocks of 80 s


def test_the_context_says_what_configuration_manifests_and_records_say(run, tmp_path):
    config = run / "results/provenance/config.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"repeats": {"sample": 3, "full": 2}}))
    archive = open_archive(run)
    with open(archive.manifest_path("full"), "a") as manifest:
        manifest.write(f"broken,,{'0' * 64},3,,0,empty file,broken.jpg\n")
    collect_records.main(archive, tmp_path / "runs.csv")
    write_context.main(tables.read(tmp_path / "runs.csv"), speedup({}), archive, tmp_path / "context.json")
    context = tables.read_context(tmp_path / "context.json")
    assert context["repeats"] == 2
    assert {role: (one["name"], one["images"], one["left_out"]) for role, one in context["datasets"].items()} == {
        "sample": ("photos-32", 32, 0), "full": ("photos-48", 48, 1),
    }  # fmt: skip
    assert context["versions"] == VERSIONS and context["answer"] == answer(speedup({}), VERSIONS)
    assert context["date"] == planted.BEGIN.date().isoformat() and context["model_note"] == "seeded weights"
