"""What to run: the best for each aim, what would overturn it, the steps to it, and the page with its programs."""

from __future__ import annotations

import re
from typing import Any

import pandas
import pytest
import write_advice
from campaign_tables import packed, tabulate
from drawn import collisions, words
from example_tables import TWO, example, typed
from test_fairness import DEFINED, HF, ONNX, TF, TUNED, cell, judged, table

from vitbench import tables
from vitbench.analysis import advice
from vitbench.analysis.advice import LABELS, MEMORY, OBJECTIVES, TIME
from vitbench.analysis.speedup import DOUBT
from vitbench.cells import CONTROL
from vitbench.present import advice as present
from vitbench.present import style
from vitbench.present.answer import NOTHING_FOLLOWS
from vitbench.present.charts import advice as chart
from vitbench.present.charts import steps as step_chart
from vitbench.present.labels import part_of_machine

WORKERS, LOADER, BFLOAT16 = (
    f"huggingface/{name}" for name in ("pipeline-workers", "dataloader", "dataloader-bfloat16")
)
PROCESSES, COMPILED = "huggingface/processes", "huggingface/dataloader-bfloat16-compiled"
DEFINITIONS = {
    f"{framework}/{name}": {key: value for key, value in definition.items() if key not in ("platforms", "otherwise")}
    for framework, names in DEFINED.items()
    for name, definition in names.items()
}
NOISE = (1.0, 1.01, 0.99, 1.005, 0.995)


def steady(variant: str, seconds: float, memory: float | None = 1000.0, **more: Any) -> list[dict]:
    """Five repeats of a full cell, with the noise that all cells of a block share."""
    return cell(variant, [seconds * one for one in NOISE], peak_memory_mb=memory, **more)


def advised(*cells: list[dict], total=(), break_even=(), impossible=(), **how: Any) -> pandas.DataFrame:
    """The table `advice` of these cells, as it is read, by its aims."""
    found = advice.advice(
        table(*cells), judged(*cells, impossible=impossible, **how),
        typed(list(total), "total_time"), typed(list(break_even), "break_even"), HF, DEFINITIONS, 2,
        impossible=impossible,
    )  # fmt: skip
    return typed(found.to_dict("records"), "advice").set_index("objective", drop=False)


def stepped(*cells: list[dict], impossible=(), **how: Any) -> pandas.DataFrame:
    speedup = judged(*cells, impossible=impossible, **how)
    found = advice.steps(table(*cells), speedup, HF, DEFINITIONS, impossible=impossible)
    return typed(found.to_dict("records"), "steps")


FIELD = (
    steady(HF, 10.0),
    steady(BFLOAT16, 3.0, 900.0, product_precision="bfloat16"),
    steady(PROCESSES, 5.0, 3000.0),
    steady(ONNX, 8.0, 4000.0),
)
FLIPS = {"agreement": {BFLOAT16: 0.995}}


def test_each_aim_has_its_best_with_ratio_interval_and_the_next():
    found = advised(*FIELD, **FLIPS)
    assert list(found.index) == list(OBJECTIVES)
    assert [f"{row.framework}/{row.variant}" for row in found.itertuples()] == [BFLOAT16, BFLOAT16, PROCESSES]
    first = found.loc[TIME]
    assert (first.speedup, first.low, first.high) == pytest.approx((10 / 3,) * 3) and first.verdict == "faster"
    assert (first.candidates, first.blocks, first.agreement, first.cores) == (4, 5, 0.995, 2)
    assert first.runner_up.startswith(PROCESSES) and first.runner_ratio == pytest.approx(5 / 3)
    assert found.loc[MEMORY].memory_ratio == pytest.approx(1000 / 900)
    assert found.loc[MEMORY].runner_up.startswith(HF) and found.loc[MEMORY].runner_verdict == "less"
    assert found.loc[LABELS].candidates == 3 and found.loc[LABELS].precision == "float32"


def test_what_failed_the_gate_or_was_set_aside_is_not_advised():
    wrong = advised(*FIELD, agreement={BFLOAT16: 0.5})
    assert wrong.loc[TIME].candidate.startswith(PROCESSES) and wrong.loc[TIME].candidates == 3
    suspect = (FIELD[0], steady(BFLOAT16, 3.0, flags="suspect"), *FIELD[2:])
    assert advised(*suspect).loc[TIME].candidate.startswith(PROCESSES)


def test_a_baseline_that_is_faster_than_the_machine_serves_no_aim_and_another_one_only_itself_not():
    too_fast = {("full", f"{HF}/cpu/w1/bs8")}
    found = advised(*FIELD, impossible=too_fast)
    assert len(stepped(*FIELD)) and stepped(*FIELD, impossible=too_fast).empty
    assert (found.candidate == "").all() and found.reason.str.contains("faster than this machine can be").all()
    found = advised(*FIELD, impossible={("full", f"{BFLOAT16}/cpu/w1/bs8")})
    assert found.loc[TIME].candidate.startswith(PROCESSES) and found.loc[TIME].candidates == 3


def test_a_baseline_that_never_answered_for_every_image_is_not_advised():
    assert advised(steady(HF, 3.0, flags="images lost"), steady(ONNX, 9.0)).empty
    once = steady(HF, 3.0)
    once[0]["flags"] = "images lost"
    found = advised(once, steady(ONNX, 9.0)).loc[TIME]
    assert found.candidate.startswith(HF) and found.blocks == 4


def test_workers_compete_where_they_have_the_cores_of_one_node():
    inside = "spark-huggingface/float32"
    one, two = (steady(inside, 5.0 / number, workers=number, cores=number, machines=1) for number in (1, 2))
    found = advised(steady(HF, 9.0, cores=2, machines=1), one, two)
    assert found.loc[TIME].candidate == f"{inside}/cpu/w2/bs8" and found.loc[TIME].candidates == 2


def test_what_has_more_cores_than_the_baseline_is_advised_apart():
    slow = steady(HF, 10.0, cores=1, machines=1)
    fast, two = steady(ONNX, 4.0, cores=2, machines=1), steady(PROCESSES, 5.0, cores=2, machines=1)
    found = advised(slow, steady(BFLOAT16, 8.0, cores=1, machines=1), fast, two).loc[TIME]
    assert list(found.candidate.str.split("/").str[:2].str.join("/")) == [BFLOAT16, ONNX]
    assert list(found.used_cores) == [1, 2] and list(found.cores) == [2, 2] and list(found.candidates) == [2, 2]
    assert [part_of_machine(row) for row in found.itertuples()] == ["CPU, 1 of 2 cores", "CPU"]
    # One that has a part of what the baseline has is not: nobody would leave the rest idle.
    part = advised(steady(HF, 9.0, cores=2, machines=1), steady(ONNX, 8.0, cores=1, machines=1))
    assert part.loc[TIME].candidates == 1


def test_where_nothing_is_better_the_baseline_is_the_advice():
    found = advised(steady(HF, 3.0), steady(ONNX, 9.0)).loc[TIME]
    assert (found.candidate, found.verdict, found.speedup) == (f"{HF}/cpu/w1/bs8", "baseline", 1)
    alone = advised(steady(HF, 3.0)).loc[TIME]
    assert alone.runner_up == "" and "nothing else" in alone.overturned


def test_without_a_float32_baseline_no_labels_are_float32s():
    found = advised(steady(HF, 9.0, product_precision="tensorfloat32"), steady(ONNX, 3.0))
    assert found.loc[LABELS].candidate == "" and "runs in tensorfloat32" in found.loc[LABELS].reason
    assert "no repeat tells its memory" in advised(steady(HF, 9.0, None), steady(ONNX, 3.0, None)).loc[MEMORY].reason


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([6.0 * one for one in NOISE], ""),
        ([5.05, 5.04, 4.97, 5.02, 4.99], "is equivalent"),
        ([4.6, 5.9, 4.7, 5.9, 5.0], "is not told apart"),
    ],
)
def test_the_next_one_says_what_would_overturn_the_advice(times, said):
    found = advised(steady(HF, 9.0), steady(PROCESSES, 5.0), cell(ONNX, times, peak_memory_mb=1000.0)).loc[TIME]
    assert found.candidate.startswith(PROCESSES)
    assert said in found.overturned if said else found.overturned == ""


# Just told apart from five blocks of the same time as the only comparison, and not as one of two.
BARELY = [5.05, 5.28, 5.53, 5.78, 6.05]


def test_the_next_is_judged_as_one_of_all_that_were_passed_over():
    best = cell(PROCESSES, [5.0] * 5, peak_memory_mb=900.0)
    alone = advised(cell(HF, BARELY, peak_memory_mb=1000.0), best).loc[TIME]
    assert (alone.runner_verdict, alone.runner_blocks) == ("faster", 5)
    two = (cell(one, BARELY, peak_memory_mb=1000.0) for one in (HF, ONNX))
    among = advised(*two, best).loc[TIME]
    assert among.runner_ratio == pytest.approx(alone.runner_ratio)
    assert among.runner_verdict == "inconclusive" and "is not told apart" in among.overturned


def test_where_a_control_differs_from_itself_no_claim_on_times_stands_and_that_on_memory_does():
    cells = (*FIELD, steady(WORKERS, 6.0, 2000.0), steady(HF + CONTROL, 12.0))
    found, steps = advised(*cells), stepped(*cells)
    assert found.loc[TIME].runner_verdict == "inconclusive" and DOUBT in found.loc[TIME].overturned
    assert found.loc[MEMORY].runner_verdict == "less" and found.loc[MEMORY].overturned == ""
    told = steps[steps.step > 0]
    assert set(told.verdict) == {"inconclusive"} and (told.reason == DOUBT).all()
    assert "faster" in set(stepped(*cells[:-1]).verdict)


def test_few_images_and_other_labels_would_overturn_it_too():
    sooner = {"early": f"{HF}/cpu/w1/bs8", "late": f"{BFLOAT16}/cpu/w1/bs8", "break_even": 1234.0, "low": 900.0}
    sooner |= {"high": 1500.0, "verdict": "overtakes"}
    said = advised(*FIELD, break_even=[sooner], **FLIPS).loc[TIME].overturned
    assert "below 1,234 images (900 to 1,500 in the blocks) huggingface/pipeline" in said
    assert "0.5% of the labels" in said
    of_memory = advised(*FIELD, break_even=[sooner], **FLIPS).loc[MEMORY]
    assert of_memory.candidate == sooner["late"] and "1,234" not in of_memory.overturned
    undecided = advised(*FIELD, break_even=[sooner | {"verdict": "too few repeats"}], **FLIPS).loc[TIME].overturned
    assert "images" not in undecided


def test_hours_are_those_of_the_line_through_several_sizes_or_there_are_none():
    assert "datasets: sizes" in advised(*FIELD).loc[TIME].hours_reason
    line = {
        "framework": "huggingface",
        "variant": "dataloader-bfloat16",
        "device": "cpu",
        "workers": 1,
        "batch_size": 8,
    }
    told = advised(*FIELD, total=[line | {"hours": 17.0, "hours_low": 16.0, "hours_high": 18.0}]).loc[TIME]
    assert (told.hours, told.hours_low, told.hours_high, told.hours_reason) == (17, 16, 18, "")
    bent = advised(*FIELD, total=[line | {"reason": "no line"}]).loc[TIME]
    assert pandas.isna(bent.hours) and bent.hours_reason == "no line"


def test_each_device_has_its_own_advice():
    gpu = [steady(HF, 1.0, device="gpu"), steady(BFLOAT16, 0.5, device="gpu")]
    found = advice.advice(
        table(*FIELD, *gpu), judged(*FIELD, *gpu), *(typed([], name) for name in ("total_time", "break_even")),
        HF, DEFINITIONS, 2,
    )  # fmt: skip
    assert list(found.device) == ["cpu"] * 3 + ["gpu"] * 3
    assert found[found.device == "gpu"].baseline.unique().tolist() == [f"{HF}/gpu/w1/bs8"]


# --- steps


def test_the_way_from_the_article_to_the_fastest_changes_one_setting_a_step():
    found = stepped(
        steady(COMPILED, 2.0), steady(HF, 10.0), steady(BFLOAT16, 3.0), steady(LOADER, 6.0), steady(WORKERS, 8.0),
        steady(PROCESSES, 7.0), steady(TF, 9.0), steady(ONNX, 12.0),
    )  # fmt: skip
    own = found[found.framework == "huggingface"]
    assert [f"huggingface/{name}" for name in own.variant] == [HF, WORKERS, LOADER, BFLOAT16, COMPILED]
    assert own.changed.tolist()[1:] == [
        "loader_workers: cores", "runner: dataloader", "precision: bfloat16",
        "compile: reduce-overhead",
    ]  # fmt: skip
    assert own.speedup.tolist()[1:] == pytest.approx([10 / 8, 8 / 6, 2, 1.5])
    assert own.total.tolist() == pytest.approx([1, 10 / 8, 10 / 6, 10 / 3, 5])
    assert own.speedup.iloc[1:].prod() == pytest.approx(own.total.iloc[-1])
    other = found[found.framework == "sparknlp"]
    assert [f"sparknlp/{name}" for name in other.variant] == [TF] and other.total.tolist() == [1]


def test_each_ratio_of_a_step_has_the_blocks_of_its_own_and_few_of_them_are_no_interval():
    found = stepped(cell(HF, [10.0, 10.2, 9.9, 10.1]), steady(WORKERS, 8.0), steady(LOADER, 6.0))
    assert found.blocks.tolist()[1:] == [4, 5] and found.total_blocks.tolist()[1:] == [4, 4]
    row = present.steps_table(found)[-1]
    assert "| 1.33 [1.33, 1.33] | 5 | 1.67 (range 1.67 to 1.68 of 4) | 4 |" in row
    marks = style.marks(zip(found.framework, found.variant, strict=True))
    assert [step_chart._rung(one, marks).hollow for one in found.itertuples()] == [False, True, True]
    enough = stepped(steady(HF, 10.0), steady(WORKERS, 8.0))
    assert [step_chart._rung(one, marks).hollow for one in enough.itertuples()] == [False, False]


def test_the_way_to_another_engine_is_not_by_a_setting_of_the_first_alone_and_sizes_are_changes():
    no_onednn = "sparknlp/tensorflow-no-onednn"
    found = stepped(
        steady(HF, 9.0), steady(TF, 9.0), steady(no_onednn, 9.5), steady(ONNX, 8.0), steady(TUNED, 5.0, size=1)
    )
    own = found[found.framework == "sparknlp"]
    assert [f"sparknlp/{name}" for name in own.variant] == [TF, ONNX, TUNED]
    assert own.changed.tolist()[1:] == ["engine: onnx; without onednn", "onnx_threads: 1; batch size: 1"]


def test_a_step_through_what_failed_the_gate_is_no_step():
    cells = steady(HF, 10.0), steady(LOADER, 6.0), steady(BFLOAT16, 3.0)
    found = stepped(*cells, agreement={LOADER: 0.9})
    assert found.variant.tolist() == ["pipeline", "dataloader-bfloat16"]
    assert found.changed.iloc[1].count(";") == 2  # all at once


def test_settings_are_compared_in_words():
    one, other = {"a": 1, "onednn": True, "c": "x"}, {"a": 1, "onednn": False, "d": 2}
    assert advice.changes(one, other) == ["onednn: false", "d: 2", "without c"]
    assert advice.changes(one, one) == []


# --- the page and the charts


CONTEXT = example(TWO).context


def written(best: pandas.DataFrame, steps: pandas.DataFrame, **context: Any) -> str:
    return present.page(best.reset_index(drop=True), steps, CONTEXT | context)


def test_the_page_says_what_the_tables_say_and_the_program_compiles():
    page = written(advised(*FIELD, **FLIPS), stepped(*FIELD, **FLIPS))
    flat = " ".join(page.split())
    assert "3.33 [3.33, 3.33] times as fast as huggingface/pipeline/cpu/w1/bs8 (as in the article): faster" in flat
    assert "RAM is 0.90 [0.90, 0.90] times the baseline's." in flat
    assert "any precision" in flat and "99.5% of 48 images" in flat and "no data sets of several sizes" in flat
    programs = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    assert len(programs) == 2 and "stand under “least time”" in flat  # of least time and least memory the same
    for program in programs:
        compile(program, "advice.md", "exec")
    assert "torch.bfloat16" in programs[0] and "PROCESSES = 2" in programs[1]
    assert page.count("snakemake --config model=NAME") == 2  # twice a lower precision on seeded weights
    assert NOTHING_FOLLOWS[:40] in flat and "nan" not in page
    assert NOTHING_FOLLOWS[:40] not in written(advised(*FIELD), stepped(*FIELD), model_note="")


def test_the_table_tells_blocks_and_how_far_the_next_is_behind():
    (heads, _, first, *_) = present.best_table(advised(*FIELD, **FLIPS))
    told = dict(zip(heads.split(" | "), first.split(" | "), strict=True))
    assert (told["blocks"], told["verdict on that"]) == ("5", "faster")
    assert told["ahead of the next by"] == "1.67 [1.67, 1.67]"
    few = [cell(one, [seconds, seconds * 1.1], peak_memory_mb=1.0) for one, seconds in ((HF, 9.0), (ONNX, 6.0))]
    assert "1.50 (range 1.50 to 1.50 of 2)" in present.best_table(advised(*few))[2]


def test_a_mark_of_memory_is_filled_where_memory_is_told_apart_whatever_the_times_are():
    def hollow(blocks: int) -> bool:
        times = [9.0, 11.5, 9.2, 11.3, 9.9][:blocks]
        row = advised(cell(HF, [10.0] * blocks, peak_memory_mb=1000.0), cell(BFLOAT16, times, peak_memory_mb=900.0))
        (row,) = row[row.objective == MEMORY].itertuples()
        assert row.verdict != "faster" and row.memory_ratio == pytest.approx(1000 / 900)
        return chart._rung(row, style.marks([("huggingface", row.variant)])["huggingface", row.variant]).hollow

    assert not hollow(5) and hollow(4)


def test_a_variant_looks_the_same_on_every_chart_however_few_it_shows(monkeypatch):
    steps = stepped(steady(HF, 10.0), steady(LOADER, 6.0))
    context = CONTEXT | {"variants": [HF, WORKERS, "onnxruntime/int8", LOADER]}
    shown = []
    monkeypatch.setattr(step_chart.ladder, "draw", lambda groups, *_, **__: shown.extend(groups))
    step_chart.draw(steps, context)
    ((_, rungs),) = shown
    key = tuple(LOADER.split("/"))
    assert rungs[-1].mark == style.marks_of(context, [])[key] != style.marks([("huggingface", "pipeline"), key])[key]


def test_a_page_without_anything_to_advise_says_so():
    nothing = typed([], "advice"), typed([], "steps")
    page = written(*nothing)
    assert "No advice" in page and "```" not in page


def test_the_charts_show_every_aim_and_step_and_no_text_touches_another(monkeypatch):
    best, steps = advised(*FIELD, **FLIPS).reset_index(drop=True), stepped(*FIELD, **FLIPS)
    figures = {"advice": chart.draw(best, CONTEXT), "steps": step_chart.draw(steps, CONTEXT)}
    figures |= {
        "none": chart.draw(typed([], "advice"), CONTEXT),
        "no way": step_chart.draw(typed([], "steps"), CONTEXT),
    }
    for name, figure in figures.items():
        assert collisions(figure, monkeypatch) == [], name
    shown = words(figures["advice"], monkeypatch)
    assert all(aim in shown for aim in OBJECTIVES)
    dots = [line.get_xdata()[0] for line in figures["advice"].axes[0].lines if line.get_marker() in "osD^"]
    assert dots == pytest.approx([10 / 3, 1000 / 900, 2])
    assert "precision: bfloat16" in words(figures["steps"], monkeypatch)


def test_the_rule_writes_tables_and_page_of_a_campaign(tmp_path):
    archive = packed("default")
    paths = tabulate(archive, tmp_path)
    best, steps = tables.read(paths["advice"]), tables.read(paths["steps"])
    assert list(best.objective) == list(OBJECTIVES) and (best.candidate != "").all()
    assert best.candidates[0] == 2 and set(steps.framework) == {"huggingface", "sparknlp"}
    write_advice.main(best, steps, tables.read_context(paths["context"]), tmp_path / "advice.md")
    assert "What would overturn it" in (tmp_path / "advice.md").read_text()
