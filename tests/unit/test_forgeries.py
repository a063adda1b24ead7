"""Forged records are refused by name, what a real run may look like is not, and what nobody can see is told."""

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import collect_records
import planted
import pytest
from tampering import change, paths, probed, reasons, refer, rewrite, scaled, shares, shortened

from vitbench import tables
from vitbench.campaigns import checker
from vitbench.campaigns.packing import pack
from vitbench.errors import UserError
from vitbench.plan.grid import Grid
from vitbench.records.archive import open_archive
from vitbench.records.mixing import mark_mixed
from vitbench.records.record import predictions_path
from vitbench.records.turns import out_of_turn


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def in_order(run: Path, *words: str) -> list[Path]:
    return sorted(paths(run, *words), key=lambda path: read(path)["order"])


def move_in_time(path: Path, **by) -> None:
    change(path, started=(datetime.fromisoformat(read(path)["started"]) + timedelta(**by)).isoformat())


def disturb(path: Path, foreign: float = 0.0, steal: float = 0.0) -> dict:
    """The probes of a record beside which others took these shares of the CPU."""
    record = read(path)
    counters = record["quiet"]["during"]["counters"]
    whole = counters["elapsed"] * counters["cores"]
    taken = counters | {"busy": counters["own_cpu_seconds"] + foreign * whole, "steal": steal * whole}
    return probed(record, "during", **shares(taken))


def repeat_once(run: Path) -> Path:
    """One repeat was disturbed and measured again: the record that holds both attempts."""
    path = next(path for path in in_order(run, "sample", "rep1") if read(path)["order"] > 0)
    record = read(path)
    began = datetime.fromisoformat(record["started"]) - timedelta(seconds=14)
    finding = "other processes took 45.0% of the CPU (limit 5%)"
    attempt = {"started": began.isoformat(), "status": "ok", "wall_seconds": 3.0, "pass_seconds": [3.1, 2.9, 3.0]}
    attempt |= {"flags": ["suspect"], "reason": None, "total_seconds": 12.0}
    attempt["quiet"] = disturb(path, foreign=0.45) | {"findings": [finding]}
    for number, when in enumerate(("before", "after")):
        attempt["quiet"][when] = attempt["quiet"][when] | planted.canary(1000 + number)
    change(path, attempts=[attempt])
    refer(run)
    return path


# --- the forgeries


def swap_the_times_of_two_frameworks(run):
    for one, two in zip(paths(run, "full", "pipeline-c"), paths(run, "full", "sparknlp"), strict=False):
        first, second = read(one), read(two)
        kept = ("passes", "wall_seconds", "cold_seconds", "throughput")
        change(one, **{key: second[key] for key in kept})
        change(two, **{key: first[key] for key in kept})


def swap_the_times_of_two_sizes(run):
    """The totals too, as somebody would who knows of them: the counters say how long each really ran."""
    for one, two in zip(paths(run, "sparknlp", "bs1/"), paths(run, "huggingface", "bs1/"), strict=True):
        first, second = read(one), read(two)
        kept = ("passes", "wall_seconds", "cold_seconds", "throughput", "total_seconds")
        change(one, **{key: second[key] for key in kept})
        change(two, **{key: first[key] for key in kept})


def shorten_the_passes_alone(run):
    for path in paths(run, "full", "sparknlp"):
        change(path, **scaled(read(path), 0.2))


def copy_a_repeat_with_jitter(run):
    first, *others = paths(run, "full", "sparknlp")
    for number, path in enumerate(others, start=1):
        jittered = scaled(read(first), 1.0, jitter=1e-9 * number)
        change(path, **jittered, total_seconds=read(first)["total_seconds"], quiet=read(path)["quiet"] | {
            "during": read(first)["quiet"]["during"]})  # fmt: skip


def copy_a_repeat_with_more_jitter_and_another_pass(run):
    first, other, *_ = paths(run, "full", "sparknlp")
    passes = read(first)["passes"]
    copied = [one | {"seconds": one["seconds"] * (1 + 1e-4 * (number % 2))} for number, one in enumerate(passes)]
    change(other, passes=[*copied, copied[-1] | {"seconds": copied[-1]["seconds"] * 1.01}])


def copy_a_repeat_times_a_factor(run):
    first, other, *_ = paths(run, "full", "sparknlp")
    like = read(first)
    change(other, **{key: value for key, value in shortened(like, 1.013).items() if key != "quiet"},
           quiet=read(other)["quiet"] | {"during": shortened(like, 1.013)["quiet"]["during"]})  # fmt: skip


def delete_all_attempts(run):
    path = repeat_once(run)
    assert reasons(run) == [], "a repeat that was measured again is no fault"
    change(path, attempts=[])


def remove_the_probes(run):
    change(paths(run)[5], quiet=None)


def remove_the_counters(run):
    path = paths(run)[5]
    during = read(path)["quiet"]["during"]
    del during["counters"]
    change(path, quiet=read(path)["quiet"] | {"during": during})


def empty_the_settings(run):
    change(paths(run)[5], measuring={})


def remove_the_limits(run):
    path = paths(run)[5]
    change(path, measuring={"passes": read(path)["measuring"]["passes"]})


OPEN = {"gemm_slower": 0.99, "decode_slower": 0.99, "steal": 1, "foreign_cpu": 1, "free_memory_gb": 0}


def loosen_the_limits(run, **disturbance):
    path = paths(run)[5]
    limits = read(path)["measuring"]["quiet"] | OPEN
    change(path, measuring=read(path)["measuring"] | {"quiet": limits}, quiet=disturb(path, **disturbance))


def loosen_the_limits_of_other_processes(run):
    loosen_the_limits(run, foreign=0.45)


def loosen_the_limits_of_steal(run):
    loosen_the_limits(run, steal=0.45)


def lower_what_others_took(run):
    path = paths(run)[5]
    taken = disturb(path, foreign=0.45)
    change(path, quiet=taken | {"during": taken["during"] | {"foreign_cpu_share": 0.01}})


def dilute_what_others_took(run):
    """The same seconds of theirs, as if the repeat had gone on for ten times as long."""
    path = paths(run)[5]
    counters = read(path)["quiet"]["during"]["counters"]
    longer = {name: counters[name] * 10 for name in ("elapsed", "busy", "own_cpu_seconds")}
    change(path, quiet=probed(read(path), "during", **shares(counters | longer)))


SIXTY = {"gemm_gflops": 60.0, "decode_per_second": 60.0}


def set_canaries_and_reference_of_one(run):
    path = in_order(run)[20]
    probes = read(path)["quiet"]
    both = {when: probes[when] | SIXTY for when in ("before", "after")}
    change(path, quiet=probes | both | {"reference": probes["reference"] | SIXTY})


def set_all_canaries_and_references(run):
    for path in paths(run):
        probes = read(path)["quiet"]
        both = {when: probes[when] | SIXTY for when in ("before", "after")}
        change(path, quiet=probes | both | {"reference": probes["reference"] | SIXTY})


def claim_another_precision(run):
    for path in paths(run, "full", "sparknlp"):
        change(path, **shortened(read(path), 1 / 20), precision="int4")


def claim_a_precision_that_the_variant_has_not(run):
    for path in paths(run, "full", "sparknlp"):
        change(path, **shortened(read(path), 1 / 2), precision="bfloat16")


def claim_a_precision_that_the_peak_has_not(run):
    for path in paths(run, "full", "sparknlp"):
        change(path, **shortened(read(path), 1 / 20), precision="int8")


def multiply_in_another_precision(run):
    for path in paths(run, "full", "huggingface", "rep1"):
        executed = read(path)["executed"]
        change(
            path,
            executed=executed | {"kernels": {"MKL SGEMM": 72, "oneDNN": 1}, "products": {"float32": 72, "bfloat16": 1}},
        )


def claim_no_precision(run):
    for path in paths(run, "full", "sparknlp"):
        change(path, **shortened(read(path), 1 / 20), precision=None)


def raise_the_peak(run):
    path = next(run.glob("measurements/**/peak.json"))
    peak = read(path)
    for one in peak["rates"] + peak["peak"]:
        one["gflops"] *= 20
    path.write_text(json.dumps(peak))


def rename_the_machine(run):
    here = read(paths(run)[0])["machine"]
    for path in [*run.rglob("*.json"), *run.rglob("config.yaml")]:
        path.write_text(path.read_text().replace(here, "zen9-amx-64c-512g"))
    (run / "measurements" / here).rename(run / "measurements" / "zen9-amx-64c-512g")


def give_it_more_cores(run):
    for path in paths(run):
        change(path, environment=read(path)["environment"] | {"cores": 96})


def zero_the_hash_of_the_code(run):
    for path in paths(run):
        change(path, hashes=read(path)["hashes"] | {"measuring_code": "0" * 64})


def type_a_hash_of_the_model(run):
    for path in paths(run):
        change(path, hashes=read(path)["hashes"] | {"model": "deadbeef" * 8})


def claim_another_version(run):
    for path in paths(run, "sparknlp"):
        change(path, versions={"spark-nlp": "9.9.9"})


def copy_the_baselines_predictions(run):
    for one, two in zip(paths(run, "full", "pipeline-c"), paths(run, "full", "sparknlp"), strict=False):
        shutil.copy(predictions_path(one), predictions_path(two))


def copy_most_of_the_baselines_predictions(run):
    one, two = paths(run, "full", "pipeline-c")[0], paths(run, "full", "sparknlp")[1]
    rows = predictions_path(one).read_text().splitlines()[1:]
    rewrite(two, lambda own: [line.split(",") for line in rows[: len(own) - 10]] + own[-10:])


def measure_the_last_one_20_days_later(run):
    move_in_time(in_order(run, "full", "rep2")[-1], days=20)


def measure_half_a_block_20_days_later(run):
    last = in_order(run, "full", "rep2")
    for path in last[len(last) // 2 :]:
        move_in_time(path, days=20)


ZEN4 = {"vendor": "AuthenticAMD", "family": "25", "model": "17", "microarchitecture": "zen4"}


def measure_a_block_on_another_processor(run):
    """Whose id is the same, as it once was for two generations."""
    for path in paths(run, "rep1"):
        facts = read(path)["environment"]
        change(path, environment=facts | {"processor": facts["processor"] | {"stepping": "99"}})


def measure_a_block_on_another_generation(run):
    for path in paths(run, "rep1"):
        facts = read(path)["environment"]
        change(path, environment=facts | {"processor": facts["processor"] | ZEN4})


def leave_out_short_passes(run):
    for path in paths(run, "full", "sparknlp"):
        record = read(path)
        path.write_text(json.dumps({key: value for key, value in record.items() if key != "short_passes"}))


def give_short_passes_to_who_plans_nothing(run):
    made = {"count": 100, "images": 200, "seconds": 0.1, "settling_seconds": 0.0}
    for path in paths(run, "full", "pipeline-c"):
        change(path, short_passes=made)


def empty_the_short_passes(run):
    for path in paths(run, "full", "sparknlp"):
        change(path, short_passes=read(path)["short_passes"] | {"images": 0})


def forget_the_processor(run):
    """As in every record of protocol 2."""
    for path in paths(run):
        facts = read(path)["environment"]
        change(path, environment={key: value for key, value in facts.items() if key != "processor"})


FORGERIES = {
    swap_the_times_of_two_frameworks: "expected at least its parts",
    swap_the_times_of_two_sizes: "counters over",
    shorten_the_passes_alone: "in neither start, load, passes nor probes",
    copy_a_repeat_with_jitter: "expected seconds of its own",
    copy_a_repeat_with_more_jitter_and_another_pass: "expected seconds of its own",
    copy_a_repeat_times_a_factor: "times 1.013, expected seconds of its own",
    delete_all_attempts: "held against 2 canaries more than",
    remove_the_probes: "no quiet probes",
    remove_the_counters: "no counters",
    empty_the_settings: "measuring has no passes",
    remove_the_limits: "measuring has no quiet",
    loosen_the_limits_of_other_processes: "other processes took 45.0% of the CPU (limit 5%)",
    loosen_the_limits_of_steal: "the hypervisor took 45.0% of the CPU (limit 2%)",
    lower_what_others_took: "foreign_cpu_share 0.01, expected 0.45",
    dilute_what_others_took: "counters over",
    set_canaries_and_reference_of_one: "canaries held against gemm_gflops 60.0, expected the median of the 45 before",
    set_all_canaries_and_references: "60 probes with a canary of 60.0 GFLOP/s",
    claim_another_precision: "precision int4, expected float32, ",
    claim_a_precision_that_the_variant_has_not: "precision bfloat16, expected float32 of that variant",
    claim_a_precision_that_the_peak_has_not: "precision int8, expected one that ",
    multiply_in_another_precision: "products ran in bfloat16, not in float32",
    claim_no_precision: "GFLOP/s of this machine",
    raise_the_peak: "7520 GFLOP/s in float32, expected at most 12 times",
    rename_the_machine: "machine zen9-amx-64c-512g, expected ",
    give_it_more_cores: "-96c-",
    zero_the_hash_of_the_code: "hash of measuring_code 000000000000, expected a SHA-256",
    type_a_hash_of_the_model: "hash of model deadbeefdead, expected a SHA-256",
    claim_another_version: "spark-nlp 9.9.9, expected 5.5.3 as in its fingerprint",
    copy_the_baselines_predictions: "48 scores of huggingface/pipeline",
    copy_most_of_the_baselines_predictions: "38 scores of huggingface/pipeline",
    measure_the_last_one_20_days_later: "20 days after",
    measure_half_a_block_20_days_later: "20 days after",
    measure_a_block_on_another_processor: "processor ",
    measure_a_block_on_another_generation: "expected zen4-",
    leave_out_short_passes: "0 short passes, expected 100",
    give_short_passes_to_who_plans_nothing: "100 short passes, expected 0",
    empty_the_short_passes: "0 images in 100 short passes, expected one or more in each",
    forget_the_processor: "does not name the processor's microarchitecture",
}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forgery_is_refused_by_file_and_reason(run, forge):
    forge(run)
    found = reasons(run)
    telling = [one for one in found if FORGERIES[forge] in one]
    assert telling, found
    assert all(re.match(r"(measurements|\d+ probes)", one) and "expected" in one for one in telling)


def test_old_records_are_refused_with_one_line(run):
    forget_the_processor(run)
    (line,) = [one for one in reasons(run) if "microarchitecture" in one]
    assert "(and 29 more)" in line and "measured again" in line


# --- what nobody can see (docs/campaigns.md says so)


def test_all_times_of_a_framework_made_shorter_in_everything_cannot_be_seen(run):
    for path in paths(run, "sparknlp"):
        change(path, **shortened(read(path), 0.8))
    assert reasons(run) == []


# --- what a real run may look like


def interrupted_for_a_long_weekend(run):
    order = in_order(run)
    for path in order[7:]:
        move_in_time(path, hours=62)


def interrupted_at_every_block(run):
    for number, path in enumerate(in_order(run)):
        move_in_time(path, hours=5 * number)


def a_whole_block_measured_again(run):
    for path in paths(run, "sample", "rep0"):
        move_in_time(path, days=30)
        change(path, quiet=read(path)["quiet"])
    refer(run)


def measured_again_at_once(run):
    repeat_once(run)


def a_new_microcode(run):
    for path in paths(run, "rep2"):
        facts = read(path)["environment"]
        change(path, environment=facts | {"processor": facts["processor"] | {"microcode": "0xffff"}})


def counters_that_the_system_does_not_tell(run):
    """As in a container with a part of a machine."""
    nothing = {"busy": None, "steal": None}
    for path in paths(run):
        during = read(path)["quiet"]["during"]
        taken = {"counters": during["counters"] | nothing, "foreign_cpu_share": None, "steal_share": None}
        change(path, quiet=probed(read(path), "during", **taken))


def a_trial_with_open_limits_on_a_busy_machine(run):
    """As the smoke test is; three blocks give no verdict."""
    config = run / "results/provenance/config.yaml"
    config.write_text(re.sub(r"\nquiet:\n(  .*\n)+", f"\nquiet: {json.dumps(OPEN | _rest(run))}\n", config.read_text()))
    for path in paths(run):
        limits = read(path)["measuring"]["quiet"] | OPEN
        probes = disturb(path, foreign=0.45)
        if path != paths(run)[3]:  # one quiet moment, as the peak had
            for when in ("before", "after"):
                probes[when] = probes[when] | {"gemm_gflops": probes[when]["gemm_gflops"] / 15}
        change(path, measuring=read(path)["measuring"] | {"quiet": limits}, quiet=probes)
    refer(run)


def _rest(run):
    return {key: read(paths(run)[0])["measuring"]["quiet"][key] for key in ("canary_seconds", "retries")}


def another_gate(run):
    """The barrier was passed again, with other canaries, when the run went on."""
    for path in run.glob("results/provenance/*.json"):
        if "canaries" in path.read_text():
            path.write_text(json.dumps(read(path) | {"canaries": [planted.canary(n) for n in range(500, 505)]}))


def a_slow_last_job_of_spark(run):
    """After the passes Spark counts its rows, and may read every image for that."""
    for path in paths(run, "full", "sparknlp"):
        change(path, total_seconds=read(path)["total_seconds"] + 10)


GENUINE = [
    interrupted_for_a_long_weekend,
    interrupted_at_every_block,
    a_whole_block_measured_again,
    measured_again_at_once,
    a_new_microcode,
    counters_that_the_system_does_not_tell,
    a_trial_with_open_limits_on_a_busy_machine,
    another_gate,
    a_slow_last_job_of_spark,
]


@pytest.mark.parametrize("happen", GENUINE, ids=lambda happen: happen.__name__)
def test_a_real_run_is_no_forgery_live_and_packed(run, happen, tmp_path):
    happen(run)
    assert reasons(run) == []
    pack(open_archive(run), "mine", tmp_path, "v1")
    assert reasons(tmp_path / "mine") == []


def test_open_limits_carry_no_verdict_on_a_machine_that_others_had(run):
    """The same trial with five blocks."""
    a_trial_with_open_limits_on_a_busy_machine(run)
    grid = Grid(planted.CONFIG | {"repeats": 5})
    (run / "results/provenance/grid.json").write_text(json.dumps(grid.describe()))
    for cell, repeat in grid.order:
        if repeat >= 3:
            path = planted.plant(run, grid, cell, repeat)
            move_in_time(path, days=1)
    refer(run)
    assert any("expected at most 25% of a repeat that is not flagged `suspect`" in one for one in reasons(run))


def test_a_repeat_removed_and_measured_again_is_named_in_the_tables(run):
    again = in_order(run, "sample", "rep1")[2]
    move_in_time(again, hours=3)
    rows = [read(path) | {"record": str(path)} for path in paths(run)]
    assert out_of_turn(rows) == {str(again)}
    assert out_of_turn(row for row in rows if row["record"] != str(again)) == set()
    out = run / "results" / "runs.csv"
    collect_records.main(open_archive(run), out)
    table = tables.read(out)
    assert [str(run / path) for path in table.record[table.out_of_turn == "yes"]] == [str(again)]
    (note,) = mark_mixed(table)
    assert f"1 of {len(rows)} repeats" in note


def test_a_table_of_two_processors_is_refused_by_both_records(run):
    measure_a_block_on_another_processor(run)
    with pytest.raises(UserError, match="differ in the processor: .*rep0.json.* and .*rep1.json"):
        collect_records.main(open_archive(run), run / "results" / "runs.csv")


def test_a_repeat_measured_again_in_the_middle_of_another_block_is_the_one_that_is_named(run):
    """Not the block into which it fell."""
    again, beside = in_order(run, "sample", "rep0")[1], in_order(run, "sample", "rep2")[3]
    began = datetime.fromisoformat(read(beside)["started"]) + timedelta(seconds=50)
    change(again, started=began.isoformat())
    rows = [read(path) | {"record": str(path)} for path in paths(run)]
    assert out_of_turn(rows) == {str(again)}


def test_the_checks_are_a_list_of_small_functions():
    assert len(checker.CHECKS) > 15 and all(one.__doc__ for one in checker.CHECKS.values())
