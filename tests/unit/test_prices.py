"""Prices: what is read, what is refused in one line, and that a blank is never 0."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from vitbench.analysis import prices
from vitbench.analysis.prices import COLUMNS, Price, not_known, price_of
from vitbench.errors import UserError
from vitbench.files import HOME

BOUGHT = "somebody's list", "2026-11-26"


def table(folder: Path, *rows: tuple, header: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "prices.tsv"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))
    return path


def test_a_price_is_that_of_the_units_and_of_the_machine_with_its_start(tmp_path):
    path = table(tmp_path, ("a", "m5n", 5.71, 0.4, 2, 6, *BOUGHT), ("b", "", 0, "", 1.5, 0, *BOUGHT))
    found = prices.read(path)
    assert found["a"].usd_per_hour == pytest.approx(5.71 * 0.4 + 2) and found["a"].blank == []
    assert found["a"].usd(10) == pytest.approx((5.71 * 0.4 + 2) * 10.1)
    assert found["a"].usd(10, machines=3) == pytest.approx(3 * found["a"].usd(10))
    # No machine of Databricks: nobody has to say what a unit would cost.
    assert found["b"].usd(2) == pytest.approx(3.0)


@pytest.mark.parametrize("blank", ["dbu_per_hour", "usd_per_dbu", "vm_usd_per_hour", "start_minutes"])
def test_a_blank_is_not_known_and_names_the_row_to_fill(tmp_path, blank):
    cells = dict(zip(COLUMNS, ("a", "m5n", 5, 0.4, 2, 6, *BOUGHT), strict=True)) | {blank: ""}
    price = prices.read(table(tmp_path, tuple(cells.values())))["a"]
    assert price.usd(10) is None and price.blank == [blank]
    assert not_known(price) == f"cost not known: fill row a of {prices.TABLE} ({blank})"
    assert (price.usd_per_hour is None) == (blank != "start_minutes")


def test_a_machine_without_a_row_is_as_blank_as_can_be():
    price = price_of({"a": Price("a", 0, 0, 1, 0)}, "zen9")
    assert price.usd(1) is None and not_known(price).startswith("cost not known: fill row zen9 of ")
    assert price_of({"a": Price("a", 0, 0, 1, 0)}, "a").usd(2) == 2


def test_ends_that_nobody_knows_cost_nothing_that_anybody_knows():
    assert math.isnan(Price("a", 0, 0, 1, 0).usd(math.nan))


def test_blank_cells_and_lines_at_the_end_may_be_left_out(tmp_path):
    path = table(tmp_path, ("a",), ("",), ("b", "m5n"))
    assert prices.read(path) == {"a": Price("a"), "b": Price("b")}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("a", "", "5 USD", 1, 1, 1, *BOUGHT), "line 2: dbu_per_hour '5 USD' is no number"),
        (("a", "", -1, 1, 1, 1, *BOUGHT), "line 2: dbu_per_hour -1: it must be 0 or more"),
        (("a", "", 1, "nan", 1, 1, *BOUGHT), "line 2: usd_per_dbu nan: it must be 0 or more"),
        (("a", "", 1, 1, 1, 1, "", ""), "line 2: numbers without source and date"),
        (("a", "", 1, 1, 1, 1, "a list", "last week"), "line 2: date 'last week'"),
        (("", "", 1, 1, 1, 1, *BOUGHT), "line 2: no hardware"),
        (("a", "", 1, 1, 1, 1, *BOUGHT, "more"), "line 2: 9 cells, and 8 columns"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, row, said):
    with pytest.raises(UserError) as raised:
        prices.read(table(tmp_path, row, ("b",)))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_every_bad_row_is_named(tmp_path):
    with pytest.raises(UserError) as raised:
        prices.read(table(tmp_path, ("a", "", "x", "", "", "", *BOUGHT), ("b",), ("b",)))
    assert "line 2: dbu_per_hour" in str(raised.value) and "line 4: a second row of b" in str(raised.value)


def test_a_table_that_is_none_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        prices.read(tmp_path / "gone.tsv")
    with pytest.raises(UserError, match="lacks the column hardware"):
        prices.read(table(tmp_path, header=("machine", *COLUMNS[1:])))
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(UserError, match="lacks the column"):
        prices.read(tmp_path / "empty.tsv")


def test_the_table_of_this_checkout_can_be_read_and_has_a_row_for_each_campaign_s_machine():
    known = prices.read(HOME / "resources" / "prices.tsv")
    grids = (HOME / "resources" / "campaigns").glob("*/grid.json")
    assert {json.loads(path.read_text())["machine"] for path in grids} <= known.keys()
