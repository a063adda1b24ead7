"""Labelling many images: each once, whatever is killed; what is no image in quarantine; bad input in one line."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import classify_images
import duckdb
import planted
import pytest
from example_job import IMAGES, asked, bad_files, pictures
from PIL import Image as Pillow
from surroundings import MAY_MOUNT, MOUNTED

from vitbench.classify import choice, job, listing, worker
from vitbench.classify import folder as folders
from vitbench.errors import UserError, disk_problem
from vitbench.files import HOME
from vitbench.inputs import contents, datasets, object_store, parquet
from vitbench.measure import supervisor
from vitbench.measure.processes import machine_lock
from vitbench.plan import configuration
from vitbench.plan.grid import Grid

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder of its own, and let a process that labels find the adapter of the tests."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)


def test_each_image_gets_its_own_label_once_and_what_is_none_is_set_aside(tmp_path):
    right = pictures(tmp_path / "images")
    bad = bad_files(tmp_path / "images")
    one = asked(tmp_path / "images")
    one.label()
    assert one.labels() == right
    assert one.rows("labels")[0][2:] == (0.5, "tiny-1234", "fake/told", "cpu, batch size 3, float32, as large as it is")
    assert {row[0]: row[1] for row in one.rows("quarantine")} == {
        "00 empty.jpg": "empty file",
        "05 text.jpg": "not an image that can be decoded",
    }
    # One model for all parts, of which each has its valid images; nothing is left of them.
    assert one.said == ["start", "classify 3", "classify 3", "classify 4", "classify 1"]
    assert list(Path("parts").iterdir()) == []
    summary = one.conclude()
    assert (summary["total"], summary["labelled"], summary["refused"]) == (IMAGES + len(bad), IMAGES, len(bad))
    assert json.loads((one.request.out / "summary.json").read_text()) == summary
    lines = (one.request.out / "quarantine.csv").read_text().splitlines()
    assert lines[0] == "id,reason,bytes" and lines[1:] == [
        "00 empty.jpg,empty file,0",
        "05 text.jpg,not an image that can be decoded,8",
    ]


def test_answers_that_were_written_count_as_those_that_were_handed_over(tmp_path):
    right = pictures(tmp_path / "images")
    one = asked(tmp_path / "images", written=True)
    one.label()
    assert one.labels() == right


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_killed_job_goes_on_and_labels_nothing_twice(tmp_path, part):
    right = pictures(tmp_path / "images")
    one = asked(tmp_path / "images", kill_in=part)
    with pytest.raises(UserError, match=rf"killed.*{part} of 3 parts are done"):
        one.run()
    done = {path: path.stat().st_mtime_ns for path in (one.request.out / "labels").glob("*.parquet")}
    assert len(done) == part
    assert one.run() == 0
    assert one.labels() == right and one.conclude()["labelled"] == IMAGES
    after = {path: path.stat().st_mtime_ns for path in (one.request.out / "labels").glob("*.parquet")}
    assert done.items() <= after.items() and len(after) == 3
    # A part that was done is not given to the framework again.
    assert one.said.count("start") == 2 and len([line for line in one.said if "classify" in line]) == 4
    said = one.said
    assert one.run() == 0 and one.said == said


def test_what_a_kill_leaves_of_a_part_is_written_anew(tmp_path):
    right = pictures(tmp_path / "images")
    bad_files(tmp_path / "images")
    one = asked(tmp_path / "images")
    one.label()
    folder = one.folder
    # As if it was killed after the quarantine of the second part, and the text had meanwhile become an image.
    folder.labels(1).unlink()
    partial = folder.labels(1).parent / f".{folder.labels(1).name}.partial"
    partial.mkdir()
    (partial / folder.labels(1).name).write_bytes(b"half of it")
    assert folder.counts().reasons.total() == 1
    Pillow.new("RGB", (99, 9)).save(tmp_path / "images" / "05 text.jpg")
    one.label()
    assert one.labels() == right | {"05 text.jpg": "99x9"}
    assert [row[0] for row in one.rows("quarantine")] == ["00 empty.jpg"] and not partial.exists()
    assert one.conclude()["refused"] == 1


def test_files_that_come_later_are_another_job(tmp_path):
    right = pictures(tmp_path / "images")
    one = asked(tmp_path / "images", fail_in=1)
    assert one.run() == job.SAID
    Pillow.new("RGB", (77, 7)).save(tmp_path / "images" / "000 new.png")
    one.label()
    assert one.labels() == right


def test_files_that_nobody_can_read_any_more_stop_the_job_and_are_labelled_when_they_are_back(tmp_path, monkeypatch):
    """A disk that goes away leaves its mount point, a folder that is there and empty."""
    right = pictures(tmp_path / "images")
    one = asked(tmp_path / "images")
    opened = worker.opened

    def gone_in_the_middle(open_each, *others):
        number = others[-1][0]
        if number == 1:
            # The part before is labelled meanwhile, of files that this one lies beside.
            deadline = time.monotonic() + 60
            while not one.folder.done() and time.monotonic() < deadline:
                time.sleep(0.01)
            (tmp_path / "images").rename(tmp_path / "away")
            (tmp_path / "images").mkdir()
        return opened(open_each, *others)

    with monkeypatch.context() as patched:
        patched.setattr(worker, "opened", gone_in_the_middle)
        with pytest.raises(UserError, match=r"4 of the 4 files of part 1 cannot be read, nor can .*, which") as raised:
            one.label()
    assert "\n" not in str(raised.value) and one.folder.done() == {0}
    # Begun again while it is away: there is none that was read.
    with pytest.raises(UserError, match="4 of the 4 files of part 1 cannot be read .the first"):
        one.label()
    (tmp_path / "images").rmdir()
    (tmp_path / "away").rename(tmp_path / "images")
    one.label()
    assert one.labels() == right and one.rows("quarantine") == []


def test_a_disk_that_goes_while_a_part_is_opened_quarantines_none_of_it(tmp_path):
    place = worker.Place()
    read, gone = tmp_path / "read.jpg", tmp_path / "gone.jpg"
    read.touch()
    rows = [
        datasets.Image("1", "images/1.jpg", "", 0, "", True, "", "read.jpg"),
        datasets.Image("2", "", "", 0, "", False, f"{datasets.UNREADABLE}: No such file or directory", "gone.jpg"),
    ]
    place.check(0, rows, [str(read), str(gone)])  # a file that is gone, alone
    place.check(1, rows[1:], [str(gone)])  # a part of it alone
    read.unlink()
    with pytest.raises(UserError, match="nor can .*read.jpg, which was"):
        place.check(2, rows, [str(read), str(gone)])
    worker.Place().check(0, rows[1:], [str(gone)])  # the only one there is


def test_reasons_of_which_each_is_another_are_counted_together_beyond_some(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_KINDS", 1)
    pictures(tmp_path / "images")
    bad_files(tmp_path / "images")
    (tmp_path / "images" / "01 empty.jpg").touch()
    one = asked(tmp_path / "images")
    one.label()
    assert one.conclude()["reasons"] == {"empty file": 2, folders.OTHERS: 1}
    # While it goes on, too: the reasons of a long job are held in memory.
    counted = Counter({"empty file": 1})
    assert folders.kind_of("empty file", counted) == "empty file"
    assert folders.kind_of("another one", counted) == folders.OTHERS
    assert folders.kind_of("the first", Counter()) == "the first"


def test_a_folder_that_cannot_be_listed_is_one_line_and_not_left_out(tmp_path, monkeypatch):
    pictures(tmp_path / "images")
    pictures(tmp_path / "images" / "locked", 2)
    pictures(tmp_path / "images" / "lost+found", 2)
    scandir = os.scandir

    def refuse(path):
        name = "" if isinstance(path, int) else Path(path).name
        if name == "lost+found":
            raise AssertionError("what a check of the disk found again is nobody's")
        if name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        with pytest.raises(UserError, match="the folder .*locked cannot be listed .Permission denied"):
            asked(tmp_path / "images").begin()
    _, what, _ = asked(tmp_path / "images").begin()
    assert what.total == IMAGES + 2


def test_a_file_where_the_folder_of_the_job_should_be_is_one_line(tmp_path):
    pictures(tmp_path / "images")
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(UserError, match="^out: .*out "):
        asked(tmp_path / "images").label()
    above = asked(tmp_path / "images", place=tmp_path / "out")
    with pytest.raises(UserError, match="out/out can be no folder, since a file has that name, or one above it"):
        job.open_job(above.request, above.chosen)


def test_a_job_whose_list_is_gone_is_one_line(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", fail_in=1)
    assert one.run() == job.SAID
    one.folder.listed.unlink()
    with pytest.raises(UserError, match="the list of images .* is gone"):
        one.begin()


def test_a_failure_of_the_framework_is_one_line_and_what_was_done_stays(tmp_path, capfd):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", fail_in=1)
    assert one.run() == job.SAID
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("vitbench: the framework failed") and "UnidentifiedImageError" in last
    assert one.folder.done() == {0}


@pytest.mark.parametrize("how", ["fail", "hang"])
def test_a_framework_that_does_not_close_takes_no_label_back(tmp_path, how):
    right = pictures(tmp_path / "images")
    one = asked(tmp_path / "images", close=how)
    begin = time.monotonic()
    assert one.run() == 0
    assert time.monotonic() - begin < 300  # it would hang for longer
    assert one.said[-1] == "close" and one.said.count("close") == 1
    assert one.labels() == right and one.conclude()["labelled"] == IMAGES


def test_a_framework_that_does_not_close_does_not_hide_that_too_much_is_refused(tmp_path):
    pictures(tmp_path / "images")
    bad_files(tmp_path / "images")
    one = asked(tmp_path / "images", most_refused=0.1, close="fail")
    with pytest.raises(UserError, match="2 of 13 files were refused"):
        one.run()
    assert one.said[-1] == "close"


@pytest.mark.parametrize(("lost", "said"), [(1, 1), (0, 0)])
def test_what_a_cluster_lost_and_did_again_is_said(tmp_path, capfd, lost, said):
    pictures(tmp_path / "images")
    asked(tmp_path / "images", faults={"executors_lost": lost, "tasks_retried": 2 * lost}).label()
    assert capfd.readouterr().out.count("part 1: executors lost: 1, tasks done again: 2\n") == said


def test_an_image_without_an_answer_ends_the_job_before_its_part_is_written(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", lose=1)
    with pytest.raises(
        UserError,
        match=r"did not answer once for each of 4 images of a part: 1 lost \(the first: .*\.\w+g\); .* move it away",
    ):
        one.label()
    assert one.folder.done() == set() and one.labels() == {}
    # A framework that goes wrong is asked nothing more, which might hide what it said.
    assert one.said[-1] == "classify 4"


def test_too_many_bad_images_end_the_job_as_soon_as_it_is_certain_and_a_higher_share_goes_on(tmp_path):
    right = pictures(tmp_path / "images")
    bad_files(tmp_path / "images")
    one = asked(tmp_path / "images", most_refused=0.1)
    with pytest.raises(
        UserError, match=r"images: 2 of 13 files were refused, `most_refused` allows 0.1 .*first: '00 e"
    ):
        one.run()
    assert one.folder.done() == {0, 1} and one.said[-1] == "close"
    said = one.said
    with pytest.raises(UserError, match="`most_refused` allows"):
        one.run()
    assert one.said == said  # nothing was started for it
    more = asked(tmp_path / "images", most_refused=0.2)
    more.label()
    assert more.labels() == right


def test_a_folder_of_which_nothing_can_be_used_is_no_labels(tmp_path):
    (tmp_path / "images").mkdir()
    bad_files(tmp_path / "images")
    one = asked(tmp_path / "images")
    one.label()
    assert one.said == []  # no model is loaded for nothing
    with pytest.raises(UserError, match="none of 2 could be used"):
        one.conclude()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: setattr(one.chosen, "variant", "fake/other"), "variant: fake/other; it was fake/told"),
        (lambda one: setattr(one.chosen.grid.model, "slug", "large-1"), "model: large-1; it was tiny-1234"),
        (lambda one: setattr(one.chosen.grid, "definition", lambda _cell: {}), "variant: its definition"),
        (lambda one: setattr(one, "request", with_part(one.request, 5)), "part_images: 5; it was 4"),
    ],
)
def test_another_job_does_not_go_on_in_the_same_folder(tmp_path, change: Callable, words):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", fail_in=1)
    assert one.run() == job.SAID
    change(one)
    with pytest.raises(UserError, match=words) as raised:
        one.begin()
    assert "name another `out`" in str(raised.value)


def test_a_job_goes_on_on_another_cluster(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", fail_in=1)
    before = one.chosen.grid.definition
    one.chosen.grid.definition = lambda cell: before(cell) | {"spark": {"master": "spark-1234", "most_workers": 4}}
    assert one.run() == job.SAID
    one.chosen.grid.definition = lambda cell: before(cell) | {"spark": {"master": "spark-5678", "most_workers": 2}}
    one.begin()
    assert one.folder.done()


def with_part(request: job.Request, size: int) -> job.Request:
    return job.Request(request.images, request.out, request.most_refused, size, request.threads)


def test_a_job_of_which_nothing_is_done_may_become_another(tmp_path):
    right = pictures(tmp_path / "images")
    one = asked(tmp_path / "images")
    one.begin()
    one.chosen.variant = "fake/other"
    one.label()
    assert one.labels() == right and one.rows("labels")[0][4] == "fake/other"


def test_nobody_labels_in_a_folder_in_which_another_job_was_begun_meanwhile(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images")
    folder, what, start = one.begin()
    one.chosen.variant = "fake/other"
    one.begin()
    with pytest.raises(UserError, match="another process has begun another job"):
        job.run(folder, what, start)
    assert one.folder.done() == set() and one.said == []


def test_a_job_is_not_begun_while_somebody_labels(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images")
    with ThreadPoolExecutor(1) as pool:
        with machine_lock():
            begun = pool.submit(one.begin)
            with pytest.raises(TimeoutError):
                begun.result(0.5)
            assert not one.request.out.exists()
        assert begun.result(10)[1].total == IMAGES


def test_a_file_is_no_folder_of_a_job(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images")
    one.request.out.write_text("mine")
    with pytest.raises(UserError, match="out: .* is no folder"):
        one.begin()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images")
    one.request.out.mkdir()
    (one.request.out / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds other things than a job of ours \(thesis.tex\)"):
        one.begin()
    assert os.listdir(one.request.out) == ["thesis.tex"]


# --- lists and contents


def test_a_list_names_images_by_what_it_says(tmp_path):
    right = pictures(tmp_path / "images")
    names = [f"images/{name}" for name in right]
    (tmp_path / "list.txt").write_text("\n".join([*names, names[0], "images/gone.jpg"]), encoding="utf-8")
    one = asked(tmp_path / "list.txt")
    one.label()
    assert one.labels() == {f"images/{name}": label for name, label in right.items()}
    assert [row[:2] for row in one.rows("quarantine")] == [
        ("images/gone.jpg", "cannot be read: No such file or directory")
    ]


def test_names_of_bytes_that_are_no_text_are_written_out_and_found_again(tmp_path):
    (tmp_path / "images").mkdir()
    Pillow.new("RGB", (10, 8)).save(tmp_path / "one.png")
    os.rename(os.fsencode(tmp_path / "one.png"), os.fsencode(tmp_path / "images") + b"/caf\xe9.png")
    one = asked(tmp_path / "images")
    one.label()
    assert one.labels() == {"caf\\udce9.png": "10x8"}


def test_a_folder_whose_name_is_no_text_is_labelled_to_the_end(tmp_path):
    right = pictures(tmp_path / os.fsdecode(b"caf\xe9"))
    one = asked(tmp_path / os.fsdecode(b"caf\xe9"))
    one.label()
    assert one.labels() == right
    summary = one.conclude()
    assert os.fsencode(summary["images"]).endswith(b"/caf\xe9")
    assert json.loads((one.request.out / "summary.json").read_text(encoding="utf-8")) == summary


def test_a_folder_of_labels_whose_name_is_no_text_is_one_line_before_anything_is_done(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", place=tmp_path / os.fsdecode(b"caf\xe9"))
    with pytest.raises(UserError, match=r"^out: '.*/caf\\udce9/out' is no text in UTF-8") as raised:
        one.begin()
    str(raised.value).encode()  # which can be shown
    assert [path.name for path in tmp_path.iterdir() if path.name != "work"] == ["images"]


def packed(folder: Path, path: Path, without: tuple[str, ...] = ()) -> None:
    """Write the images of a folder as one Parquet file of path and content, some of them without content."""
    rows = [(file.name, None if file.name in without else file.read_bytes()) for file in sorted(folder.iterdir())]
    parquet.write(path, contents.COLUMNS, rows)


def test_parquet_files_of_path_and_content_are_labelled_like_the_files(tmp_path):
    right = pictures(tmp_path / "images")
    missing = next(iter(right))
    packed(tmp_path / "images", tmp_path / "images.parquet", without=(missing,))
    one = asked(tmp_path / "images.parquet", fail_in=1)
    with pytest.raises(Exception, match="cannot identify image file"):
        one.label()
    assert one.folder.done() == {0}
    one.label()
    assert one.labels() == {name: label for name, label in right.items() if name != missing}
    assert [row[:2] for row in one.rows("quarantine")] == [(missing, "empty file")]


def test_parquet_files_that_changed_since_are_another_job(tmp_path):
    pictures(tmp_path / "images")
    packed(tmp_path / "images", tmp_path / "images.parquet")
    one = asked(tmp_path / "images.parquet", fail_in=1)
    assert one.run() == job.SAID
    pictures(tmp_path / "more", 3)
    packed(tmp_path / "more", tmp_path / "images.parquet")
    with pytest.raises(UserError, match="are others than when the job"):
        one.begin()


def test_parquet_files_of_the_same_name_and_size_are_told_apart(tmp_path):
    states = []
    for name in ("a.jpg", "b.jpg"):
        parquet.write(tmp_path / "images.parquet", contents.COLUMNS, [(name, b"x")], "uncompressed")
        states += listing.state_of(tmp_path / "images.parquet")
    (_, size, digest), (_, same, other) = states
    assert size == same and digest != other


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (contents.COLUMNS, [], "holds no row"),
        (contents.COLUMNS, [("a", b"x"), ("a", b"y")], "two rows with the path 'a'"),
        (contents.COLUMNS, [("a", b"x"), (None, b"y")], "1 of 2 rows .* have no path"),
        ({"path": "varchar", "content": "varchar"}, [("a", "b")], "content of .* is of type VARCHAR"),
    ],
)
def test_parquet_files_whose_rows_are_no_images_by_id_are_refused(tmp_path, columns, rows, words):
    parquet.write(tmp_path / "images.parquet", columns, rows)
    with pytest.raises(UserError, match=words):
        contents.check(tmp_path / "images.parquet")


def test_parquet_files_without_paths_are_refused_before_anything_is_begun(tmp_path):
    parquet.write(tmp_path / "images.parquet", {"file": "varchar", "content": "blob"}, [("a", b"x")])
    with pytest.raises(UserError, match="images: .* has no column path, only file, content; give it one"):
        listing.kind_of(str(tmp_path / "images.parquet"))
    parquet.write(tmp_path / "list.parquet", {"path": "varchar"}, [("a.jpg",)])
    assert listing.kind_of(str(tmp_path / "list.parquet")) == listing.FILES


def test_a_folder_of_parquet_files_is_read_in_one_order(tmp_path):
    (tmp_path / "spark [out]").mkdir()
    for number in (1, 0):
        rows = [(f"{number}-{row}", bytes([row])) for row in range(100)]
        parquet.write(tmp_path / "spark [out]" / f"part-{number}.parquet", contents.COLUMNS, rows)
    assert listing.kind_of(str(tmp_path / "spark [out]")) == listing.CONTENTS
    read = list(contents.read(tmp_path / "spark [out]"))
    assert read == [(f"{number}-{row}", bytes([row])) for number in (0, 1) for row in range(100)]
    assert contents.check(tmp_path / "spark [out]") == 200


def test_a_job_that_goes_on_does_not_read_files_before_the_first_part_that_is_missing(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number, rows in enumerate((6, 0, 5)):
        told = [(f"{number}-{row}", bytes([row])) for row in range(rows)]
        parquet.write(images / f"part-{number}.parquet", contents.COLUMNS, told, "uncompressed")
    parts = dict(listing.unpacked(images, 4, (), tmp_path / "whole"))
    assert [image for part in parts.values() for image, _ in part] == [name for name, _ in contents.read(images)]
    # Its rows are gone, its footer is there.
    with open(images / "part-0.parquet", "r+b") as file:
        file.seek(4)
        file.write(bytes(20))
    with pytest.raises(UserError, match=r"^images: .*part-0\.parquet cannot be read") as raised:
        list(contents.read(images))
    assert "\n" not in str(raised.value)
    assert [name for name, _ in contents.read(images, 7)] == ["2-1", "2-2", "2-3", "2-4"]
    assert list(contents.read(images, 11)) == []
    assert [number for number, _ in listing.unpacked(images, 4, {0, 1}, tmp_path / "rest")] == [2]


def test_a_parquet_file_that_is_damaged_meanwhile_is_named_and_the_job_goes_on_when_it_is_back(tmp_path, capfd):
    right = pictures(tmp_path / "images")
    packed(tmp_path / "images", tmp_path / "images.parquet")
    one = asked(tmp_path / "images.parquet", fail_in=1)
    assert one.run() == job.SAID
    capfd.readouterr()
    whole = (tmp_path / "images.parquet").read_bytes()
    # Its rows are gone, its footer is there.
    (tmp_path / "images.parquet").write_bytes(whole[:4] + bytes(20) + whole[24:])
    assert one.run() == job.SAID
    said = capfd.readouterr().err
    assert "vitbench: images: " in said and "images.parquet cannot be read" in said and "Traceback" not in said
    assert one.folder.done() == {0}
    (tmp_path / "images.parquet").write_bytes(whole)
    assert one.run() == 0 and one.labels() == right


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_what_duckdb_says_of_a_full_disk_is_the_disks(tmp_path, monkeypatch, number):
    def refuse():
        raise duckdb.IOException(f'IO Error: Could not write file "labels.parquet": {os.strerror(number)}')

    monkeypatch.setattr(duckdb, "connect", refuse)
    with pytest.raises(OSError) as raised:
        parquet.write(tmp_path / "labels.parquet", contents.COLUMNS, [("a.jpg", b"x")])
    assert (raised.value.errno, raised.value.filename) == (number, str(tmp_path / "labels.parquet"))
    assert str(tmp_path / "labels.parquet") in disk_problem(raised.value)


def test_what_else_duckdb_says_stays_what_it_is(tmp_path):
    with pytest.raises(duckdb.Error, match="varchars"):
        parquet.write(tmp_path / "labels.parquet", {"id": "varchars"}, [])


WRITE = """
import os, sys
from pathlib import Path
from vitbench.errors import exit_with_user_errors
from vitbench.inputs import contents, parquet
rows = [("a.jpg", os.urandom(5_000_000))]
path = Path(sys.argv[1]) / "images.parquet"
exit_with_user_errors(lambda: parquet.write(path, contents.COLUMNS, rows, "uncompressed"))
"""


@MAY_MOUNT
def test_a_disk_that_fills_while_parquet_is_written_is_one_line(tmp_path):
    command = [*MOUNTED, str(tmp_path), "size=1m", sys.executable, "-c", WRITE, str(tmp_path)]
    clean = os.environ | {"PYTHONPATH": str(HOME / "scripts")}
    done = subprocess.run(command, env=clean, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith(f"vitbench: {tmp_path}/images.parquet: No space left on device")


def test_two_names_that_are_written_alike_are_refused_and_nothing_is_left(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in (b"\xff.jpg", b"\\udcff.jpg", b"back\\slash.jpg"):
        (images / os.fsdecode(name)).touch()
    with pytest.raises(UserError, match="two images that are both written"):
        listing.write(str(images), tmp_path / "list.jsonl", None)
    assert not [path for path in tmp_path.iterdir() if "list" in path.name]
    (images / os.fsdecode(b"\\udcff.jpg")).unlink()
    assert listing.write(str(images), tmp_path / "list.jsonl", None) == 2
    ((_, part),) = listing.parts(tmp_path / "list.jsonl", 4, ())
    assert sorted(image for image, _ in part) == ["\\udcff.jpg", "back\\slash.jpg"]
    assert all(Path(path).exists() for _, path in part)


def test_a_job_starts_each_part_where_the_one_before_ended(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(10):
        (tmp_path / "images" / f"{number}.jpg").touch()
    assert listing.write(str(tmp_path / "images"), tmp_path / "list.jsonl", None) == 10
    parts = dict(listing.parts(tmp_path / "list.jsonl", 4, ()))
    assert [[image for image, _ in parts[number]] for number in (0, 1, 2)] == [
        ["0.jpg", "1.jpg", "2.jpg", "3.jpg"],
        ["4.jpg", "5.jpg", "6.jpg", "7.jpg"],
        ["8.jpg", "9.jpg"],
    ]
    assert dict(listing.parts(tmp_path / "list.jsonl", 4, {1})) == {n: part for n, part in parts.items() if n != 1}


def test_the_next_item_is_made_while_the_caller_is_busy_with_the_last():
    made: list[int] = []
    with worker.ThreadPoolExecutor(1) as pool:
        for item in worker.in_advance(pool, lambda number: made.append(number) or number, range(4)):
            pool.submit(lambda: None).result()  # whatever was begun has ended
            assert made == list(range(min(4, item + 2)))
    assert list(worker.in_advance(pool, lambda number: number, [])) == []


def test_a_job_that_was_begun_keeps_its_variant(tmp_path):
    pictures(tmp_path / "images")
    one = asked(tmp_path / "images", fail_in=1)
    one.chosen.variant = "huggingface/pipeline-torchvision"
    assert one.run() == job.SAID
    chosen = choice.choose_for(planted.CONFIG, one.request.out)
    assert chosen.variant == "huggingface/pipeline-torchvision" and "when the job was begun" in chosen.why
    other = choice.choose_for(planted.CONFIG, one.request.out, "onnxruntime/int8")
    assert other.variant == "onnxruntime/int8" and "as asked for" in other.why


# --- object stores, of which tests/smoke/test_object_store.py has real ones


@pytest.mark.parametrize(
    "url",
    [
        "s3://me:secret@bucket/photos",
        "s3://me:sec/ret@bucket/photos",
        "s3://me:secret@bu[cket/photos",
        "s3://bu[cket/photos?secret_key=secret",
        "abfs://photos@account.dfs.core.windows.net/a?sig=secret",
    ],
)
def test_a_password_in_a_url_is_refused_by_its_text_alone_and_repeated_nowhere(url):
    with pytest.raises(UserError, match="^images: this URL holds a password") as raised:
        classify_images.main(["--images", url])
    assert "secret" not in str(raised.value) and os.listdir() == []


@pytest.mark.parametrize("url", ["s3://bucket/photos", "S3://bucket/a:b@c?region=eu", "abfs://photos@account.net/a"])
def test_a_url_without_a_password_is_one_of_objects(url):
    assert listing.kind_of(url) == listing.OBJECTS


class Stored(io.BytesIO):
    """An object as Arrow hands it over; one without content breaks while it is read."""

    def size(self) -> int:
        return len(self.getvalue())

    def read(self, size: int | None = -1) -> bytes:
        if not self.getvalue():
            raise OSError(errno.EIO, "When reading information for key: Input/output error")
        return super().read(size)


@pytest.fixture
def store(monkeypatch) -> object_store.Store:
    """A store of three objects, as Arrow shows one, of which the second breaks while it is read."""
    objects = {"photos/a.jpg": b"one", "photos/b.jpg": b"", "photos/c.jpg": b"three"}
    files = SimpleNamespace(
        open_input_file=lambda path: Stored(objects[path]), get_file_info=lambda _: SimpleNamespace(type="Directory")
    )
    arrow_fs = SimpleNamespace(
        FileSystem=SimpleNamespace(from_uri=lambda url: (files, "photos")),
        FileType=SimpleNamespace(NotFound="NotFound"),
    )
    # Arrow itself is among the packages that a job installs.
    monkeypatch.setitem(sys.modules, "pyarrow", SimpleNamespace(fs=arrow_fs, ArrowException=ArithmeticError))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return object_store.Store("s3://photos", "no folder")


PATHS = ["photos/a.jpg", "photos/b.jpg", "photos/c.jpg"]


def test_what_the_store_does_not_give_is_the_objects_own_fault(tmp_path, store):
    (one, _), (none, reason), (three, _) = store.fetch(PATHS, tmp_path / "fetched")
    assert (Path(one).read_bytes(), Path(three).read_bytes()) == (b"one", b"three")
    assert none == "" and reason.startswith("refused by the store: ") and "Input/output error" in reason


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_here_that_takes_no_object_is_no_objects_fault(tmp_path, store, monkeypatch, number):
    class Full(io.BytesIO):
        def write(self, piece: bytes) -> int:
            raise OSError(number, os.strerror(number))

    def opened(path: Path, mode: str) -> IO[bytes]:
        assert mode == "wb"
        return Full()

    # What writes the copies, and nothing else.
    monkeypatch.setattr(object_store, "open", opened, raising=False)
    with pytest.raises(OSError) as raised:
        store.fetch(PATHS, tmp_path / "fetched")
    assert raised.value.errno == number and os.strerror(number) in disk_problem(raised.value)


# --- the command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--images", "nowhere"], "images: .*nowhere does not exist"),
        (["--images", ".", "--batch-size", "0"], "batch_size: 0; it is 1 at least"),
        (["--images", ".", "--part-images", "0"], "part_images: 0"),
        (["--images", ".", "--most-refused", "5"], "most_refused: 5.0; it is a share"),
        (["--images", ".", "--model", "./nowhere"], "model: nowhere is no folder"),
        (["--images", ".", "--model", "vit-huge"], "model: vit-huge is not defined"),
        (["--images", ".", "--variant", "onnxruntime/int8"], "the model .* is missing: `snakemake classify` makes it"),
    ],
)
def test_the_command_says_what_is_wrong_before_it_does_anything(arguments, words):
    with pytest.raises(UserError, match=words) as raised:
        classify_images.main(arguments)
    assert "\n" not in str(raised.value) and os.listdir() == []


def test_what_the_configuration_names_holds_where_an_option_is_left_out(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("images: pics\nvariant: onnxruntime/int8\nout: there\nmost_refused: 0.01\npart_images: 7\n")
    options = classify_images.parse(["--config", str(mine), "--part-images", "9"])
    classify_images.fill_in(options)
    assert (options.images, options.variant, options.out) == ("pics", "onnxruntime/int8", Path("there"))
    assert (options.most_refused, options.part_images, options.batch_size) == (0.01, 9, None)
    plain = classify_images.parse(["--images", "pics"])
    classify_images.fill_in(plain)
    assert (plain.variant, plain.out, plain.most_refused) == (None, Path("classified"), 1.0)
    assert plain.part_images == job.PART_IMAGES
    with pytest.raises(UserError, match="images: nothing is named"):
        classify_images.main([])
    mine.write_text("part_image: 7\n")
    with pytest.raises(UserError, match="unknown key part_image"):
        classify_images.main(["--config", str(mine), "--images", "pics"])


def test_labels_of_seeded_weights_are_called_what_they_are(capsys):
    with pytest.raises(UserError):
        classify_images.main(["--images", ".", "--variant", "onnxruntime/int8"])
    assert "are seeded: its labels mean nothing" in capsys.readouterr().out


def test_a_folder_may_be_named_as_the_model(tmp_path):
    (tmp_path / "my vit").mkdir()
    config = configuration.resolve(planted.CONFIG | {"model": f"{tmp_path}/my vit"})
    assert config["model"] == "own-model"
    assert config["define"]["models"]["own-model"] == {"kind": "folder", "folder": str(tmp_path / "my vit")}
    assert configuration.resolve(config) == config
    with pytest.raises(UserError, match="config.json"):
        Grid(config)
