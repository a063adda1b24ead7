"""The charts about the method: passes, break-even, effective batches, stages, physics and quiet, read back."""

import json
import re
from pathlib import Path

import derive_tables
import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from drawn import collisions, words
from example_tables import FIVE, SIX, TWO, Tables, empty, example, physics, stages, typed, write_grid

from vitbench import tables
from vitbench.analysis import batches, break_even
from vitbench.present import style
from vitbench.present.charts import break_even as break_even_chart
from vitbench.present.charts import effective_batches, passes, quiet
from vitbench.present.charts import physics as physics_chart
from vitbench.present.charts import stages as stages_chart
from vitbench.present.labels import percentage

SIZES = tuple(2**power for power in range(11))
LONG = "sparknlp/onnx-with-a-name-that-somebody-thought-would-help"
SET_ASIDE = {
    ("sparknlp/tensorflow", 8, 2): "suspect",
    ("full", "sparknlp/tensorflow", 16, 1): "no steady state",
    ("full", "huggingface/pipeline", 16, 3): "no steady state;suspect",
}


def meetings(run: Tables):
    return typed(break_even.break_even(run.runs, run.parity, run.speedup).to_dict("records"), "break_even")


def seen(run: Tables):
    return typed(batches.effective_batches(run.runs).to_dict("records"), "effective_batches")


def figures(run: Tables) -> dict:
    return {
        "passes": passes.draw(run.runs, run.context),
        "break_even": break_even_chart.draw(run.runs, meetings(run), run.context),
        "effective_batches": effective_batches.draw(seen(run), run.context),
        "stages": stages_chart.draw(stages(run, {"sparknlp/onnx": 0.8}), run.context),
        "physics": physics_chart.draw(physics(run), run.summary, run.context),
        "quiet": quiet.draw(run.runs, run.context),
    }


CASES = {
    "two, some set aside": lambda: example(TWO, repeats=5, flags=SET_ASIDE, floor=1.03),
    "one variant, one repeat": lambda: example(TWO[:1], sizes=(8,), repeats=1),
    "five, failures": lambda: example(FIVE, failed={("sparknlp/onnx", 16): "oom", "sparknlp/tensorflow": "skipped"}),
    "six, eleven sizes, both devices": lambda: example(SIX, SIZES, devices=("cpu", "gpu"), floor=1.1),
    "everything failed": lambda: empty(variants=FIVE),
    "all set aside": lambda: example(TWO, flags={("full", variant, 16): "suspect" for variant in TWO}),
    "very long name": lambda: example((*TWO, LONG)),
}


@pytest.mark.parametrize("case", CASES)
def test_no_text_touches_another_or_the_edge(case, monkeypatch):
    for name, figure in figures(CASES[case]()).items():
        assert collisions(figure, monkeypatch) == [], name


def derive(run: Tables, folder: Path, **of_grid) -> dict[str, pd.DataFrame]:
    """What the entry point derives from a run's tables, by a grid with these changes."""
    given = run.write(folder) | {"physics": folder / "physics.csv", "grid": write_grid(folder)}
    physics(run).to_csv(given["physics"], index=False)
    given["grid"].write_text(json.dumps(json.loads(given["grid"].read_text()) | of_grid))
    names = {"batches": "effective_batches"}
    names |= {name: name for name in ("break_even", "sustained", "data_set_sizes", "total_time")}
    out = {name: folder / f"{table}.csv" for name, table in names.items()}
    derive_tables.main(given, out)
    return {name: tables.read(path) for name, path in out.items()}


def test_derived_tables_come_back_in_their_types(tmp_path):
    run = example(FIVE, sizes=(1, 8, 32), repeats=5)
    derived = derive(run, tmp_path)
    first, second = derived["break_even"], derived["batches"]
    assert derived["sustained"].empty  # no repeat was that long
    assert derived["data_set_sizes"].empty and derived["total_time"].empty  # and no data set in that role
    assert len(first) == 10 and first["extrapolated"].dtype == bool and first["break_even"].notna().any()
    assert set(second["reached"]) == {"true", "false"} and second["wave_factor"].max() == 1


def test_break_even_is_judged_by_the_plan_of_the_full_runs(tmp_path):
    """Where earlier looks at the full runs have spent all that may be claimed by chance, nothing is claimed."""
    run, found = example(TWO, repeats=5), []
    for looks in ([], [{"blocks": 4, "most_repeats": 4}]):
        found.append(derive(run, tmp_path, looks=looks)["break_even"].verdict[0])
    assert found == ["overtakes", "uncertain"]


def test_nothing_measured_is_said_in_words(monkeypatch):
    nothing = example(TWO, sizes=(8,))
    frames = (nothing.runs, nothing.summary, nothing.best, nothing.parity, nothing.speedup)
    for run in (empty(), Tables(*(frame.head(0) for frame in frames), nothing.context)):
        for name, figure in figures(run).items():
            assert re.search(r"\bno\b", words(figure, monkeypatch).lower()), name


def hexes(artist) -> str:
    return matplotlib.colors.to_hex(artist.get_color())


# --- passes


def test_every_repeat_is_a_line_of_seconds_an_image(monkeypatch):
    run = example(TWO, repeats=5)
    figure = passes.draw(run.runs, run.context)
    full = run.runs[(run.runs["dataset"] == "full") & (run.runs["variant"] == "pipeline")]
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 1]
    assert len(lines) == 10 and len(figure.axes) == 4
    for warm_up, timed, row in zip(lines[::2], lines[1::2], full.itertuples(), strict=True):
        each = [float(seconds) / 48 for seconds in row.pass_seconds.split(";")]
        # Two passes of warm-up, whose line leads to the first of two timed ones.
        assert list(warm_up.get_xdata()) == [0, 1, 2] and list(warm_up.get_ydata()) == pytest.approx(each[:3])
        assert list(timed.get_xdata()) == [2, 3] and list(timed.get_ydata()) == pytest.approx(each[2:])
        assert timed.get_linewidth() > warm_up.get_linewidth() and timed.get_linestyle() == "-"
    assert figure.axes[0].get_ylim() == figure.axes[3].get_ylim()
    shown = words(figure, monkeypatch)
    assert "n = 40 repeats" in shown and "set aside" not in shown.lower()
    assert "before pass 0: start 6.00 s · load" in shown and "first batch 1.10 s" in shown


def test_repeats_set_aside_are_dashed_and_say_why(monkeypatch):
    run = example(TWO, repeats=5, flags=SET_ASIDE)
    figure = passes.draw(run.runs, run.context)
    dashed = [[line for line in axes.lines if line.get_linestyle() == "--"] for axes in figure.axes]
    assert [len(lines) for lines in dashed] == [2, 0, 2, 2]  # full and sample of each variant, warm-up and timed
    marks = [[line.get_marker() for line in axes.lines if line.get_linestyle() == "None"] for axes in figure.axes]
    ends = [[mark for mark in here if mark != "|"] for here in marks]
    assert ends == [["D"], [], ["^"], ["s"]]
    shown = words(figure, monkeypatch)
    assert "set aside: no steady state" in shown and "set aside: suspect and no steady state" in shown
    assert "Set aside, 3 of 40" in shown


def test_what_lost_work_on_a_cluster_has_a_mark_and_a_number_of_its_own(monkeypatch):
    run = example(TWO, repeats=5, flags={("full", "sparknlp/tensorflow", 16, 1): "work lost"})
    figure = passes.draw(run.runs, run.context)
    ends = [line.get_marker() for axes in figure.axes for line in axes.lines if line.get_linestyle() == "None"]
    assert [mark for mark in ends if mark != "|"] == ["v"]
    assert "set aside: work lost" in words(figure, monkeypatch)
    shown = " ".join(words(quiet.draw(run.runs, run.context), monkeypatch).split())
    assert "0 suspect and 0 without a steady state, 1 with work lost on a cluster;" in shown


def test_the_last_change_of_level_is_marked_where_there_was_one(monkeypatch):
    run = example(TWO, repeats=3)
    run.runs.loc[run.runs["variant"] == "pipeline", "last_change"] = float("nan")
    figure = passes.draw(run.runs, run.context)
    strokes = [[line for line in axes.lines if line.get_marker() == "|"] for axes in figure.axes]
    assert [len(lines) for lines in strokes] == [0, 0, 3, 9] and "last change of level" in words(figure, monkeypatch)
    assert all(list(line.get_xdata()) == [2] for lines in strokes for line in lines)
    run.runs["last_change"] = float("nan")
    assert "last change of level" not in words(passes.draw(run.runs, run.context), monkeypatch)


def test_passes_far_apart_are_on_a_logarithmic_axis(monkeypatch):
    run = example(TWO, repeats=3)
    run.runs.loc[0, "pass_seconds"] = "90;3;3"
    figure = passes.draw(run.runs, run.context)
    shown = words(figure, monkeypatch)
    assert figure.axes[0].get_yscale() == "log" and "Logarithmic" in shown and "mathdefault" not in shown
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1 and limits.pop()[1] > 90 / 32
    assert collisions(figure, monkeypatch) == []


# --- break-even


def test_the_ring_is_where_the_table_says_and_the_lines_meet_there(monkeypatch):
    run = example(TWO, repeats=5)
    table = meetings(run)
    (row,) = table.to_dict("records")
    figure = break_even_chart.draw(run.runs, table, run.context)
    axes = figure.axes[0]
    (ring,) = [part for part in axes.collections if list(part.get_sizes()) == [130]]
    ((x, y),) = ring.get_offsets()
    assert x == pytest.approx(row["break_even"])
    assert y == pytest.approx(row["late_fixed_seconds"] + x * row["late_seconds_an_image"])
    assert axes.get_xscale() == axes.get_yscale() == "log"
    shown = " ".join(words(figure, monkeypatch).split())
    assert "n = 5 repeats" in shown and row["verdict"] in shown and "range of the blocks" in shown


def test_of_many_pairs_those_with_the_baseline_are_shown_and_nothing_touches(monkeypatch):
    more = ("float32", "bfloat16", "int8", "int8-static", "float32-simplejpeg", "int8-simplejpeg")
    variants = (*SIX, *(f"onnxruntime/{name}" for name in more))
    run = example(variants, repeats=5)
    table = meetings(run)
    assert len(table) > break_even_chart.MOST_PAIRS
    figure = break_even_chart.draw(run.runs, table, run.context)
    shown = [line for line in words(figure, monkeypatch).splitlines() if ", after " in line and "batch size" in line]
    assert len(shown) == len(variants) - 1 and all("huggingface/pipeline," in line for line in shown)
    assert f"{len(table) - len(shown)} more pairs" in words(figure, monkeypatch)
    assert len([part for part in figure.axes[0].collections if list(part.get_sizes()) == [130]]) <= len(shown)
    assert collisions(figure, monkeypatch) == []


def test_lines_are_dashed_where_nothing_was_measured(monkeypatch):
    run = example(TWO, repeats=5)
    figure = break_even_chart.draw(run.runs, meetings(run), run.context)
    solid = [line for line in figure.axes[0].lines if line.get_linestyle() == "-" and line.get_linewidth() == 2.0]
    assert len(solid) == 2
    for line in solid:  # from one data set to twice the images of a process: 48 in four passes
        assert (min(line.get_xdata()), max(line.get_xdata())) == pytest.approx((48, 384))
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == 4 and "extrapolated" in words(figure, monkeypatch)


def test_points_are_the_measured_passes_added_up():
    run = example(TWO, repeats=3)
    axes = break_even_chart.draw(run.runs, meetings(run), run.context).axes[0]
    row = run.runs[(run.runs["dataset"] == "full")].iloc[0]
    times = np.cumsum([float(each) for each in row.pass_seconds.split(";")]) + row.start_seconds + row.load_seconds
    points = next(part for part in axes.collections if list(part.get_sizes()) == [20]).get_offsets()
    assert len(points) == 3 * len(times)
    images = 48 * np.arange(1, len(times) + 1)
    assert np.asarray(points)[: len(times)] == pytest.approx(np.column_stack([images, times]), rel=1e-4)


def test_a_pair_without_a_number_has_no_ring_and_says_so(monkeypatch):
    run = example(TWO, repeats=5)
    run.parity.loc[run.parity["dataset"] == "full", ["passed", "reason"]] = [False, "2 images lost"]
    figure = break_even_chart.draw(run.runs, meetings(run), run.context)
    assert not [part for part in figure.axes[0].collections if list(part.get_sizes()) == [130]]
    shown = " ".join(words(figure, monkeypatch).split())
    assert "parity failed" in shown and "2 images lost" in shown


# --- effective batches


def test_histograms_show_what_the_engine_got_and_tint_what_it_never_did(monkeypatch):
    run = example(TWO, sizes=(8, 32))
    figure = effective_batches.draw(seen(run), run.context)
    tinted = [
        matplotlib.colors.to_hex(axes.get_facecolor()).upper() == effective_batches.MISSED for axes in figure.axes
    ]
    table = seen(run)
    assert tinted.count(True) == (table["reached"] == "false").sum() > 0
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    assert heights[0] == [4] and [1] in heights  # 32 images by 8, and all 32 at once
    shown = " ".join(words(figure, monkeypatch).split())
    assert "2 partitions of 16 rows, 2 slots, 1 wave, factor 1.00" in shown
    assert "no partition has more than 16 rows" in shown


def test_each_variant_says_whether_its_batches_were_observed_or_computed(monkeypatch):
    run = example(TWO, sizes=(8,))
    shown = words(effective_batches.draw(seen(run), run.context), monkeypatch)
    assert ("batches observed" in shown, "batches computed" in shown) == (True, True)
    of_spark = words(effective_batches.draw(seen(run)[seen(run).framework == "sparknlp"], run.context), monkeypatch)
    assert ("batches observed" in of_spark, "batches computed" in of_spark) == (False, True)
    nobody_knows = seen(run).assign(batches="")
    assert "batches computed" not in words(effective_batches.draw(nobody_knows, run.context), monkeypatch)


def test_many_sizes_of_batches_are_grouped(monkeypatch):
    run = example(TWO[:1], sizes=(8,), repeats=1)
    run.runs["effective_batch_sizes"] = ";".join(f"{size}:1" for size in range(1, 9))
    figure = effective_batches.draw(seen(run), run.context)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [2, 2, 2, 2]
    assert "1–2" in words(figure, monkeypatch)


# --- stages


def test_bars_are_the_stages_end_to_end_with_the_wall_time_beside(monkeypatch):
    run = example(TWO, repeats=5)
    table = stages(run, {"sparknlp/tensorflow": 0.8})
    figure = stages_chart.draw(table, run.context)
    bars = figure.axes[0].patches
    first = table[table["variant"] == "pipeline"]
    assert [bar.get_width() for bar in bars[: len(first)]] == pytest.approx(list(first["seconds"] / 48 * 1000))
    assert [bar.get_x() for bar in bars[1:3]] == pytest.approx(list(np.cumsum(first["seconds"])[:2] / 48 * 1000))
    strokes = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert strokes == pytest.approx([wall / 48 * 1000 for wall in dict.fromkeys(table["wall_seconds"])])
    assert [bool(bar.get_hatch()) for bar in bars] == [False] * len(first) + [True] * len(first)
    shown = words(figure, monkeypatch)
    assert "bound by forward (57%)" in shown and "sum: 80.0% of the wall time, more than 10% off" in shown
    assert "n = 1, hence no interval" in shown


def test_cells_without_a_profile_say_why(monkeypatch):
    run = example(TWO)
    figure = stages_chart.draw(stages(run, {"sparknlp/tensorflow": float("nan")}), run.context)
    shown = " ".join(words(figure, monkeypatch).split())
    assert "Without stages: sparknlp/tensorflow, CPU: error, the profiling repeat ended with status 1." in shown


def test_without_a_wall_time_nothing_is_said_of_the_sum(monkeypatch):
    run = example(TWO)
    table = stages(run).assign(wall_seconds=np.nan, within_10_percent=False)
    figure = stages_chart.draw(table, run.context)
    assert "no wall time without instruments" in words(figure, monkeypatch)
    assert not figure.axes[0].lines and not any(bar.get_hatch() for bar in figure.axes[0].patches)


# --- physics


def test_shares_of_the_peak_and_decode_ceilings_are_drawn(monkeypatch):
    run = example(TWO, repeats=5)
    table = physics(run)
    figure = physics_chart.draw(table, run.summary, run.context)
    share, rate = figure.axes
    full = table[table["dataset"] == "full"]
    assert [bar.get_width() for bar in share.patches] == pytest.approx(list(full["share_of_peak"]))
    drawn = [line.get_xdata()[0] for line in rate.lines if len(set(line.get_xdata())) == 1]
    assert sorted(set(drawn)) == pytest.approx(sorted({*full["throughput"], 490, 980}))
    assert "376 GFLOP/s (onnxruntime 1.23)" in words(figure, monkeypatch)
    told = words(figure, monkeypatch)
    assert "of what torch can do here" in told and "own library can do is not known" in told
    for rate in full["throughput"]:  # of what all cores could decode
        assert percentage(rate / 980) in told.split("\n")


def test_more_than_the_machine_can_do_is_crossed_out(monkeypatch):
    run = example(TWO, repeats=5)
    figure = physics_chart.draw(physics(run, peak=200.0), run.summary, run.context)
    assert [bool(bar.get_hatch()) for bar in figure.axes[0].patches] == [False, True]
    assert "Crossed out: above the machine's peak: an error" in words(figure, monkeypatch)


# --- quiet


def test_the_canary_is_drawn_over_time_and_suspects_are_marked(monkeypatch):
    run = example(TWO, repeats=5, flags=SET_ASIDE)
    run.runs.loc[0, ["attempts", "canary_gemm"]] = [1, 0.7]
    figure = quiet.draw(run.runs, run.context)
    axes = figure.axes[0]
    by_marker = {}
    for line in axes.lines:
        by_marker.setdefault((line.get_marker(), line.get_markersize()), []).extend(line.get_ydata())
    suspects = run.runs[run.runs["flags"].str.contains("suspect")]
    assert sorted(by_marker["s", 9]) == pytest.approx(sorted(suspects["canary_gemm"]))
    assert by_marker["o", 12] == [0.7] and len(by_marker["o", 4.5]) == len(by_marker["^", 4.5]) == len(run.runs)
    assert axes.get_ylim()[0] < 0.7
    shown = " ".join(words(figure, monkeypatch).split())
    assert (
        f"n = {len(run.runs)} repeats, of which 2 suspect and 2 without a steady state;"
        " attempts set aside and measured again: 1." in shown
    )
    limits = {line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.2}
    assert sorted(limits) == pytest.approx(sorted(1 - limit for limit in run.context["quiet"].values()))
    shares = sorted(line.get_ydata()[0] for line in figure.axes[1].lines)
    assert shares == pytest.approx([0.1, 1.0]) and "% of the CPU" in shown


def test_what_the_system_does_not_tell_is_said_and_not_drawn(monkeypatch):
    run = example(TWO)
    run.runs["steal_share"] = np.nan
    figure = quiet.draw(run.runs, run.context)
    assert "Not available on this system: share taken by the hypervisor" in " ".join(words(figure, monkeypatch).split())
    run.runs["foreign_cpu_share"] = np.nan
    assert len(quiet.draw(run.runs, run.context).axes) == 1
    colors = {hexes(line).upper() for line in figure.axes[1].lines}
    assert colors == {style.BLUE.upper()}
