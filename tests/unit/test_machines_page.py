"""Campaigns of several machines side by side: those of one model, data set and protocol; no verdict between them."""

from dataclasses import replace

import pandas
import pytest
from example_tables import TWO, example

from vitbench.analysis.machines import Campaign, across_machines
from vitbench.present.comparison import machines_page


@pytest.fixture
def zen4() -> Campaign:
    run = example(TWO, repeats=5, verdict="faster")
    grid = {"machine": "zen4-2c", "protocol": 3, "model": {"slug": "vit-1"}, "datasets": {"full": {"slug": "full-1"}}}
    return Campaign("standard", grid, run.summary.assign(source="campaigns/standard", machine="zen4-2c"), run.speedup)


def on(campaign: Campaign, machine: str, name: str, **grid) -> Campaign:
    summary = campaign.summary.assign(source=f"campaigns/{name}", machine=machine)
    return replace(campaign, name=name, summary=summary, grid=campaign.grid | {"machine": machine} | grid)


def test_campaigns_of_one_model_and_protocol_stand_side_by_side_and_the_others_are_named(zen4):
    zen5, other = on(zen4, "zen5-2c", "later"), on(zen4, "h200", "gpu", protocol=4)
    table, alone = across_machines([zen4, other, zen5])
    assert set(table.machine) == {"zen4-2c", "zen5-2c"} and [one.name for one in alone] == ["gpu"]
    full = zen4.summary[(zen4.summary.dataset == "full") & (zen4.summary.status == "ok")]
    assert len(table) == 2 * len(full) and set(table.dataset) == {"full"}
    page = machines_page(table, alone)
    assert "zen4-2c (standard)" in page and "zen5-2c (later)" in page and "- gpu: h200" in page
    candidate = zen4.speedup[zen4.speedup.dataset == "full"].iloc[0]
    assert f"{candidate.speedup:.2f} times (faster)" in page


def test_nothing_to_set_beside_each_other_is_said(zen4):
    table, alone = across_machines([zen4])
    assert table.empty and "No two campaigns share" in machines_page(table, alone)
    assert isinstance(table, pandas.DataFrame)
