"""The whole workflow, from photographs to workbook, with Hugging Face and both engines of Spark NLP."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import openpyxl
import pytest
from PIL import Image
from tree import ROOT, Tree, found, processes_of, smoke_options
from tree import smoke as snakemake

from vitbench import tables
from vitbench.campaigns import checker
from vitbench.frameworks.stages import STAGES
from vitbench.measure.harness import says_out_of_memory
from vitbench.records import profile_file
from vitbench.records import record as records
from vitbench.records.archive import open_archive

VARIANTS = {"huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx"}


@pytest.fixture(scope="module")
def runs(smoke):
    return tables.read(smoke / "results/runs.csv")


def test_every_cell_was_measured_and_worked(runs):
    assert set(runs.framework + "/" + runs.variant) == VARIANTS
    assert (runs.status == "ok").all() and (runs.batch_size == 4).all()
    assert sorted(runs.dataset) == ["full"] * len(VARIANTS) + ["sample"] * len(VARIANTS)


def test_throughput_times_wall_time_is_the_number_of_images(runs):
    assert ((runs.throughput * runs.wall_seconds - 12).abs() < 1e-6).all()
    assert (runs.images == 12).all() and (runs.wall_seconds > 0).all() and (runs.start_seconds > 0).all()


def test_the_batches_are_of_the_size_that_was_asked_for(runs):
    assert (runs.effective_batch_size == runs.batch_size).all()
    known = runs.groupby("framework").batches.agg(set).to_dict()
    assert known == {"huggingface": {"observed"}, "sparknlp": {"computed"}}


def test_the_labels_are_the_same_and_right(smoke):
    parity = tables.read(smoke / "results/parity.csv")
    assert parity.passed.all()
    assert (parity.compared == 12).all()
    assert (parity.baseline_accuracy >= 0.9).all() and (parity.candidate_accuracy >= 0.9).all()
    # Both give scores, and of the same model: what differs is how each resizes.
    assert (parity.probability_difference < 0.1).all()


def test_the_three_forms_of_the_model_give_the_same_logits(smoke):
    found = json.loads(next(smoke.glob("resources/models/*/logits.json")).read_text())["largest_difference"]
    assert found.keys() == {"onnx", "tensorflow"}
    assert all(0 <= difference <= 1e-4 for difference in found.values())


def test_the_records_say_what_was_used(smoke):
    for path in smoke.glob("measurements/**/rep*.json"):
        record = records.read(path)
        assert record["peak_memory_mb"] > 100 and record["accelerator"] == "cpu" and record["precision"] == "float32"
        assert record["versions"] and all(record["hashes"][name] for name in ("manifest", "model", "measuring_code"))
        assert ("jars" in record["hashes"]) and bool(record["hashes"]["jars"]) == (record["framework"] == "sparknlp")
        assert len(record["passes"]) == 4 and record["passes"][0]["seconds"] == record["cold_seconds"]
        if record["framework"] == "huggingface":
            assert "short_passes" not in record
        else:
            short = record["short_passes"]
            assert short["count"] == 2 and short["images"] == 2 * min(record["slots"], 12) and short["seconds"] > 0
        predictions = records.read_predictions(records.predictions_path(path))
        assert len({image for image, _, _ in predictions}) == 12
        assert all(score is not None and 0 < score <= 1 for _, _, score in predictions)


def test_the_stages_of_each_variant_are_known(smoke, runs):
    stages = tables.read(smoke / "results/stages.csv")
    assert set(stages.framework + "/" + stages.variant) == VARIANTS and len(stages) == len(VARIANTS) * len(STAGES)
    assert set(stages.status) == {"ok"}
    methods = dict(zip(stages.framework, stages.method, strict=True))
    assert methods == {"huggingface": "timers", "sparknlp": "partial pipelines + flight recorder"}
    for _, cell in stages.groupby(["framework", "variant"]):
        assert cell.seconds.sum() == pytest.approx(cell.sum_seconds.iloc[0]) and cell.share.sum() == pytest.approx(1)
        seconds = dict(zip(cell.stage, cell.seconds, strict=True))
        # Ten milliseconds of this model may fall between two samples of Spark.
        seen = ("decode", "preprocess") if "sparknlp" in set(cell.framework) else STAGES
        assert all(seconds[stage] > 0 for stage in seen)
        assert cell.bound_by.iloc[0]


def test_the_profiles_say_what_they_were_made_of(smoke):
    for path in smoke.glob("measurements/**/profile.json"):
        profile = profile_file.checked(json.loads(path.read_text()), str(path))
        assert profile["sampled_peak_memory_mb"] > 100 and len(profile["plain_seconds"]) == 2
        if profile["framework"] == "sparknlp":
            details = profile["details"]
            assert set(details["partial_seconds"]) == {"list", "read", "decode", "assemble"} and details["dumps"] > 0
            # What the samples saw before the annotator is there too: the other way to the same time.
            assert {"shown", "preprocess", "other"} <= {what for one in details["sampled_seconds"] for what in one}


def test_repeats_ran_one_at_a_time_in_the_seeded_order(smoke, runs):
    started = runs[runs.status == "ok"].sort_values("started")
    sweep = started[started.dataset == "sample"]
    assert list(sweep.order) == sorted(sweep.order)


def test_the_charts_are_pictures_with_words(smoke):
    charts = "speedup batch_sweep wall_time passes break_even effective_batches quiet stages"
    for chart in charts.split():
        with Image.open(smoke / f"reports/{chart}.png") as image:
            assert min(image.size) > 400 and len(image.convert("L").getcolors(256)) > 2
        assert ElementTree.parse(smoke / f"reports/{chart}.svg").getroot().tag.endswith("svg")


def test_the_workbook_has_its_sheets_with_numbers(smoke, runs):
    book = openpyxl.load_workbook(smoke / "reports/benchmark.xlsx", data_only=True)
    assert book.sheetnames == [
        "Summary", "Read me", "Sweep", "Best batch", "Full", "Speedup", "Break-even", "Passes", "Scaling",
        "Scaling laws", "Cost", "Stages", "Physics", "Batches", "Parity", "Replication", "Replication curves", "Cells",
        "Runs", "Blocks", "Sizes", "Check", "Images", "Time budget", "Environment",
    ]  # fmt: skip
    rows = list(book["Runs"].values)
    header = next(number for number, row in enumerate(rows) if "wall_seconds" in row)
    column = rows[header].index("wall_seconds")
    assert [row[column] for row in rows[header + 1 :]] == pytest.approx(list(runs.wall_seconds))


def test_the_run_began_with_an_estimate_and_ended_with_nine_lines(smoke):
    output = (smoke / "output.txt").read_text()
    assert re.search(
        r"vitbench: 6 of 6 measurements and 3 profiles to do, about \d+ minutes.*; about \d+ MB to download", output
    )
    lines = (smoke / "results/summary.txt").read_text().splitlines()
    assert len(lines) == 9
    assert "The article (part 2, CPU, full set): Spark NLP 1.15 times as fast" in lines[3]
    assert "\n".join(lines) in output


def test_nothing_is_left_to_do_or_lying_about(smoke, java):
    assert Tree(smoke).planned(*smoke_options(smoke), **java) == {}
    hidden = [path for path in found(smoke, ".*") if ".snakemake" not in str(path) and "environments" not in path.parts]
    assert [path.name for path in hidden if path.suffix in (".repeat", ".partial")] == []
    assert processes_of(smoke) == []
    assert {path.name for path in smoke.iterdir()} == {
        *(".snakemake", "logs", "measurements", "more.yaml", "output.txt", "reports", "resources", "results")
    }


def test_the_logs_hold_no_warning(smoke):
    # Spark says how to set its log level, Spark NLP that its ONNX Runtime uses CPUs, and a test beside this one may
    # hold the machine or be named as what ran beside; all else would be news.
    known = (
        *("Setting default log level", "To adjust logging level", "Using CPUs", "waiting: another vitbench"),
        "beside this repeat ran",
    )
    for log in [*smoke.glob("logs/measure/*.log"), *smoke.glob("logs/profile_cell/*.log")]:
        lines = [line for line in log.read_text().splitlines() if not line.startswith(known)]
        assert len(lines) == 1 and ": ok, " in lines[0], f"{log}: {lines}"


def test_the_checker_takes_a_real_run_for_one(smoke):
    """On a machine that is as busy as it may be; nothing that it holds against forgeries shows here."""
    found, made, not_made = checker.check(open_archive(smoke))
    assert found == []
    assert {"parts", "probes", "canaries", "machine", "software", "copies", "answers", "order", "physics"} <= set(made)


def test_each_cell_is_held_against_its_own_library_too(smoke):
    physics = tables.read(smoke / "results/physics.csv")
    known = physics[physics.own_library != ""]
    assert set(known.own_library) == {"torch", "ONNX Runtime"} and (known.own_gflops <= known.peak_gflops).all()
    assert (known.share_of_own >= known.share_of_peak).all()
    assert set(physics.variant[physics.own_library == ""]) == {"tensorflow"}


def test_the_provenance_report_is_made(smoke):
    snakemake(smoke, "--report", "reports/provenance.html")
    page = (smoke / "reports/provenance.html").read_text()
    for word in ("speedup", "batch sweep", "wall time", "benchmark.xlsx", "Comparison", "Throughput", "Workbook"):
        assert word in page


def test_a_repeat_without_memory_is_a_row(smoke, tmp_path):
    """An address-space limit that is too little for torch, and enough for the supervisor."""
    out = tmp_path / "rep0.json"
    measure = [sys.executable, str(ROOT / "scripts/measure.py"), "--config", "results/provenance/config.yaml"]
    cell = ["--cell", "huggingface/pipeline/cpu/w1/bs4", "--out", str(out)]
    limited = ["bash", "-c", 'ulimit -v 2000000; exec "$@"', "-", *measure, *cell]
    done = subprocess.run(limited, cwd=smoke, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    record = records.read(out)
    assert record["status"] == "oom" and says_out_of_memory(record["reason"]), record["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rep0.json", "rep0.predictions.csv"]
