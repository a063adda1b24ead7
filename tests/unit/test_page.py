"""The page: what it says of which tables, that nothing in it can do harm, and that everybody can read it."""

import base64
import hashlib
import io
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import write_page
from example_page import EVIL, barriers, disagreement, parsed, photograph, replicated, write
from example_tables import FIVE, NO_SIZES, TWO, empty, example, typed
from PIL import Image
from test_method_charts import meetings

from vitbench import tables
from vitbench.analysis import parity
from vitbench.analysis.fairness import EQUAL, UNEQUAL
from vitbench.analysis.jobs import jobs
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.inputs import datasets
from vitbench.present.page import axes, break_even, comparison, document, pictures, replication
from vitbench.present.page.parts import GREY, looks
from vitbench.present.style import OURS, THEIRS

ALL = ["speedup", "sweep", "full", "passes", "stages", "batches", "parity", "peak", "memory", "break-even",
       "replication", "machine", "quiet", "runs"]  # fmt: skip

GONE = {"image": "000002", "path": "images/000002.jpg", "file": "gone.png", "label": ""}


def rich(**how):
    """A run of which every section has something to say."""
    run = example(**({"variants": FIVE[:3], "repeats": 5, "verdict": "faster", "floor": 1.05} | how))
    run.runs["peak_memory_mb"] = 1000.0
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A page with every section, and an image that was labelled in two ways."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [disagreement(**photograph(folder)), disagreement(**GONE)]
        page = write(folder, rich(), published=True, disagreements=rows, replication=[replicated()])
    return page.read_text()


def sections(html: str) -> list[str]:
    found = [node.attributes.get("id", "projection") for node in parsed(html).all("section")]
    return [name for name in found if name != "projection"]


def section(html: str, name: str):
    return next(node for node in parsed(html).all("section") if node.attributes.get("id") == name)


def test_every_table_with_data_has_its_section_in_order(whole):
    assert sections(whole) == ALL
    links = [node.attributes["href"] for node in parsed(whole).all("nav")[0].all("a")]
    assert links == ["#main", *(f"#{name}" for name in ALL)]


def test_sections_without_data_are_left_out(tmp_path):
    html = write(tmp_path, empty(), disagreements=[], replication=[], stages=[]).read_text()
    assert sections(html) == ["machine", "quiet", "runs"]
    assert barriers(parsed(html)) == []


def test_each_chart_says_how_to_read_it_and_what_would_make_it_wrong(whole):
    for name in ALL:
        words = section(whole, name).text
        if name not in ("machine", "runs"):
            assert "How to read it:" in words and "What would make it wrong:" in words, name


def test_the_answer_stands_first(whole):
    run = rich()
    (title,) = parsed(whole).all("h1")
    assert title.text.startswith(run.context["answer"].partition(" [")[0])
    first = parsed(whole).all("main")[0].text
    assert "Why believe it:" in first and "seeded weights" in first and "no GPU measured" in first
    above = first.partition("Who is faster")[0]
    assert "Raw: workbook · notebook · runs.csv · speedup.png" in above
    assert ("The article: " in above) == ("published comparisons" in first) and ".. " not in above


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "checks: all 2 passed"),
        ({"not_made": ["physics: no peak.json"]}, "checks: all 2 passed, 1 could not be made"),
        ({"reasons": ["rep0.json: one", "rep1.json: two"]}, "checks: 2 reasons against these records"),
    ],
)
def test_the_first_line_says_what_the_record_checker_found(tmp_path, found, words):
    (header,) = parsed(write(tmp_path, rich(), checks=found).read_text()).all("header")
    assert words in header.text


def test_comparisons_are_grouped_by_their_terms_and_those_on_other_terms_stand_under_the_answer(tmp_path):
    run = rich()
    full = run.speedup.index[run.speedup.comparison == "each at its best batch size, full"]
    run.speedup.loc[full, "fairness"] = ["as in the article", "equal input, precision and threads"]
    html = write(tmp_path, run).read_text()
    assert "On other terms: as in the article" in parsed(html).all("main")[0].text
    buttons = [node.text for node in parsed(html).all("button") if "data-group" in node.attributes]
    assert buttons[1].startswith("equal input, precision and threads: ") and buttons[2].startswith("as in the article:")
    assert buttons[-1].startswith("A/A control (")
    nodes = section(html, "speedup").all()
    chosen = {node.attributes["data-group"] for node in nodes if "data-group" in node.attributes}
    assert {"as in the article", "equal input, precision and threads", "A/A control"} <= chosen


def test_structure_keeps_nobody_out(whole):
    assert barriers(parsed(whole)) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('lang="en"', "", "no language"),
        (' alt="cat.png of the full set"', "", "image without words"),
        ('<th scope="col"', "<th", "heading without scope"),
        ('href="#speedup"', 'href="#nowhere"', "which is not there"),
        ('id="sweep"', 'id="speedup"', "two elements are called speedup"),
        ("<main", "<div", "closes"),
        ("<label>", "<span>", "closes"),
        ('class="skip"', "", "no skip link"),
        ("<h2", "<h4", "closes"),
    ],
)
def test_the_check_of_the_structure_finds_what_is_broken(whole, old, new, what):
    assert old in whole
    try:
        found = barriers(parsed(whole.replace(old, new, 1)))
    except AssertionError as error:
        found = [str(error)]
    assert any(what in one for one in found)


def test_it_asks_for_nothing_from_anywhere(whole):
    root = parsed(whole)
    for node in root.all():
        for name in ("src", "href", "srcset", "action", "poster", "xlink:href"):
            address = node.attributes.get(name)
            outside = address and re.match(r"[a-z]+:|//", address) and not address.startswith("data:")
            assert not outside, address
    assert "url(http" not in whole and "@import" not in whole
    policy = next(node for node in root.all("meta") if "http-equiv" in node.attributes).attributes["content"]
    assert policy.startswith("default-src 'none'") and "img-src data:;" in policy
    (script,) = root.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy  # what is planted cannot run, even were it not escaped


def test_what_comes_from_outside_stays_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = rich(failed={("sparknlp/tensorflow", 1): "error"})
    run.runs["reason"] = run.runs["reason"].where(run.runs["status"] == "ok", EVIL)
    run.runs["setting"] = run.summary["setting"] = run.summary["flags"] = EVIL
    run.parity["reason"] = run.parity["differing"] = EVIL
    run.context |= {"answer": f"{EVIL} [{EVIL}]", "machine_text": EVIL, "model": EVIL, "notes": [EVIL]}
    run.context["versions"] = {EVIL: EVIL}
    row = disagreement(**photograph(tmp_path)) | dict.fromkeys(("file", "label", "baseline_label"), EVIL)
    html = write(tmp_path, run, disagreements=[row], replication=[replicated(reason=EVIL)]).read_text()
    assert "<script>alert" not in html and len(parsed(html).all("script")) == 1
    shown = parsed(html).all("body")[0].text
    assert shown.count(EVIL) > 15
    quoted = 'a" onload="alert(1)'
    row |= {"file": quoted}
    html = write(tmp_path, rich(), disagreements=[row], replication=[]).read_text()
    image = parsed(html).all("img")[0]
    assert image.attributes["alt"].startswith(quoted) and "onload" not in image.attributes


def test_no_template_takes_words_as_they_are():
    for path in document.TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert "safe" not in re.findall(r"\|\s*(\w+)", text) and "autoescape" not in text, path.name


def test_the_same_tables_give_the_same_bytes_and_few_of_them(whole, tmp_path):
    first, second = (write(tmp_path / name, rich(), replication=[replicated()]).read_bytes() for name in "ab")
    assert first == second
    assert len(whole.encode()) < 500_000


def test_a_page_that_no_mail_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(document, "LARGEST", 10_000)
    with pytest.raises(UserError, match="more than 10,000"):
        write(tmp_path, rich())
    assert not (tmp_path / "report.html").exists()


def test_many_repeats_are_cut_and_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("vitbench.present.page.machine.MOST_RUNS", 4)
    run = rich()
    runs = section(write(tmp_path, run).read_text(), "runs")
    assert len(runs.all("tbody")[0].all("tr")) == 4
    assert f"The first 4 of {len(run.runs)} repeats" in runs.text


def test_the_numbers_are_those_of_the_table(whole):
    run = rich()
    rows = section(whole, "speedup").all("table")[0].all("tr")
    shown = [row.text for row in rows]
    for row in run.speedup.itertuples(index=False):
        name = "/".join(row.candidate.split("/")[:2])
        written = f"{row.speedup:.2f} [{row.low:.2f}, {row.high:.2f}]"
        assert any(name in words and written in words for words in shown), (name, written)


def drawn(**changes):
    """The marks of one comparison with these values."""
    run = example(sizes=(8,), repeats=5, verdict="faster")
    table = run.speedup.head(1).assign(**changes)
    chart = comparison.strip(table, "x")
    return chart, chart.rows[0]


def test_marks_follow_the_verdict():
    chart, row = drawn(speedup=2.0, low=1.0, high=4.0)
    assert row.dots[0].x == pytest.approx(chart.axis.at(2.0)) and not row.dots[0].hollow
    assert (row.spans[0].low, row.spans[0].high) == (chart.axis.at(1.0), chart.axis.at(4.0))
    assert chart.heavy == row.spans[0].low and row.dots[0].color == "#D55E00"
    assert drawn(speedup=0.5, verdict="slower")[1].dots[0].color == "#0072B2"
    assert drawn(verdict="inconclusive")[1].dots[0].hollow
    assert drawn(verdict="equivalent")[1].dots[0].color == GREY
    few = drawn(verdict="too few repeats", speedup=1.5, low=1.4, high=1.6)[1]
    assert not few.dots and few.spans[0].thin and few.spans[0].color != GREY
    assert drawn(verdict="too few repeats", speedup=1.0, low=0.9, high=1.1)[1].spans[0].color == GREY
    lost = drawn(verdict="parity failed", speedup=np.nan, low=np.nan, high=np.nan, reason="2 images lost")[1]
    assert not lost.dots and not lost.spans and lost.words == "parity failed: 2 images lost"
    one = drawn(verdict="one run", low=np.nan, high=np.nan)[1]
    assert one.dots[0].glyph == "diamond" and one.dots[0].hollow and not one.spans


def test_axes_place_what_they_are_given():
    axis = axes.doubling([0.3, 5])
    assert [label for _, label in axis.ticks] == ["0.25", "0.5", "1", "2", "4", "8"]
    places = [place for place, _ in axis.ticks]
    assert np.diff(places) == pytest.approx([places[1] - places[0]] * 5, abs=0.01)
    assert axis.at(1000) == 100 and axis.at(0) == 0
    line = axes.linear([3, 10])
    assert line.at(0) == 0 and line.down(10.5) == 0 and line.ticks[0] == (0.0, "0")
    assert len(axes.sizes([1, 30, 31, 32, 1024]).ticks) == 3  # labels that would touch are left out
    assert axes.linear([]).high > 0 and axes.linear([float("nan")]).high > 0


def test_the_projection_is_start_and_work():
    arm = break_even.Arm("x", throughput=10, fixed=3600, each=0.1, measured=100)
    assert arm.seconds(36_000) == 7200
    assert arm.machines(36_000, 3) == 1 and arm.machines(360_000, 3) == 5 and arm.machines(360_000, 2) == 10
    assert arm.machines(1, 1) is None  # it has only just started
    cluster = replace(arm, together=10)
    assert cluster.machines(36_000, 3) == 10 and cluster.machines(360_000, 3) == 50
    run = rich()
    found = break_even.arms(jobs(run.runs, NO_SIZES, run.parity), NO_SIZES)
    assert [one.each for one in found] == sorted(one.each for one in found) and len(found) == 3


def test_lines_of_total_time_are_dashed_where_nothing_was_measured():
    run = example(TWO, repeats=5)
    plot = break_even.break_even(run.runs, meetings(run), looks(run.context, [])).parts[0]
    # From one data set to twice the images of a process: 48 in four passes.
    few, most = (plot.x.at(images) for images in (48, 384))
    first, last = plot.x.at(1), max(dot.x for line in plot.lines for dot in line.points)
    assert [line.dashed for line in plot.lines] == [True, False, True] * 2 and last > most
    for line, ends in zip(plot.lines, [(first, few), (few, most), (most, last)] * 2, strict=True):
        assert (line.points[0].x, line.points[-1].x) == pytest.approx(ends, abs=0.01)


def test_the_colours_of_ours_and_of_the_published_are_those_of_the_chart():
    strip = replication.replication(typed([replicated()], "replication")).parts[0]
    (row,) = strip.rows
    assert {key.words: key.color for key in strip.key} == {"ours": OURS, "published": THEIRS} and OURS != THEIRS
    assert {dot.glyph: dot.color for dot in row.dots} == {"dot": OURS, "diamond": THEIRS}
    assert {span.tip.partition(":")[0]: span.color for span in row.spans} == {"ours": OURS, "published": THEIRS}


def test_images_with_two_labels_are_shown_with_both_answers(whole):
    figures = section(whole, "parity").all("figure")
    assert [figure.all("strong")[0].text for figure in figures] == ["cat.png", "gone.png"]
    (image,) = figures[0].all("img")
    content = base64.b64decode(image.attributes["src"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (160, 120)
    assert (
        "expected: cat" in figures[0].text
        and "huggingface/pipeline: cat (0.51, margin at least 0.02)" in figures[0].text
    )
    assert "sparknlp/tensorflow: dog (0.50, margin not known)" in figures[0].text
    assert "the image is not here" in figures[1].text and "expected" not in figures[1].text


def test_a_thumbnail_is_of_the_image_that_was_classified_or_says_why_not(tmp_path):
    path = tmp_path / photograph(tmp_path)["path"]
    path = next(tmp_path.rglob("000001.jpg"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert pictures.thumbnail(path, digest)[0].startswith("data:image/jpeg;base64,")
    assert pictures.thumbnail(path, "0" * 64) == ("", "the image here is not the one that was classified")
    path.write_text("no image")
    address, reason = pictures.thumbnail(path, hashlib.sha256(b"no image").hexdigest())
    assert address == "" and "cannot be shown" in reason


def _image(name: str) -> datasets.Image:
    return datasets.Image(name, f"images/{name}.jpg", "0" * 64, 1, "cat", True, "", f"{name}.png")


def test_the_surest_labels_that_changed_come_first_and_a_lower_precision_says_what_it_does_not_show(tmp_path):
    run = rich()
    run.summary.loc[run.summary.framework == "sparknlp", "precision"] = "bfloat16"
    sure = GONE | {"file": "sure.png", "baseline_score": 0.95, "candidate_score": 0.9}
    rows = [disagreement(), disagreement(**sure), disagreement(image="3", file="none.png", baseline_score=None)]
    html = write(tmp_path, run, disagreements=rows).read_text()
    found = section(html, "parity")
    titles = [figure.all("strong")[0].text for figure in found.all("figure")]
    assert titles[0] == "sure.png" and set(titles[1:]) == {"cat.png", "none.png"}
    assert "3 of" in found.text and "at least 0.80" in found.text and "bfloat16" in found.text
    assert "snakemake --config model=NAME photos=DIR repeats=5 baseline=huggingface/pipeline" in found.text
    assert "'devices=[cpu]' 'batch_sizes=[" in found.text
    run.context["model_note"] = ""
    trained = section(write(tmp_path / "trained", run, disagreements=rows).read_text(), "parity")
    assert "model=NAME" not in trained.text


def test_a_button_shows_a_ratio_of_the_full_data_set_alone():
    cells = {"baseline": "huggingface/a/cpu/w1/bs8", "candidate": "huggingface/b/cpu/w1/bs8"}
    rows = [
        cells | {"fairness": UNEQUAL, "dataset": "sample", "speedup": 7.0},
        cells | {"fairness": EQUAL, "dataset": "sample", "speedup": 5.0},
        cells | {"fairness": EQUAL, "dataset": "full", "speedup": 2.0},
    ]
    assert document._chips(typed(rows, "speedup")) == ((EQUAL, f"{EQUAL}: 2.00 (2)"), (UNEQUAL, f"{UNEQUAL} (1)"))
    more = typed([*rows, cells | {"fairness": EQUAL, "dataset": "full", "speedup": 3.0}], "speedup")
    assert document._chips(more)[0] == (EQUAL, f"{EQUAL}: up to 3.00 (3)")


def test_disagreements_name_each_image_with_the_first_answers_and_count_the_blocks():
    run = example(sizes=(8,), repeats=2)
    full = run.runs[run.runs.dataset == "full"]
    said = {}
    for row in full.itertuples():
        other = row.framework == "sparknlp"
        dog = "dog" if other else "cat"
        said[f"{row.framework}{row.block:.0f}"] = [
            ("one", dog, 0.5), ("two", "cat", None), ("three", dog if row.block == 2 else "cat", 0.7),
            ("four", dog, None), *([("four", "fox", None)] if other else []),
        ]  # fmt: skip
    runs = full.assign(record=full.framework + full.block.astype(int).astype(str))
    images = [_image(name) for name in ("three", "two", "one", "four")]
    gate = parity.parity(runs, TWO[0], said.__getitem__, lambda role: {one.id: "cat" for one in images}, 0.9)
    found = parity.disagreements(runs, TWO[0], gate, said.__getitem__, lambda role: images)
    assert list(found.image) == ["three", "one"]  # `four` was answered twice, which parity counts
    assert list(found.blocks) == [1, 2] and list(found.baseline_label) == ["cat", "cat"]
    assert list(found.candidate_label) == ["dog", "dog"] and list(found.candidate_score) == [0.7, 0.5]
    assert list(found.columns) == list(tables.COLUMNS["disagreements"]) and set(found.dataset) == {"full"}
    none = parity.disagreements(runs, TWO[0], gate.assign(agreement=1.0), said.__getitem__, lambda role: images)
    assert none.empty


def test_a_broken_control_speaks_against_the_numbers(tmp_path):
    run = rich()
    run.speedup.loc[run.speedup.family == "control", "verdict"] = "slower"
    main = parsed(write(tmp_path, run).read_text()).all("main")[0].text
    against = main.partition("Why not:")[2]
    assert "A/A control huggingface/pipeline (CPU): slower" in against.partition("Who is faster")[0]


def test_a_control_without_a_ratio_is_a_doubt_and_labels_that_nobody_compared_are_no_reason(tmp_path):
    run = rich()
    control = run.speedup.family == "control"
    run.speedup.loc[control, ["verdict", "speedup", "low", "high"]] = ["parity failed", math.nan, math.nan, math.nan]
    run.parity = run.parity.iloc[:0]
    first = parsed(write(tmp_path, run).read_text()).all("main")[0].text.partition("Who is faster")[0]
    assert "A/A control huggingface/pipeline (CPU): parity failed" in first.partition("Why not:")[2]
    assert "labels alike" not in first and "no A/A control" not in first


def test_the_first_line_counts_the_blocks_of_the_full_runs(tmp_path):
    run = rich()
    run.speedup.loc[run.speedup.dataset == "sample", "blocks"] = 10
    first = parsed(write(tmp_path, run).read_text()).text.partition("Who is faster")[0]
    assert "· 5 blocks ·" in first and "10 blocks" not in first


def test_all_that_is_not_decided_is_counted(tmp_path):
    run = rich()
    told = run.speedup.speedup.notna() & (run.speedup.family != "control")
    run.speedup.loc[told, ["verdict", "blocks_needed"]] = ["too few repeats", math.nan]
    words = section(write(tmp_path, run).read_text(), "speedup").text
    assert f"Not decided: {told.sum()} of {told.sum()} comparisons." in words


def test_a_batch_size_of_which_all_was_set_aside_has_no_number_in_the_sweep(tmp_path):
    words = section(write(tmp_path, rich(flags={(TWO[0], 8): "suspect"})).read_text(), "sweep")
    grid = next(node for node in words.all("table") if "images/s" in node.text)
    rows = [[one.text for one in line.all("td")] for line in grid.all("tr")]
    (row,) = [one for one in rows if one and "suspect" in one[-1]]
    assert row[-5:-1] == ["–", "–", "–", "0"]


def test_failed_and_flagged_repeats_are_listed_with_their_reason(tmp_path):
    run = rich(failed={("sparknlp/tensorflow", 16): "oom"}, flags={("huggingface/pipeline", 8, 1): "suspect"})
    run.runs.loc[run.runs["flags"].str.contains("suspect"), "suspect_because"] = "another process held 40% of the CPU"
    quiet = section(write(tmp_path, run).read_text(), "quiet").text
    assert "5 failed, 1 suspect, 0 without a steady state" in quiet
    assert "killed at 5 GB by the kernel" in quiet and "another process held 40% of the CPU" in quiet


@pytest.mark.parametrize("flag", ["", "no steady state"])
def test_a_repeat_without_a_steady_state_speaks_against_the_numbers(tmp_path, flag):
    main = parsed(write(tmp_path, rich(flags={("huggingface/pipeline", 8, 1): flag})).read_text()).all("main")[0].text
    believed, _, against = main.partition("Who is faster")[0].partition("Why not:")
    assert "steady in" in (against if flag else believed) and "steady in" not in (believed if flag else against)


def test_work_that_a_cluster_lost_is_a_doubt_wherever_it_is_spoken_of(tmp_path):
    lost = {("full", TWO[0], 16, 1): "work lost", (TWO[1], 8, 2): "work lost"}
    html = write(tmp_path, rich(variants=TWO, flags=lost)).read_text()
    against = parsed(html).all("main")[0].text.partition("Why not:")[2]
    assert "work lost on a cluster in 2 of" in against
    for name, words in (
        ("quiet", "without a steady state, 2 with work lost on a cluster;"),
        ("passes", "set aside, suspect, without a steady state or with work lost on a cluster, and in no ratio"),
        ("sweep", "Set aside as suspect, without a steady state or with work lost on a cluster, and in no number"),
    ):
        assert words in section(html, name).text


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The page of the published numbers, from the tables that the workflow makes of them."""
    import tabulate_published

    folder = tmp_path_factory.mktemp("published")
    names = ("runs", "summary", "best", "parity", "speedup", "repeats", "scaling", "claims", "figures")
    out = {name: str(folder / f"{name}.csv") for name in names} | {"context": str(folder / "context.json")}
    tabulate_published.main(HOME / "resources/published", out)
    picture = folder / "part2-joint.png"
    Image.new("RGB", (500, 300), "white").save(picture)
    paths = {name: path for name, path in out.items() if name != "scaling"}
    paths["hardware"] = str(HOME / "resources/published/hardware.csv")
    write_page.main(paths, [str(picture)], str(folder / "report.html"))
    return (folder / "report.html").read_text()


def test_the_published_page_has_claims_figures_and_hardware(published):
    assert sections(published) == ["speedup", "claims", "figures", "hardware", "runs"]
    assert barriers(parsed(published)) == []
    claims = section(published, "claims")
    assert len(claims.all("tbody")[0].all("tr")) == len(pd.read_csv(HOME / "resources/published/claims.csv"))
    figures = section(published, "figures")
    assert len(figures.all("img")) == 1 and "Not reproducible" in figures.text
    assert "one run" in section(published, "speedup").text
