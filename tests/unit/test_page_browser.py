"""The page in a headless Chromium: silent, alone, usable by keyboard, at every width, light and dark.

Without a Chromium these tests are skipped; `.ci/run` brings one, and axe-core, whose path is VITBENCH_AXE.
"""

import os
from pathlib import Path

import browser
import pytest
from example_page import EVIL, disagreement, photograph, replicated, write
from example_tables import FIVE, NO_SIZES, example

from vitbench.analysis.jobs import jobs
from vitbench.present.page import break_even

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser.find() is None, reason="no Chromium here: apt-get install chromium"),
]
WIDTHS = (390, 820, 1400)
ENTER, TAB = 13, 9


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.running(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def run():
    failed = {("sparknlp/tensorflow", 16): "oom"}
    given = example(FIVE[:3], repeats=5, verdict="faster", floor=1.05, devices=("cpu", "gpu"), failed=failed)
    given.runs["peak_memory_mb"] = 1000.0
    given.runs.loc[3, "reason"] = EVIL
    return given


@pytest.fixture(scope="module")
def file(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [disagreement(**photograph(folder)), disagreement(image="2", file=EVIL)]
        return write(folder, run, published=True, disagreements=rows, replication=[replicated()])


@pytest.fixture
def page(chromium, file):
    return chromium.open(file)


def test_it_says_nothing_and_asks_for_nothing(page):
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.complaints() == [] and page.requests() == []


def test_the_check_hears_and_sees(chromium, file, tmp_path):
    """A page that logs, throws and asks is found out."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='picture.png'><script>console.error('said'); throw new Error('thrown')</script>")
    page = chromium.open(bad)
    assert len(page.complaints()) >= 2 and [one for one in page.requests() if one.endswith("picture.png")]
    asking = tmp_path / "asking.html"
    asking.write_text(file.read_text().replace('href="data:,"', 'href="icon.png"').replace("</header>",
                      "<img alt='x' src='picture.png'></header>"))  # fmt: skip
    complaints = chromium.open(asking).complaints()
    assert any("Content Security Policy" in one for one in complaints)


def test_the_answer_is_on_the_first_screen_of_a_telephone(chromium, file):
    page = chromium.open(file, WIDTHS[0])
    assert page.evaluate("document.querySelector('h1').getBoundingClientRect().bottom") < 480


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(chromium, file, width):
    page = chromium.open(file, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "dark"), list(zip(WIDTHS, (False, True, False), strict=True)))
def test_axe_finds_nothing(chromium, file, width, dark):
    axe = os.environ.get("VITBENCH_AXE")
    if not axe:
        pytest.skip("VITBENCH_AXE does not say where axe.min.js of axe-core lies")
    assert chromium.open(file, width, dark=dark).kept_out(Path(axe)) == []


def test_dark_mode_is_dark(chromium, file):
    color = "getComputedStyle(document.documentElement).backgroundColor"
    assert chromium.open(file).evaluate(color) == "rgb(255, 255, 255)"
    assert chromium.open(file, dark=True).evaluate(color) == "rgb(20, 23, 26)"


def test_the_first_key_leads_past_the_navigation(page):
    page.press("Tab", TAB)
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.evaluate("document.activeElement.click()")
    assert page.evaluate("document.activeElement.id") == "main"


def test_marks_tell_their_values(page):
    assert page.evaluate("[...document.querySelectorAll('.mark title')].every((one) => one.textContent.length > 5)")
    assert page.evaluate("document.querySelectorAll('.xy .mark title, .row .mark title').length") > 50


def column(page, number: int) -> list[str]:
    rows = "[...document.querySelectorAll('#runs tbody tr')].filter((row) => !row.hidden)"
    return page.evaluate(f"{rows}.map((row) => row.cells[{number}].textContent)")


def test_the_table_of_runs_sorts_numbers_as_numbers_and_filters(page, run):
    heads = page.evaluate("[...document.querySelectorAll('#runs thead th')].map((one) => one.textContent)")
    place = heads.index("batch size")
    button = f"document.querySelectorAll('#runs thead button')[{place}]"
    page.evaluate(f"{button}.focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=ENTER, text="\r")
    page.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", windowsVirtualKeyCode=ENTER)
    sizes = [int(one) for one in column(page, place) if one != "–"]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
    assert page.evaluate(f"{button}.closest('th').getAttribute('aria-sort')") == "ascending"
    page.evaluate(f"{button}.click()")
    assert [int(one) for one in column(page, place) if one != "–"] == sizes[::-1]
    rate = heads.index("images/s")
    for _ in ("up", "down"):
        page.evaluate(f"document.querySelectorAll('#runs thead button')[{rate}].click()")
        shown = column(page, rate)
        known = len(shown) - shown.count("–")
        assert 0 < known < len(shown) and "–" not in shown[:known]  # what is not known stands last
    page.evaluate(
        "(() => { const field = document.querySelector('#runs input'); field.value = 'no-onednn GPU';"
        " field.dispatchEvent(new Event('input')); })()"
    )
    expected = (run.runs.variant == "tensorflow-no-onednn") & (run.runs.device == "gpu")
    assert len(column(page, 0)) == expected.sum() > 0
    assert page.evaluate("document.querySelector('[data-count]').textContent") == (
        f"{expected.sum()} of {len(run.runs)} rows"
    )


def test_a_button_chooses_a_group_of_comparisons_everywhere(page):
    shown = "[...document.querySelectorAll('#speedup [data-group], #parity [data-group]')].filter((one) => !one.hidden)"
    every = page.evaluate(f"{shown}.length")
    page.evaluate(
        "[...document.querySelectorAll('.chips button')].find((one) => one.textContent.startsWith('A/A')).click()"
    )
    left = page.evaluate(f"[...new Set({shown}.map((one) => one.dataset.group))]")
    assert left == ["A/A control"] and page.evaluate(f"{shown}.length") < every
    page.evaluate("document.querySelector('.chips button').click()")
    assert page.evaluate(f"{shown}.length") == every


def cells(page) -> list[list[str]]:
    return page.evaluate(
        "[...document.querySelectorAll('#arms tbody tr')].map((row) => [...row.cells].map((one) => one.textContent))"
    )


def test_the_projection_follows_what_is_asked(page, run, file):
    arms = break_even.arms(jobs(run.runs, NO_SIZES, run.parity), NO_SIZES)
    before = cells(page)
    written = "document.querySelector('.asked')"
    page.evaluate(f"{written}.dispatchEvent(new Event('input'))")
    assert cells(page) == before  # what the page was written with and what it computes is the same
    page.evaluate(
        f"(() => {{ const asked = {written}; asked.images.value = '1,000,000'; asked.deadline.value = '2';"
        " asked.price.value = '3,5'; asked.dispatchEvent(new Event('input')); })()"
    )
    named = {arm.name: arm for arm in arms}
    shown = cells(page)
    # What the machine cannot do is named as such, and comes last.
    doubted = ["above the machine's peak" in row[0] for row in shown]
    assert any(doubted) and doubted == sorted(doubted) and len(shown) == len(named)
    for row in shown:
        arm = named[row[0].partition(" (")[0]]
        machines = arm.machines(1_000_000, 2)
        assert row[2] == f"{arm.seconds(1_000_000) / 86400:,.1f}"
        assert row[3] == f"{machines:,}"
        hours = (machines * arm.fixed + 1_000_000 * arm.each) / 3600
        assert float(row[4].replace(",", "")) == pytest.approx(3.5 * hours, abs=0.006)
    page.evaluate(f"(() => {{ const asked = {written}; asked.images.value = 'many';"
                  " asked.dispatchEvent(new Event('input')); })()")  # fmt: skip
    assert "must be numbers" in page.evaluate("document.getElementById('arms-said').textContent")


def test_it_prints_without_what_only_a_screen_needs(page):
    assert page.pdf().startswith(b"%PDF")
    page.call("Emulation.setEmulatedMedia", media="print")
    hidden = "(one) => getComputedStyle(document.querySelector(one)).display === 'none'"
    assert page.evaluate(f"['nav', '.chips', '#runs', '.asked'].every({hidden})")
    assert page.evaluate("getComputedStyle(document.querySelector('#speedup')).display") != "none"
