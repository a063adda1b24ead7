"""The published numbers: carried over unchanged, checked row by row, and every claim of the series tested."""

from __future__ import annotations

import hashlib
import shutil
from decimal import Decimal
from pathlib import Path

import pandas
import pytest
import tabulate_published

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.series import claims, published

DATA = HOME / "resources" / "published"
CARRIED_OVER = {
    "runs.csv": "5634be5cf0103132f14d6bfe73eac5610a298cdde9ad67d442d50671e084e910",
    "hardware.csv": "c428a99b59c8a874c4467967a2838d38992a7a89d13fef15bd13dd817fc00acd",
}
# The answer key: what the notes to the data found, claim by claim, before the rule was written.
ROUNDED = {"C08", "C22", "C25", "C26", "C28"}
NOT = {"C01", "C09", "C14", "C15", "C29", "C32"}
UNTESTABLE = {"C10", "C18", "C30", "C33", "C34"}


@pytest.fixture(scope="module")
def series() -> published.Series:
    return published.read(DATA)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the published data, to be changed."""
    return Path(shutil.copytree(DATA, tmp_path / "published"))


def change(folder: Path, name: str, old: str, new: str) -> None:
    """Replace the one place where `old` stands in a table."""
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))


def verdicts(folder: Path) -> dict[str, str]:
    series = published.read(folder)
    checked = claims.check_claims(series.claims, series.runs)
    return dict(zip(checked.id, checked.verdict, strict=True))


@pytest.mark.parametrize("name", CARRIED_OVER)
def test_the_figures_are_those_that_were_carried_over(name):
    content = (DATA / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == CARRIED_OVER[name]
    source = HOME.parent / "shared" / "published" / name
    assert not source.exists() or source.read_bytes() == content


def test_the_runs_become_rows_of_the_runs_table(series):
    assert len(series.runs) == 103
    cell = series.runs[(series.runs.machine == "databricks_single_node") & (series.runs.wall_seconds == 435.00094)]
    assert cell[["framework", "variant", "device", "dataset"]].to_numpy().tolist() == [
        ["sparknlp", "tensorflow", "gpu", "full"]
    ]
    assert cell.throughput.item() == pytest.approx(34742 / 435.00094)
    assert series.runs.batch_size.isna().sum() == 2  # not stated, and not 0


# --- claims


def test_every_claim_has_the_verdict_of_the_answer_key(series):
    checked = claims.check_claims(series.claims, series.runs)
    assert list(checked.id.sort_values()) == [f"C{number:02d}" for number in range(1, 35)]
    by_verdict = {verdict: set(group.id) for verdict, group in checked.groupby("verdict")}
    assert by_verdict["agrees when rounded as stated"] == ROUNDED
    assert by_verdict["does not agree"] == NOT
    assert by_verdict["cannot be tested"] == UNTESTABLE
    assert len(by_verdict["agrees"]) == 34 - len(ROUNDED | NOT | UNTESTABLE)
    assert list(checked.verdict.drop_duplicates()) == list(claims.VERDICTS)  # what agrees comes first


def test_recomputed_values_are_those_of_the_answer_key(series):
    checked = claims.check_claims(series.claims, series.runs).set_index("id").recomputed
    expected = {"C01": "3.76x; 3.78x", "C14": "34.3%", "C15": "15.0%", "C09": "10.2%", "C29": "2326.1% (24.26x)"}
    assert {claim: checked[claim] for claim in expected} == expected


@pytest.mark.parametrize(
    ("old", "new", "claim", "verdict"),
    [
        ("1277.69", "1100.00", "C06", "does not agree"),  # 71%, where 47% was stated
        ("full,34742,16,1071.917992", "full,34742,16,921.00", "C15", "agrees"),  # 34%
        ("sample,3544,8,149,", "sample,3544,8,127.5,", "C14", "agrees"),  # 15%
        ("sample,3544,32,36.55", "sample,3544,32,37.04", "C08", "agrees"),  # 35% without rounding first
    ],
)
def test_a_changed_number_changes_the_verdict(copy, old, new, claim, verdict):
    assert verdicts(copy)[claim] != verdict
    change(copy, "runs.csv", old, new)
    assert verdicts(copy)[claim] == verdict


@pytest.mark.parametrize(
    ("stated", "place"),
    [("2366", 0), ("980", 1), ("1000", 2), ("1200", 2), ("10", 0), ("3.9", -1), ("665.8", -1), ("3", 0)],
)
def test_the_last_digit_that_counts(stated, place):
    assert claims._place(Decimal(stated)) == place


def test_replies_of_the_authors_reach_the_table(copy):
    table = pandas.read_csv(copy / "claims.csv", dtype=str, keep_default_na=False)
    table.loc[0, ["reply", "reply_date", "reply_link"]] = ["a slip", "2026-11-24", "https://example.org/1"]
    table.to_csv(copy / "claims.csv", index=False)
    series = published.read(copy)
    row = claims.check_claims(series.claims, series.runs).set_index("id").loc["C01"]
    assert (row.reply, row.reply_date, row.reply_link) == ("a slip", "2026-11-24", "https://example.org/1")


# --- accidental repeats, scaling, comparisons


def test_cells_of_one_effective_batch_size_give_the_noise(series):
    repeats = published.accidental_repeats(series.runs)
    place = ["machine", "dataset", "device", "variant", "workers"]
    found = {key: (row.n.item(), round(row["cv"].item(), 3)) for key, row in repeats.groupby(place)}
    assert found["dell_c4130_bare_metal", "sample", "gpu", "tensorflow", 1] == (6, 0.112)
    assert found["databricks_single_node", "sample", "gpu", "tensorflow", 1] == (6, 0.097)
    assert found["dell_c4130_bare_metal", "full", "gpu", "tensorflow", 1] == (6, 0.025)
    assert found["dell_c4130_bare_metal", "sample", "cpu", "tensorflow", 1] == (3, 0.042)
    assert set(repeats.effective_batch_size) == {32}
    assert (repeats.batch_sizes.str.split(";").str[0] == "32").all()


def test_a_best_batch_size_that_lies_in_the_noise_is_said_to(series):
    best = published.best_batch_sizes(series.runs, published.accidental_repeats(series.runs))
    told = best[best.reason.str.contains("cannot be told apart")]
    assert list(zip(told.machine, told.dataset, told.device, strict=True)) == [
        ("dell_c4130_bare_metal", "sample", "gpu"),
        ("dell_c4130_bare_metal", "full", "gpu"),
    ]
    other = best[best.reason.str.contains("picked another")]
    assert other[["workers", "batch_size", "kept"]].to_numpy().tolist() == [[10, 4, 8]]


def test_parallel_efficiency(series):
    table = published.scaling(series.runs, published.scaling_figure(series))
    scaled = table.set_index(["device", "workers"]).efficiency
    assert scaled["cpu"].round(3).to_dict() == {1: 1, 2: 0.975, 4: 0.929, 8: 0.831, 10: 0.960}
    assert scaled["gpu"].round(3).to_dict() == {1: 1, 2: 0.941, 4: 0.924, 8: 0.885, 10: 0.856}


def test_ratios_are_of_one_run_without_interval_and_with_both_hardwares(series):
    table = published.speedups(series.runs, series.about)
    assert set(table.verdict) == {"one run"} and table.low.isna().all() and table.high.isna().all()
    assert set(table.reason) == {"parity not checked"}
    assert (table.baseline_hardware != "").all() and (table.candidate_hardware != "").all()
    first = table.iloc[0:2].set_index("candidate").speedup
    assert first["sparknlp/tensorflow/cpu/w1/bs16"] == pytest.approx(1233 / 1071.917992)
    across = table[table.comparison.str.contains("against one Databricks node")]
    assert len(across) == 16 and across.speedup.max() == pytest.approx(659 / 50.822814, rel=1e-6)


# --- input that cannot be


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1879,true", "-1879,true", "line 3: seconds -1879: it must be above 0"),
        ("1879,true", "x,true", "line 3: seconds 'x' is not a number"),
        ("1879,true", "nan,true", "line 3: seconds nan: it must be above 0"),
        ("1,dell_c4130_bare_metal,huggingface,transformers 4.21.1; torch 1.9.1+cu102,gpu,Dell PowerEdge C4130; 2x Xeon "
         "E5-2698 v4 (40 cores/80 threads); 251 GiB RAM; one of 4x Tesla P100 12GB,1,full,34745,256,497,true",
         "1,dell_c4130_bare_metal,keras,transformers 4.21.1; torch 1.9.1+cu102,gpu,Dell PowerEdge C4130; 2x Xeon "
         "E5-2698 v4 (40 cores/80 threads); 251 GiB RAM; one of 4x Tesla P100 12GB,1,full,34745,256,497,true",
         "line 5: framework 'keras'"),
        ("1879,true", "1879,false", "0 rows have is_best true"),
        (",is_best,", ",best,", "lacks the column is_best"),
    ],
)  # fmt: skip
def test_input_that_cannot_be_is_named(copy, old, new, said):
    change(copy, "runs.csv", old, new)
    with pytest.raises(UserError) as raised:
        published.read(copy)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_a_row_twice_is_named(copy):
    lines = (copy / "runs.csv").read_text().splitlines()
    (copy / "runs.csv").write_text("\n".join([*lines, lines[7]]) + "\n")
    with pytest.raises(UserError, match="line 105: the same cell as line 8"):
        published.read(copy)


def test_an_operand_that_is_no_run_is_named(copy):
    text = (copy / "claims.csv").read_text().replace("gpu/w10/full", "gpu/w11/full")
    (copy / "claims.csv").write_text(text)
    with pytest.raises(UserError, match="claim C27: no published run is called .*w11/full"):
        verdicts(copy)


def test_bad_input_leaves_the_tables_of_the_last_run(copy, tmp_path):
    names = ["runs", "summary", "best", "parity", "speedup", "repeats", "scaling", "claims", "figures", "context"]
    out = {name: str(tmp_path / "out" / f"{name}.csv") for name in names}
    tabulate_published.main(copy, out)
    before = {name: Path(path).read_bytes() for name, path in out.items()}
    change(copy, "runs.csv", "1879,true", "-1,true")
    with pytest.raises(UserError):
        tabulate_published.main(copy, out)
    assert {name: Path(path).read_bytes() for name, path in out.items()} == before


# --- figures


def test_every_run_of_a_figure_exists_and_every_run_is_in_a_figure(series):
    picked = published.picked_runs(series.runs)
    drawn = set()
    for figure in series.figures:
        for name in [*figure.get("runs", []), *filter(None, [figure.get("run")])]:
            published.find_run(picked, name, figure["name"])
            drawn.add(name)
    assert drawn == set(picked)
    assert all(figure["reason"] for figure in series.figures if figure["chart"] == "none")
