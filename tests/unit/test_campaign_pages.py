"""What README and docs say of a campaign is what its records say; and no measured number there was typed."""

import math
import re
from dataclasses import replace

import describe_campaign
import pandas
import planted
import pytest
from campaign_tables import CAMPAIGNS, tabulate, tabulated
from example_tables import TWO, example, physics, stages, typed

from vitbench import tables
from vitbench.analysis.pairs import BEST_GROUP, CONTROL_GROUP
from vitbench.analysis.sustained import OF_REPEAT
from vitbench.campaigns.packing import pack
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.present import campaign_tables, labels
from vitbench.present.markdown import BEGIN, BLOCK, END, blocks, filled
from vitbench.records.archive import open_archive

# Numbers with a unit of a measurement, in a page whose generated blocks and code were taken out.
MEASURED = re.compile(r"\d[\d.,]* (?:times|images/s|images a second|GFLOP/s|s a pass)|\d\.\d+ \[")


@pytest.fixture(scope="module", params=CAMPAIGNS)
def campaign(request, tmp_path_factory) -> describe_campaign.Campaign:
    """A committed campaign, its tables made as the rules make them."""
    return describe_campaign.read(request.param, tabulated(tmp_path_factory, request.param)["results"])


def test_a_campaign_with_data_sets_of_several_sizes_has_their_parts(sized, tmp_path, monkeypatch):
    campaigns = tmp_path / "resources" / "campaigns"
    pack(open_archive(sized), "sized", campaigns, "v1")
    tabulate(open_archive(campaigns / "sized"), tmp_path / "results")
    monkeypatch.setattr(describe_campaign, "HOME", tmp_path)
    page = describe_campaign.describe(describe_campaign.read("sized", tmp_path / "results"))
    assert "## Hours for a million images" in page and "## Data sets of several sizes" in page
    assert "images/sized/data_set_sizes.png" in page and "3 blocks of sizes" in " ".join(page.split())
    total = tables.read(tmp_path / "results/total_time.csv")
    assert list(total.blocks) == [3, 3] and all(f"{hours:,.1f}" in page for hours in total.hours)
    # What all of it says, a line through the planted seconds says.
    for each, seconds in zip(total.seconds_an_image, planted.SECONDS.values(), strict=True):
        assert each == pytest.approx(seconds, rel=0.05)
    parity, speedup = (tables.read(tmp_path / f"results/{name}.csv") for name in ("parity", "speedup"))
    of_sizes = parity[parity.dataset.str.startswith("sizes-")]
    assert len(of_sizes) == 4 and of_sizes.passed.all() and set(of_sizes.images) == {16, 24, 32, 40}
    assert set(speedup.family[speedup.dataset.str.startswith("sizes-")]) == {"exploratory"}


def test_a_campaign_of_an_earlier_protocol_says_where_it_was_wrong(campaign):
    def said(protocol: int) -> str:
        context = campaign.context | {"protocol": protocol}
        return describe_campaign.conditions(replace(campaign, context=context), campaign.page)

    today = describe_campaign.PROTOCOL
    assert f"protocol {today} · " in said(today)
    assert f"protocol 3 ([today's is {today}](methodology.md#what-was-wrong-with-protocol-3))" in said(3)


def test_a_campaign_with_long_repeats_has_their_part_and_chart(campaign):
    of_repeat = dict(zip(OF_REPEAT, ("full", 32, "huggingface", "pipeline", "cpu", 1, 8, 0), strict=True))
    minutes = [of_repeat | {"minute": minute, "throughput": 8.0 if minute < 7 else 6.0} for minute in range(1, 12)]
    page = describe_campaign.describe(
        replace(campaign, tables=campaign.tables | {"sustained": typed(minutes, "sustained")})
    )
    assert "## Minute by minute" in page and "| 8.00 | 6.00 | -25% |" in page and "sustained.png" in page
    page = describe_campaign.describe(replace(campaign, tables=campaign.tables | {"sustained": typed([], "sustained")}))
    assert "Minute by minute" not in page and "sustained.png" not in page


def test_a_campaign_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="nothing: no such campaign; there is "):
        describe_campaign.read("nothing", tmp_path)


def test_the_pages_say_what_the_campaign_says(campaign):
    for page, text in describe_campaign.texts(campaign).items():
        assert page.read_text() == text, f"run `python scripts/describe_campaign.py {campaign.name}`"


def test_every_block_can_be_written(campaign):
    for what in describe_campaign.BLOCKS:
        assert describe_campaign.block(campaign, HOME / "README.md", what).strip()


def test_a_campaign_without_a_peak_says_that_nothing_is_known_of_it(campaign):
    physics = campaign.tables["physics"].assign(peak_gflops=math.nan, decode_ceiling=math.nan)
    bare = replace(campaign, tables=campaign.tables | {"physics": physics})
    assert "nothing is known of what it can do" in describe_campaign.block(bare, HOME / "README.md", "ceilings")


def test_no_variant_is_faster_than_the_rates_of_decoding_and_multiplying_allow(campaign):
    text = describe_campaign.block(campaign, HOME / "README.md", "ceilings")
    physics = campaign.tables["physics"]
    full = physics[(physics.dataset == "full") & (physics.device == "cpu")].dropna(
        subset=["decode_ceiling", "peak_gflops"]
    )
    assert text.startswith("|") == (len(full) > 0)
    rows = [[cell.strip() for cell in row.split("|")] for row in text.splitlines()[2:]]
    for _, precision, variant, ratio, most, _ in rows:
        assert float(ratio.split()[0]) < float(most), variant
        if precision == "float32":  # the baseline's own
            assert float(ratio.split()[0]) >= 1, variant
            speedup = campaign.tables["speedup"]
            baseline = speedup[(speedup.comparison == BEST_GROUP) & speedup.speedup.notna()].baseline.iloc[0]
            first = full[[name == baseline for name in labels.cell_names(full)]].iloc[0]
            seconds = 1 / first.decode_ceiling + first.gflop_per_image / first.peak_gflops
            assert most == labels.number(1 / seconds / first.throughput)
    if campaign.name == "precisions":
        assert [row[1] for row in rows] == ["float32", "bfloat16", "int8"]


def test_the_table_of_comparisons_holds_what_the_tables_hold(campaign):
    text = describe_campaign.block(campaign, HOME / "README.md", "comparisons")
    speedup = campaign.tables["speedup"]
    asked = speedup[speedup.comparison.isin([BEST_GROUP, CONTROL_GROUP])]
    known = asked[asked.speedup.notna()]
    assert len(known) > 0
    for row in known.itertuples():
        ends = f" [{labels.end(row.low)}, {labels.end(row.high)}]" if row.blocks > 1 else ""
        written = f"| {labels.number(row.speedup)}{ends} | {row.blocks:.0f} | {row.verdict} |"
        assert text.count(written) >= 1, written
    header, _, *rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    (ratio,) = (place for place, name in enumerate(header) if name.startswith("times as fast"))
    assert sum(row[ratio] != "–" for row in rows if "baseline" not in row) == len(known)


def test_a_break_even_lies_within_its_range(campaign):
    found = campaign.tables["break_even"].dropna(subset=["break_even", "low"])
    assert (found.low <= found.break_even).all()
    assert (found.high.isna() | (found.break_even <= found.high)).all()


def written(part: str, frame: pandas.DataFrame) -> list[dict[str, str]]:
    """The rows of a table of a campaign's page: heading → what stands there."""
    heads, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in campaign_tables.PARTS[part][1](frame)
    ]
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_profiles_of_one_variant_on_two_devices_are_two_rows_with_their_own_shares():
    frame = stages(example(TWO, devices=("cpu", "gpu")))
    frame.loc[(frame.stage == "forward") & (frame.device == "gpu"), "share"] = 0.91
    told = {row["variant"]: row["forward"] for row in written("stages", frame)}
    assert told == {f"{name}, {device}": share for name in TWO for device, share in (("CPU", "57%"), ("GPU", "91%"))}


@pytest.mark.parametrize(("part", "made"), [("stages", stages), ("physics", physics)])
def test_a_row_names_its_hardware_where_the_table_has_several(part, made):
    def variants(**how) -> set[str]:
        return {row["variant"] for row in written(part, made(example(TWO, **how)))}

    assert variants() == set(TWO)
    assert variants(devices=("cpu", "gpu")) == {f"{name}, {device}" for name in TWO for device in ("CPU", "GPU")}


def test_a_chart_leads_to_its_file_from_every_page(campaign):
    for page in (HOME / "README.md", HOME / "docs" / "methodology.md"):
        link = re.search(r"\((.+)\)", describe_campaign.block(campaign, page, "chart speedup"))[1]
        assert (page.parent / link).is_file()


def test_what_a_block_cannot_hold_is_one_line(campaign):
    with pytest.raises(UserError, match=r"README.md: a block cannot hold 'chart pie'; it can hold answer, "):
        describe_campaign.block(campaign, HOME / "README.md", "chart pie")


def test_every_block_of_a_campaign_is_of_one_that_is_here():
    asked = {source for sources in describe_campaign.with_blocks().values() for source in sources}
    named = {source.removeprefix("campaign ") for source in asked if source.startswith("campaign ")}
    assert named and named <= set(CAMPAIGNS)


@pytest.mark.parametrize("page", ["README.md", "docs/first_run.md", "docs/tutorial.md"])
def test_no_measured_number_was_typed(page):
    text = BLOCK.sub("", (HOME / page).read_text())
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    assert MEASURED.findall(text) == []


PAGE = f"one\n{BEGIN}tables: runs -->\nold\n{END}\ntwo\n{BEGIN}campaign a: answer -->\n{END}\n"


def test_a_block_is_filled_and_the_rest_stays():
    assert blocks(PAGE) == [("tables", "runs"), ("campaign a", "answer")]
    written = filled(PAGE, "tables", lambda what: f"new {what}\n")
    assert written == PAGE.replace("old", "new runs")
    assert filled(written, "tables", lambda what: f"new {what}\n") == written
    assert filled(PAGE, "campaign b", lambda what: "x\n") == PAGE


@pytest.mark.parametrize("lost", [f"{END}\ntwo", f"{BEGIN}campaign a: answer -->\n", f"two\n{BEGIN}campaign a: "])
def test_a_lost_marker_is_one_line(lost):
    with pytest.raises(UserError, match="put both back"):
        filled(PAGE.replace(lost, "", 1), "tables", lambda what: "x\n")
