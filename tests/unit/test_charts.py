"""The charts: what they show, that nothing overlaps, that the same tables give the same files."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from drawn import Figures, collisions, drawn_texts, words
from example_tables import FIVE, SIX, TWO, Tables, empty, example, typed
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import Rectangle

from vitbench.present import labels, style
from vitbench.present.charts import batch_sweep, speedup, wall_time

SIZES = tuple(2**power for power in range(11))
MIXED = {
    **{("sparknlp/onnx", size): "oom" for size in (256, 512, 1024)},
    ("huggingface/compiled", 1): "error",
    "sparknlp/tensorflow": "skipped",
}


def published(run: Tables) -> pd.DataFrame:
    one = run.speedup.head(1).copy()
    return one.assign(speedup=1.15, low=np.nan, high=np.nan, verdict="one run", blocks=1, comparison="published")


def figures(run: Tables, with_published=False) -> Figures:
    more = published(run) if with_published else None
    return Figures(
        speedup=lambda: speedup.draw(run.speedup, run.summary, run.context, more),
        batch_sweep=lambda: batch_sweep.draw(run.summary, run.runs, run.best, run.context),
        wall_time=lambda: wall_time.draw(run.summary, run.runs, run.context),
    )


def ratio_chart(run: Tables):
    return speedup.draw(run.speedup, run.summary, run.context)


CASES = {
    "two": lambda: example(),
    "one variant, one size": lambda: example(TWO[:1], sizes=(8,)),
    "five, failures, a flag": lambda: example(
        FIVE, failed={("sparknlp/onnx", 16): "oom"}, flags={("sparknlp/onnx-tuned", 8): "no steady state;suspect"}
    ),
    "six, eleven sizes, failures": lambda: example(SIX, sizes=SIZES, failed=MIXED),
    "three, eleven sizes, both devices": lambda: example(FIVE[:3], SIZES, devices=("cpu", "gpu"), verdict="faster"),
    "sizes close together": lambda: example(TWO, sizes=(1, 30, 31, 32, 1000, 1024)),
    "everything failed": lambda: empty(variants=FIVE),
    "set aside, not reached, control": lambda: example(
        TWO,
        sizes=(1, 8, 32),
        repeats=5,
        verdict="faster",
        floor=1.05,
        flags={
            ("sparknlp/tensorflow", 8, 1): "suspect",
            ("huggingface/pipeline", 1): "no steady state",
            ("full", "huggingface/pipeline", 32): "suspect",
        },
    ),
    "very long name": lambda: example((*TWO, "sparknlp/onnx-with-a-name-that-somebody-thought-would-help")),
}


@pytest.mark.parametrize("case", CASES)
def test_no_text_touches_another_or_the_edge(case, monkeypatch):
    for name, figure in figures(CASES[case](), with_published=case == "two").items():
        assert collisions(figure, monkeypatch) == [], name


def test_the_check_for_collisions_finds_one(monkeypatch):
    page = style.Page(4, 1, "title", [])
    page.text(1, 0.6, "one text")
    page.text(1.1, 0.62, "another")
    page.text(3.8, 0.9, "beyond the edge")
    found = collisions(page.figure, monkeypatch)
    assert ("one text", "another") in found and ("beyond the edge", "edge") in found


def rings(axes) -> list:
    """The hollow circles around the best batch sizes."""
    return [part for part in axes.collections if isinstance(part, PathCollection) and list(part.get_sizes()) == [250]]


def markers(axes) -> list[str]:
    return [str(line.get_marker()) for line in axes.lines]


def test_too_few_repeats_gives_a_range_without_a_dot(monkeypatch):
    run = example()
    figure = ratio_chart(run)
    axes = figure.axes[0]
    assert not axes.collections  # dots are a collection
    assert markers(axes).count("|") == len(run.speedup)
    first = next(line for line in axes.lines if line.get_marker() == "|")
    assert list(first.get_xdata()) == pytest.approx(list(run.speedup.loc[0, ["low", "high"]]))
    assert "too few repeats" in words(figure, monkeypatch)


def test_verdicts_have_dots_with_the_leaders_colour_and_the_devices_marker(monkeypatch):
    run = example(devices=("cpu", "gpu"), sizes=(8,), repeats=5, verdict="faster")
    run.speedup.loc[1, ["verdict", "speedup", "low", "high"]] = ["slower", 0.7, 0.6, 0.8]
    run.speedup.loc[2, ["verdict", "speedup", "low", "high"]] = ["equivalent", 1.01, 0.97, 1.05]
    run.speedup.loc[3, ["verdict", "speedup", "low", "high"]] = ["inconclusive", 1.2, 0.9, 1.6]
    figure = ratio_chart(run)
    axes = figure.axes[0]
    color = {}
    for collection in axes.collections:
        ((x, _),) = collection.get_offsets()
        color[round(float(x), 2)] = matplotlib.colors.to_hex(collection.get_facecolor()[0]).upper()
    assert color[0.7] == style.BLUE.upper() and color[1.01] == style.GREY.upper()
    assert color[round(run.speedup.loc[0, "speedup"], 2)] == style.VERMILION.upper()
    shapes = {len(collection.get_paths()[0].vertices) for collection in axes.collections}
    assert len(shapes) == 2  # circle for the CPU, square for the GPU
    assert 1.2 not in color  # an inconclusive one is hollow and grey
    outline = next(line for line in axes.lines if line.get_marker() in "os" and list(line.get_xdata()) == [1.2])
    assert outline.get_markerfacecolor() == "white" and outline.get_markeredgecolor() == style.GREY
    assert "GPU: speedup, 95% interval" in words(figure, monkeypatch)


def test_ends_of_the_axis_follow_the_frameworks(monkeypatch):
    shown = words(ratio_chart(example(sizes=(8,))), monkeypatch)
    assert "← Hugging Face faster" in shown and "Spark NLP faster →" in shown
    swapped = example((TWO[1], TWO[0]), sizes=(8,))
    assert "← Spark NLP faster" in words(ratio_chart(swapped), monkeypatch)
    within = example((TWO[0], "huggingface/compiled"), sizes=(8,))
    shown = words(ratio_chart(within), monkeypatch)
    assert "← huggingface/pipeline faster" in shown and "huggingface/compiled faster →" in shown
    shown = words(ratio_chart(example((*TWO, "huggingface/compiled"), sizes=(8,))), monkeypatch)
    assert "← huggingface/pipeline faster" in shown and "candidate faster →" in shown


def test_colour_follows_the_framework_when_spark_nlp_is_the_baseline():
    run = example((TWO[1], TWO[0]), sizes=(8,))  # Hugging Face is slower: the baseline leads
    axes = ratio_chart(run).axes[0]
    bar = next(line for line in axes.lines if line.get_marker() == "|")
    assert run.speedup.loc[0, "speedup"] < 1 and bar.get_color() == style.VERMILION


def test_failed_parity_is_words_and_no_mark(monkeypatch):
    run = example(sizes=(8,))
    run.speedup.loc[0, ["verdict", "speedup", "low", "high", "reason"]] = [
        "parity failed", np.nan, np.nan, np.nan, "2 images lost",
    ]  # fmt: skip
    figure = ratio_chart(run)
    assert "parity failed: 2 images lost" in words(figure, monkeypatch)
    assert markers(figure.axes[0]).count("|") == len(run.speedup) - 1


def test_a_variant_without_any_batch_size_is_words(monkeypatch):
    run = example(failed={"sparknlp/tensorflow": "oom"}, sizes=(8,))
    row = {"baseline": "huggingface/pipeline/cpu/w1/bs8", "candidate": "sparknlp/tensorflow/cpu/w1/bsbest"}
    row |= {"dataset": "full", "comparison": "each at its best batch size, full", "verdict": "too few repeats"}
    run.speedup = typed([row | {"blocks": 0, "reason": "no repeat worked: error"}], "speedup")
    shown = words(ratio_chart(run), monkeypatch)
    assert "sparknlp/tensorflow, no batch size" in shown and "too few repeats: no repeat worked: error" in shown
    shown = words(figures(run)["wall_time"], monkeypatch)
    assert "sparknlp/tensorflow, CPU, no batch size" in shown and "× error" in shown


def test_the_margin_is_a_grey_band_the_noise_two_lines_and_the_controls_come_last(monkeypatch):
    run = example(repeats=5, verdict="faster", floor=1.08)
    run.speedup = run.speedup.iloc[::-1].reset_index(drop=True)  # wherever the controls stand in the table
    figure = ratio_chart(run)
    bands = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    edges = [(band.get_x(), band.get_x() + band.get_width()) for band in bands]
    assert edges == [pytest.approx((1 / 1.05, 1.05))] * len(run.speedup)
    lines = [part for part in figure.axes[0].collections if isinstance(part, LineCollection)]
    places = [sorted(segment[0][0] for segment in part.get_segments()) for part in lines]
    assert places == [pytest.approx([1 / 1.08, 1.08])] * len(run.speedup)
    shown = words(figure, monkeypatch)
    assert shown.rindex("A/A control") > shown.rindex("same batch size, sample (exploratory)")
    assert "each at its best batch size, full (primary)" in shown
    flat = " ".join(shown.split())
    assert "huggingface/pipeline/cpu against itself" in flat and "sparknlp/tensorflow/cpu against itself" in flat
    assert "no claim of that device is to be believed" in flat
    assert "← Hugging Face faster" in shown  # the controls do not change what the ends are called


def test_without_a_control_there_is_the_band_and_no_line(monkeypatch):
    figure = ratio_chart(example(repeats=5, verdict="equivalent"))
    flat = " ".join(words(figure, monkeypatch).split())
    assert "There is no A/A control." in flat and "equivalent within 5%" in flat
    assert not [part for part in figure.axes[0].collections if isinstance(part, LineCollection)]


def test_the_caption_says_what_is_not_decided_and_what_it_would_take(monkeypatch):
    run = example(FIVE, repeats=5, verdict="inconclusive")
    run.speedup.loc[run.speedup.family == "exploratory", "blocks_needed"] = 500  # not what was asked
    flat = " ".join(words(ratio_chart(run), monkeypatch).split())
    assert "Not decided: 4 of the primary comparisons" in flat and "about 40 blocks" in flat and "about 9 h" in flat
    assert "Not decided" not in words(ratio_chart(example(FIVE, repeats=5, verdict="faster")), monkeypatch)


def hollow(axes) -> list:
    """The marks that are drawn in outline, white inside."""
    parts = [part for part in axes.collections if isinstance(part, PathCollection) and len(part.get_facecolor())]
    return [part for part in parts if tuple(part.get_facecolor()[0][:3]) == (1, 1, 1)]


def test_repeats_set_aside_are_hollow_dots_and_in_no_median(monkeypatch):
    run = example(repeats=5, flags={("sparknlp/tensorflow", 8, 2): "suspect"})
    run.runs.loc[run.runs["flags"] == "suspect", "throughput"] = 1.0
    figure = figures(run)["batch_sweep"]
    (dots,) = hollow(figure.axes[0])
    assert [y for _, y in dots.get_offsets()] == [1.0]
    shown = " ".join(words(figure, monkeypatch).split())
    assert "repeats set aside as suspect or without a steady state, 1 of 30;" in shown and "n = 4 to 5 repeats" in shown
    assert "† suspect: sparknlp/tensorflow/cpu/w1/bs8." in shown and "repeat set aside" in shown


def test_a_cell_with_nothing_but_repeats_set_aside_has_no_mark(monkeypatch):
    run = example(sizes=(8, 16), flags={("sparknlp/tensorflow", 8): "no steady state", ("full", TWO[1], 16): "suspect"})
    drawn = figures(run)
    lengths = [len(line.get_xdata()) for line in drawn["batch_sweep"].axes[0].lines if line.get_linestyle() != "None"]
    assert lengths == [2, 1]  # of two batch sizes the other variant has one
    shown = " ".join(words(drawn["wall_time"], monkeypatch).split())
    assert "all set aside †" in shown and "Nothing but such repeats, hence no mark: sparknlp/tensorflow" in shown
    assert [len(part.get_offsets()) for part in hollow(drawn["wall_time"].axes[0])] == [1, 3]  # a cold pass; repeats


def test_a_batch_size_that_was_not_reached_is_a_hollow_mark_without_a_dagger(monkeypatch):
    run = example(sizes=(8, 32))
    figure = figures(run)["batch_sweep"]
    (mark,) = hollow(figure.axes[0])
    assert list(mark.get_sizes()) == [62] and mark.get_offsets()[0][0] == pytest.approx(32, rel=0.2)
    shown = " ".join(words(figure, monkeypatch).split())
    assert "Hollow mark, no batch was as large as asked for: sparknlp/tensorflow/cpu/w1/bs32." in shown
    assert "batch size not reached" in shown and "†" not in shown


def test_a_published_ratio_is_a_hollow_diamond(monkeypatch):
    figure = figures(example(), with_published=True)["speedup"]
    (diamond,) = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == 1.15 and diamond.get_markerfacecolor() == "white"
    assert "published, one run" in words(figure, monkeypatch)


def test_the_ratio_axis_is_symmetric_in_doubling_and_grows_with_the_data(monkeypatch):
    run = example()
    shown = words(ratio_chart(run), monkeypatch).split("\n")
    assert {"0.5", "1", "2", "4"} <= set(shown) and "8" not in shown
    run.speedup.loc[0, ["speedup", "low", "high"]] = [7.0, 6.0, 7.5]
    figure = ratio_chart(run)
    assert "8" in words(figure, monkeypatch).split("\n") and figure.axes[0].get_xscale() == "log"
    assert any(line.get_xdata()[0] == 1 and line.get_linewidth() > 2 for line in figure.axes[0].lines)


@pytest.mark.parametrize("lowest", [0.06, 0.002, 1e-5])
def test_labels_of_a_long_ratio_axis_do_not_touch(lowest, monkeypatch):
    run = example()
    run.speedup.loc[0, ["speedup", "low", "high"]] = [lowest, lowest, lowest]
    figure = ratio_chart(run)
    assert collisions(figure, monkeypatch) == []
    assert "1" in words(figure, monkeypatch).split("\n")


def test_title_margin_and_caption_of_the_speedup_chart(monkeypatch):
    run = example(flags={("sparknlp/tensorflow", 8): "no steady state"})
    run.speedup.loc[0, "agreement"] = 0.9999
    shown = words(ratio_chart(run), monkeypatch)
    flat = " ".join(shown.split())
    assert run.context["answer"] in flat
    row = run.speedup.iloc[0]
    ratio = f"{row.speedup:.2f} [{row.low:.2f}, {row.high:.2f}]"
    assert ratio in shown and f"{row.baseline_throughput:.2f}" in shown and f"{row.candidate_throughput:.2f}" in shown
    assert "99.9%" in shown  # rounded down: 100% means every image
    for part in ("8481C", "vit-base-seeded", "photos-48, 48 images", "spark-nlp 5.5.3", "2026-11-23", "protocol 1"):
        assert part in flat
    assert "vs huggingface/pipeline, batch size 8, CPU, float32" in shown
    assert "† no steady state: sparknlp/tensorflow/cpu/w1/bs8." in flat and "] †" in shown


def test_captions_say_whose_labels_do_not_count_and_what_was_mixed(monkeypatch):
    run = example()
    run.context["label_note"] = "times are valid, labels are not"
    run.context["notes"] = ["The measuring code changed between repeats: 7 by c0de, 1 by beef."]
    flat = " ".join(words(ratio_chart(run), monkeypatch).split())
    assert "vit-base-seeded (seeded weights; times are valid, labels are not)" in flat
    assert run.context["notes"][0] in flat


def test_equal_hardware_comes_first(monkeypatch):
    run = example(sizes=(8,))
    other = run.speedup.iloc[[0]].assign(candidate="sparknlp/tensorflow/gpu/w1/bs64", comparison="other hardware")
    table = pd.concat([other, run.speedup], ignore_index=True)
    shown = words(speedup.draw(table, run.summary, run.context), monkeypatch)
    assert shown.index("same batch size, sample") < shown.index("other hardware")


def test_a_failed_cell_is_a_cross_under_zero_with_words(monkeypatch):
    run = example(failed={("sparknlp/tensorflow", 16): "oom"})
    figure = figures(run)["batch_sweep"]
    strip = figure.axes[1]
    assert strip.get_position().y1 == pytest.approx(figure.axes[0].get_position().y0)
    ((x, _),) = strip.collections[0].get_offsets()
    assert x == pytest.approx(16, rel=0.2)
    shown = words(figure, monkeypatch)
    assert "sparknlp/tensorflow: oom at 16" in shown and "killed at 5 GB by the kernel" in shown


def test_sweep_shows_medians_repeats_best_size_and_ticks(monkeypatch):
    run = example()
    figure = figures(run)["batch_sweep"]
    axes = figure.axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    sample = run.summary[run.summary["dataset"] == "sample"]
    for line, variant in zip(lines, ("pipeline", "tensorflow"), strict=True):
        assert list(line.get_ydata()) == pytest.approx(list(sample.loc[sample["variant"] == variant, "throughput"]))
    assert lines[0].get_linestyle() != lines[1].get_linestyle()  # told apart without colour
    assert 9 in [len(collection.get_offsets()) for collection in axes.collections]  # 3 sizes, 3 repeats
    assert [len(ring.get_offsets()) for ring in rings(axes)] == [1, 1]
    assert {"1", "8", "16"} <= set(words(figure, monkeypatch).split("\n")) and axes.get_xscale() == "log"
    assert axes.get_ylim()[0] == 0


def test_the_ring_is_at_the_size_that_the_full_run_kept(monkeypatch):
    run = example()
    run.best.loc[0, "kept"] = 8.0
    axes = figures(run)["batch_sweep"].axes[0]
    assert rings(axes)[0].get_offsets()[0][0] == pytest.approx(8, rel=0.2)


def test_one_panel_a_device():
    figure = figures(example(devices=("cpu", "gpu")))["batch_sweep"]
    assert len(figure.axes) == 2
    assert figure.axes[0].get_ylim() != figure.axes[1].get_ylim()


def test_wall_time_begins_at_zero_and_shows_the_cold_pass_hollow(monkeypatch):
    run = example()
    figure = figures(run)["wall_time"]
    full, sample = figure.axes[:2]
    assert full.get_xlim()[0] == 0 and sample.get_ylim()[0] == 0
    hollow = [part for part in full.collections if tuple(part.get_facecolor()[0][:3]) == (1, 1, 1)]
    cold = run.summary.loc[run.summary["dataset"] == "full", "cold_median"]
    assert [c.get_offsets()[0][0] for c in hollow] == pytest.approx(list(cold))
    assert full.get_xlim()[1] > cold.max()
    assert "huggingface/pipeline, CPU, batch size 16" in words(figure, monkeypatch)


def test_bars_reach_from_the_lowest_to_the_highest_repeat_and_numbers_say_so(monkeypatch):
    run = example()
    drawn = figures(run)
    sample, full = (run.summary[run.summary["dataset"] == role] for role in ("sample", "full"))
    parts = [part for part in drawn["batch_sweep"].axes[0].collections if isinstance(part, LineCollection)]
    bars = sorted((low[1], high[1]) for part in parts for low, high in part.get_segments())
    assert np.array(bars) == pytest.approx(
        np.array(sorted(zip(sample.throughput_low, sample.throughput_high, strict=True)))
    )
    bars = [list(line.get_xdata()) for line in drawn["wall_time"].axes[0].lines if line.get_marker() == "|"]
    assert np.array(bars) == pytest.approx(full[["low", "high"]].to_numpy())
    shown = words(drawn["wall_time"], monkeypatch).split("\n")
    for row in full.itertuples():
        warm, low, high, cold = map(labels.number, (row.median, row.low, row.high, row.cold_median))
        assert f"{warm} [{low}, {high}]" in shown and cold in shown


def test_images_a_second_stand_beside_the_name_of_their_cell(monkeypatch):
    run = example(sizes=(8,))
    figure = ratio_chart(run)
    heights = {text.get_text(): text.get_window_extent().y1 for text in drawn_texts(figure, monkeypatch)}
    row = run.speedup.iloc[0]
    candidate, baseline = (heights[labels.number(rate)] for rate in (row.candidate_throughput, row.baseline_throughput))
    assert candidate > baseline  # as the names: "candidate", and under it "vs baseline"


def test_nothing_measured_is_said_in_words(monkeypatch):
    shown = {name: " ".join(words(figure, monkeypatch).split()) for name, figure in figures(empty()).items()}
    assert "No comparison could be made. Cells without a measurement: 8 of 8 (8 error)." in shown["speedup"]
    assert "No cell was measured here" in shown["batch_sweep"] and "error at 1 to 16" in shown["batch_sweep"]
    assert "no cell of the full run was measured" in shown["wall_time"]
    run = example(sizes=(8,))
    none = Tables(*(frame.head(0) for frame in (run.runs, run.summary, run.best, run.parity, run.speedup)), run.context)
    for figure in figures(none).values():
        assert " no " in f" {words(figure, monkeypatch).lower()} "


def test_a_dollar_sign_in_a_name_is_a_dollar_sign(monkeypatch):
    run = example((TWO[0], "sparknlp/cost$x_2$"))
    assert "sparknlp/cost$x_2$" in words(figures(run)["batch_sweep"], monkeypatch)


def test_drawing_changes_no_global_setting():
    before = dict(matplotlib.rcParams)
    assert all(figures(example()).values())
    assert dict(matplotlib.rcParams) == before


def test_batch_sizes_in_words():
    grid = [1, 2, 4, 8, 16]
    assert labels.size_list([4, 8, 16], grid) == "4 to 16"
    assert labels.size_list([1, 16], grid) == "1, 16"
    assert labels.size_list([2, 4, 16], grid) == "2, 4, 16"


def test_numbers_in_words():
    ends = ((0.9123, 1.2), (1.1, 1.1), (float("nan"), 1))
    assert [labels.brackets(*one) for one in ends] == [" [0.91, 1.20]", "", ""]
    assert [labels.number(value) for value in (0.1234, 12.34, 1234.5, float("nan"))] == ["0.12", "12.3", "1234", "–"]
    ends = {
        1.0046: "1.005",
        0.9996: "0.9996",
        1: "1.00",
        1.006: "1.01",
        0.994: "0.99",
        1.000001: "1.000001",
        12.34: "12.3",
    }
    assert {value: labels.end(value) for value in ends} == ends
    shares = {
        1: "100%",
        0.99999: "99.9%",
        0.5: "50%",
        0.0737: "7.4%",
        0: "0%",
        1.00001: "100%",
        1 - 1e-16: "100%",
        -0.032: "-3.2%",
        float("inf"): "–",
    }
    assert {share: labels.percentage(share) for share in shares} == shares


def test_wrapping_breaks_what_has_no_space_and_shortens():
    lines = style.wrap("a" * 200, 2.0, 9)
    assert "".join(lines) == "a" * 200 and all(style.text_width(line, 9) <= 2.0 for line in lines)
    short = style.wrap("word " * 100, 2.0, 9, most=2)
    assert len(short) == 2 and short[1].endswith("…") and style.text_width(short[1], 9) <= 2.0
