"""On which terms two cells are compared, and that no other variant changes what is said of them."""

from __future__ import annotations

from typing import Any

import pandas
import pytest
import yaml
from example_tables import typed

from vitbench.analysis import fairness
from vitbench.analysis.fairness import ANY_PRECISION, ARTICLE, BEST, ENGINE, EQUAL, UNEQUAL
from vitbench.analysis.pairs import comparisons
from vitbench.analysis.speedup import speedup
from vitbench.cells import CONTROL, cell_name
from vitbench.files import HOME
from vitbench.frameworks import terms

HF, TF, ONNX, TUNED = "huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx", "sparknlp/onnx-tuned"
DEFINED = yaml.safe_load((HOME / "resources" / "variants.yaml").read_text())
STEADY = [9.0, 9.1, 8.9, 9.05, 8.95]
WEAK = [8.45, 8.6, 7.7, 8.5, 8.1]
# Precision of the products, threads and slots of what a machine with two cores records.
RECORDED: dict[str, tuple[str, float | None, float]] = {
    HF: ("float32", 2, 1),
    "huggingface/processes": ("float32", 1, 2),
    "huggingface/pipeline-workers": ("float32", 2, 1),
    "huggingface/dataloader-bfloat16": ("bfloat16", 2, 1),
    TF: ("float32", None, 2),
    "sparknlp/tensorflow-no-onednn": ("float32", None, 2),
    ONNX: ("float32", 6, 2),
    TUNED: ("float32", 1, 2),
    "onnxruntime/float32": ("float32", 1, 2),
    "onnxruntime/int8": ("int8", 1, 2),
    "spark-huggingface/float32": ("float32", 1, 2),
    "spark-huggingface/bfloat16": ("bfloat16", 1, 2),
}


def declared(variant: str) -> str:
    """What a variant of resources/variants.yaml declares, as the runs table has it."""
    framework, name = variant.removesuffix(CONTROL).split("/")
    served = ("platforms", "otherwise")
    definition = {key: value for key, value in DEFINED[framework][name].items() if key not in served}
    return ";".join(terms(framework, definition))


def cell(variant: str, seconds: list[float], dataset: str = "full", size: int = 8, **more: Any) -> list[dict]:
    """Rows of one cell, a repeat for each of `seconds`."""
    framework, name = variant.split("/")
    precision, threads, slots = RECORDED.get(variant.removesuffix(CONTROL), ("float32", None, 1))
    images = 32 if dataset == "sample" else 48
    known = {
        "source": "live", "machine": "xeon-2", "protocol": 1, "model": "vit", "dataset": dataset, "images": images,
        "framework": framework, "variant": name, "device": "cpu", "workers": 1, "batch_size": size, "status": "ok",
        "total_seconds": 60.0, "product_precision": precision, "threads": threads, "slots": slots,
        "declared": declared(variant) if variant.removesuffix(CONTROL) in RECORDED else "",
    }  # fmt: skip
    return [
        known | {"repeat": block, "block": block, "wall_seconds": wall, "throughput": images / wall} | more
        for block, wall in enumerate(seconds)
    ]


def table(*cells: list[dict]) -> pandas.DataFrame:
    """The runs table of these cells."""
    return typed([row for rows in cells for row in rows], "runs")


def judged(
    *cells: list[dict], baseline: str = HF, agreement: dict[str, float] | None = None, **how: Any
) -> pandas.DataFrame:
    """The table `speedup` of these cells, with the candidate's variant in a column.

    Args:
        agreement: variant → share of its labels that are the baseline's; of the others all are. Below 99% it fails.
    """
    runs, gate = table(*cells), []
    for one, other, _ in comparisons(runs, baseline):
        share = (agreement or {}).get(f"{other['framework']}/{other['variant']}", 1.0)
        pair = {"dataset": one["dataset"], "baseline": cell_name(one), "candidate": cell_name(other)}
        said = {"images": 48, "compared": 48, "agreement": share, "passed": share >= 0.99, "reason": "labels differ"}
        gate.append(pair | said)
    found = speedup(runs, baseline, typed(gate, "parity"), **how)
    return found.assign(variant=found.candidate.str.split("/").str[:2].str.join("/"))


def row(found: pandas.DataFrame, variant: str, dataset: str = "full") -> Any:
    """The one comparison with this candidate on this data set."""
    (one,) = found[(found.variant == variant) & (found.dataset == dataset)].itertuples()
    return one


WITHOUT_SWEEP = {
    "huggingface/processes": EQUAL,
    "huggingface/pipeline-workers": UNEQUAL,
    "huggingface/dataloader-bfloat16": ANY_PRECISION,
    TF: ARTICLE,
    "sparknlp/tensorflow-no-onednn": UNEQUAL,
    ONNX: UNEQUAL,
    TUNED: EQUAL,
    "onnxruntime/float32": ENGINE,
    "onnxruntime/int8": ENGINE,
    "spark-huggingface/float32": EQUAL,
    "spark-huggingface/bfloat16": ANY_PRECISION,
}


def test_every_variant_has_the_label_that_its_settings_and_records_give():
    found = judged(*(cell(variant, STEADY) for variant in RECORDED))
    assert dict(zip(found.variant, found.fairness, strict=True)) == WITHOUT_SWEEP
    assert set(WITHOUT_SWEEP.values()) | {BEST} == set(fairness.LABELS)


@pytest.mark.parametrize(
    ("ours", "theirs", "label"),
    [
        *[("cores", "cores", EQUAL), (2, 2, EQUAL), (0, 0, EQUAL), (2, 4, UNEQUAL), (0, "cores", UNEQUAL)],
        (2, {"loader_workers": 2, "threads_a_process": 1}, UNEQUAL),  # each process has two of its own
        (0, {"loader_workers": 0, "threads_a_process": 1}, EQUAL),
    ],
)
def test_processes_beside_the_threads_are_equal_terms_where_both_have_as_many(ours, theirs, label):
    def side(workers: int | str | dict) -> fairness.Terms:
        settings = workers if isinstance(workers, dict) else {"loader_workers": workers}
        declared = terms("huggingface", {"image_processor": "pil"} | settings)
        return fairness.Terms("huggingface", ("cpu", 2.0, 1), frozenset(declared), "float32", 2.0)

    assert fairness.label(side(ours), side(theirs), None) == fairness.label(side(theirs), side(ours), None) == label


def test_settings_of_the_article_and_engines_are_those_of_the_variants_that_say_so():
    named = [f"{framework}/{name}" for framework, names in DEFINED.items() for name in names]
    of_article = [name for name in named if "as in the article" in declared(name)]
    assert of_article == [HF, TF, "sparknlp/pretrained"]
    assert {name.split("/")[0] for name in named if "engine alone" in declared(name)} == {"onnxruntime", "openvino"}


@pytest.mark.parametrize(("theirs", "label"), [((1, 8, 16), BEST), ((1, 8), UNEQUAL)])
def test_the_best_of_as_many_trials_is_a_label_of_full_runs_alone(theirs, label):
    sweep = [cell(HF, STEADY, "sample", size) for size in (1, 8, 16)]
    sweep += [cell(ONNX, STEADY, "sample", size) for size in theirs]
    found = judged(cell(HF, STEADY), cell(ONNX, STEADY), *sweep)
    full = row(found, ONNX)
    assert (full.fairness, full.baseline_trials, full.candidate_trials) == (label, 3, len(theirs))
    assert set(found[found.dataset == "sample"].fairness) == {UNEQUAL}


def test_one_batch_size_is_no_search():
    found = judged(*(cell(one, STEADY, dataset) for one in (HF, ONNX) for dataset in ("sample", "full")))
    assert row(found, ONNX).fairness == UNEQUAL


def test_the_trials_of_a_search_count_in_place_of_those_of_the_sweep():
    cells = [cell(one, STEADY) for one in (HF, ONNX)]
    assert row(judged(*cells, trials={HF: 7, ONNX: 7}), ONNX).fairness == BEST
    assert row(judged(*cells, trials={HF: 7, ONNX: 9}), ONNX).fairness == UNEQUAL


def test_other_hardware_is_no_equal_term_and_a_control_has_no_label():
    found = judged(cell(HF, STEADY), cell(HF + CONTROL, STEADY), cell(HF, STEADY, device="gpu"))
    assert row(found, HF).fairness == UNEQUAL
    assert pandas.isna(row(found, HF + CONTROL).fairness)


@pytest.mark.parametrize(("workers", "cores", "machines", "label"), [
    (1, 1, 1, UNEQUAL),  # a worker that has half of the machine that the baseline has
    (2, 2, 1, EQUAL),  # two that have all of it
    (2, 2, 2, UNEQUAL),  # as many cores, of two machines
    (4, 4, 1, UNEQUAL),
])  # fmt: skip
def test_workers_are_on_equal_terms_with_one_node_where_they_have_its_cores(workers, cores, machines, label):
    one_node = cell("huggingface/processes", STEADY, cores=2, machines=1)
    inside = cell("spark-huggingface/float32", STEADY, workers=workers, cores=cores, machines=machines)
    found = judged(one_node, inside, baseline="huggingface/processes")
    assert row(found, "spark-huggingface/float32").fairness == label


def test_another_way_in_or_out_is_no_equal_term_and_on_a_cluster_nothing_is_as_in_the_article():
    plain = DEFINED["spark-huggingface"]["float32"]
    said = {key: ";".join(terms("spark-huggingface", plain | more)) for key, more in {
        "files": {}, "bytes": {"input": "bytes"}, "parquet": {"sink": "parquet"}}.items()}  # fmt: skip
    for one, other in (("files", "bytes"), ("files", "parquet"), ("bytes", "parquet")):
        cells = [cell(HF, STEADY, declared=said[one]), cell("spark-huggingface/float32", STEADY, declared=said[other])]
        assert row(judged(*cells), "spark-huggingface/float32").fairness == UNEQUAL
    article = DEFINED["sparknlp"]["tensorflow"]
    for more in ({"sink": "parquet"}, {"spark": {"master": "standalone"}}):
        assert "as in the article" in terms("sparknlp", article)
        assert "as in the article" not in terms("sparknlp", article | more)


def test_precision_that_no_record_tells_is_not_equal():
    found = judged(cell(HF, STEADY), cell(TUNED, STEADY, product_precision=""))
    assert row(found, TUNED).fairness == UNEQUAL


@pytest.mark.parametrize("one", RECORDED)
@pytest.mark.parametrize("other", RECORDED)
def test_a_label_is_the_same_from_either_side(one, other):
    sides = [fairness.Terms.of(table(cell(variant, STEADY))) for variant in (one, other)]
    for trials in (None, (3.0, 3.0), (3.0, 2.0)):
        back = trials and trials[::-1]
        assert fairness.label(*sides, trials) == fairness.label(*reversed(sides), back)


def test_another_variant_turns_no_verdict_of_the_others():
    """Whatever is tried besides: its full run, its sweep, and its size on other data sets."""
    few = [cell(one, times, dataset) for one, times in ((HF, STEADY), (TF, WEAK), (ONNX, WEAK))
           for dataset in ("sample", "full")]  # fmt: skip
    more = [cell(f"sparknlp/v{number}", STEADY[::-1], dataset, size) for number in range(20)
            for dataset, size in (("sample", 8), ("full", 8))]  # fmt: skip
    alone, among = (judged(*cells).set_index(["variant", "dataset"]) for cells in (few, few + more))
    assert len(among) == len(alone) + 40
    said = ["fairness", "family", "verdict", "p_holm", "low", "high", "speedup"]
    pandas.testing.assert_frame_equal(among.loc[alone.index, said], alone[said])
    first = row(alone.reset_index(), TF)
    assert first.verdict == "faster" and first.p_holm < 0.05


def test_the_first_variant_of_each_other_framework_is_primary_and_they_are_corrected_together():
    others = [f"engine{number}/v" for number in range(9)]
    found = judged(cell(HF, STEADY), cell(TF, WEAK), cell(ONNX, WEAK), *(cell(one, STEADY[::-1]) for one in others))
    families = dict(zip(found.variant, found.family, strict=True))
    assert families == dict.fromkeys([TF, *others], "primary") | {ONNX: "exploratory"}
    among, alone = row(found, TF), row(judged(cell(HF, STEADY), cell(TF, WEAK)), TF)
    assert among.p_holm == pytest.approx(10 * alone.p_holm)
    assert (alone.verdict, among.verdict) == ("faster", "inconclusive") and "among 10 comparisons" in among.reason


def test_of_one_framework_alone_the_first_other_variant_is_primary():
    found = judged(*(cell(one, STEADY) for one in (HF, "huggingface/processes", "huggingface/pipeline-workers")))
    assert found.family.tolist() == ["primary", "exploratory"]


def test_each_device_has_its_own_first_variant_of_a_framework():
    """One that does not run there, and one that was tried on the sample alone, ask no question of the device."""
    gpu = [cell(one, STEADY, device="gpu") for one in (HF, ONNX, TUNED)]
    found = judged(cell(HF, STEADY), cell(TF, STEADY, "sample"), cell(ONNX, WEAK), cell(TUNED, WEAK), *gpu)
    primary = found[found.family == "primary"]
    assert primary.candidate.tolist() == [f"{ONNX}/cpu/w1/bs8", f"{ONNX}/gpu/w1/bs8"]
    own = cell("huggingface/processes", STEADY)  # of the baseline's own framework: no question where there is another
    without = judged(cell(HF, STEADY), own, cell(TF, STEADY), cell(ONNX, WEAK), *gpu)
    assert without[without.family == "primary"].candidate.tolist() == [f"{TF}/cpu/w1/bs8", f"{ONNX}/gpu/w1/bs8"]
