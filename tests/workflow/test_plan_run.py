"""`snakemake plan`: from records that are there it measures nothing; prices and questions are read, and lines told."""

import pytest

from vitbench import tables

pytestmark = pytest.mark.ci

ASKED = ("plan", "--config", "images=1000000", "deadline_hours=10")
JOBS = {"tabulate_plan": 1, "write_plan": 1, "plot_plan": 1, "plan": 1}
PRICES = "resources/prices.tsv"


def priced(text: str, machine: str) -> str:
    """A table of prices with a row for this machine."""
    cells = (machine, "", "0", "", "2.5", "5", "a test", "2026-11-26")
    rows = [line for line in text.splitlines() if not line.startswith(f"{machine}\t")]
    return "\n".join([*rows, "\t".join(cells)]) + "\n"


def told(tree) -> str:
    """The page of the plan, in one line."""
    return " ".join((tree.root / "reports/plan.md").read_text().split())


def test_a_plan_is_made_of_records_and_made_again_for_another_question_or_price(tree):
    assert tree.planned(*ASKED) == JOBS
    tree.snakemake(*ASKED)
    page = told(tree)
    assert page.startswith("# 1,000,000 images within 10 hours: a projection") and "cost not known: fill row" in page
    assert (tree.root / "reports/plan.png").stat().st_size > 1000
    table = tables.read(tree.root / "results/plan.csv")
    assert set(table.variant) == {"pipeline", "tensorflow"} and table.usd.isna().all()
    # 0.15 s an image: 42 hours of one machine.
    chosen = table[table.answer != ""].iloc[0]
    assert chosen.variant == "tensorflow" and chosen.machines in (5, 6) and chosen.hours_high <= 10
    assert tree.planned(*ASKED) == {}
    assert tree.planned("plan", "--config", "images=2000000", "deadline_hours=10").keys() == JOBS.keys()

    machine = table.machine.iloc[0]
    own = tree.root / PRICES
    own.write_text(priced(own.read_text(), machine))
    assert tree.planned(*ASKED).keys() == JOBS.keys()
    tree.snakemake(*ASKED)
    table = tables.read(tree.root / "results/plan.csv")
    assert table.usd.notna().all() and "fill row" not in told(tree)


def test_scaling_and_cost_are_tables_of_every_run(tree):
    assert tree.planned("scaling") == {"plot_scaling": 1, "scaling": 1}
    cost = tables.read(tree.root / "results/cost.csv")
    ours = cost[cost.source == "live"]
    assert set(ours.variant) == {"pipeline", "tensorflow"} and (ours.machines == 1).all() and cost.usd.isna().all()
    assert list(ours[ours.least != ""].variant) == ["tensorflow"]
    scaling = tables.read(tree.root / "results/scaling.csv")
    assert set(scaling[scaling.source == "live"].workers) == {1} and scaling.workers.max() == 10


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("images=many", "images: many is no number; say how many"),
        ("images=0", "images: 0"),
        ("deadline_hours=0", "deadline_hours: 0"),
        ("campaign=gone", "campaign: there is no gone to plan by"),
    ],
)
def test_a_question_that_is_none_is_one_line(tree, config, said):
    output = tree.snakemake("plan", "--config", config, fails=True)
    lines = [line for line in output.splitlines() if line.startswith("vitbench: ")]
    assert any(said in line for line in lines) and "Traceback" not in output


def test_a_bad_price_is_one_line(tree):
    own = tree.root / PRICES
    own.write_text(own.read_text() + "a\t\tcheap\n")
    output = tree.snakemake(*ASKED, fails=True)
    assert "Traceback" not in output
    log = (tree.root / "logs/tabulate_plan.log").read_text()
    assert "dbu_per_hour 'cheap' is no number" in log
