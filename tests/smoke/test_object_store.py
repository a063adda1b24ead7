"""Images in an object store: listed once, fetched part by part, labelled like files; a store that is none in one line.

What reads stores is installed from its lock. The store of most tests is a folder by its file:// URL. That of the last
ones is S3 as moto serves it: VITBENCH_S3 names a folder in which moto[server] is installed, as .ci/run does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from example_job import IMAGES, asked, bad_files, pictures

from vitbench.classify import job
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.inputs import object_store, packages
from vitbench.inputs.object_store import GONE, LOCK, Store, is_url
from vitbench.measure import supervisor

pytestmark = pytest.mark.ci

MOTO = os.environ.get("VITBENCH_S3")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder of its own, and let a process that labels find the adapter of the tests."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PYTHONPATH", str(HOME / "tests" / "unit"))
    monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> str:
    """The packages of the lock, where a run has them."""
    folder = tmp_path_factory.mktemp("environments") / LOCK
    packages.install(HOME / "envs" / f"{LOCK}.txt", folder)
    return str(folder)


@pytest.fixture
def installed(reader, monkeypatch) -> str:
    """The same, as a job finds them in the folder that it works in."""
    place = Path("resources/environments")
    place.mkdir(parents=True)
    (place / LOCK).symlink_to(reader)
    return reader


def test_a_url_is_told_from_a_path():
    assert is_url("s3://bucket/photos") and is_url("ABFSS://a@b/c") and is_url("file:///photos")
    assert not is_url("/photos/s3:/x") and not is_url("s3:photos") and not is_url("C://photos")


def test_what_is_listed_are_the_names_of_images_below_the_url(tmp_path, reader):
    for name in ("b.jpg", "a [1]*.png", "below/c.JPEG", ".hidden.jpg", "below/notes.txt"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    store = Store(f"file://{tmp_path}/images/", reader)
    found = dict(store.find())
    assert list(found) == ["a [1]*.png", "b.jpg", "below/c.JPEG"]
    (tmp_path / "images" / "b.jpg").unlink()
    fetched = store.fetch(found.values(), tmp_path / "fetched")
    assert [reason for _, reason in fetched] == ["", GONE, ""]
    assert [Path(file).read_text() for file, reason in fetched if not reason] == ["a [1]*.png", "below/c.JPEG"]
    assert list(dict(Store(f"file://{tmp_path}/images/below/c.JPEG", reader).find())) == ["c.JPEG"]


def test_objects_are_labelled_like_files_and_one_that_is_gone_is_set_aside(tmp_path, installed):
    right = pictures(tmp_path / "images")
    bad = bad_files(tmp_path / "images")
    one = asked(f"file://{tmp_path}/images", place=tmp_path, fail_in=1)
    assert one.run() == job.SAID  # a part is done
    gone = max(right)
    (tmp_path / "images" / gone).unlink()
    assert one.run() == 0
    del right[gone]
    assert one.labels() == right
    reasons = {row[0]: row[1] for row in one.rows("quarantine")}
    assert reasons.keys() == {*bad, gone} and reasons[gone] == GONE
    assert one.conclude()["total"] == IMAGES + len(bad)
    assert [path.name for path in (tmp_path / "images").iterdir() if path.stat().st_size == 8] == ["05 text.jpg"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file://{folder}/nothing", "file://.*/nothing"),
        ("gopher://photos", "nothing here reads gopher://photos"),
        ("s3://me:secret@bucket/photos", "holds a password"),
        ("s3://me:sec/ret@bucket/photos", "holds a password"),
        ("abfs://photos@account.dfs.core.windows.net/a?sig=secret", "holds a password"),
        ("s3://bu[cket/photos", "images: .*bu.cket"),
    ],
)
def test_a_store_that_cannot_be_read_is_one_line_before_anything_is_begun(tmp_path, installed, url, words):
    one = asked(url.format(folder=tmp_path), place=tmp_path)
    with pytest.raises(UserError, match=words) as refused:
        job.open_job(one.request, one.chosen)
    assert "secret" not in str(refused.value) and not (tmp_path / "out" / "job.json").exists()


def test_what_reads_stores_is_made_before_a_job_begins(tmp_path):
    one = asked("s3://bucket/photos", place=tmp_path)
    with pytest.raises(UserError, match=f"is missing .*environments/{LOCK}.*snakemake classify"):
        job.open_job(one.request, one.chosen)


# --- S3

real = pytest.mark.skipif(not MOTO, reason="VITBENCH_S3 names no folder with moto[server]")


@pytest.fixture
def server(tmp_path) -> Iterator[subprocess.Popen]:
    """A server of S3, in which everybody may write."""
    command = [sys.executable, "-m", "moto.server", "-p", "0"]
    with open(tmp_path / "moto.log", "w") as log:
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": MOTO}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def port(tmp_path, server) -> int:
    """The port that the server was given, at which it listens when it says so."""
    deadline = time.monotonic() + 300
    while not (told := re.search(r"Running on http://127\.0\.0\.1:(\d+)", (tmp_path / "moto.log").read_text())):
        assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "moto.log").read_text()
        time.sleep(0.1)
    return int(told[1])


@pytest.fixture
def keys(server, port, monkeypatch) -> Callable[..., None]:
    """As a user of AWS says who may read what; writes keys with their names as content into a bucket, or deletes it."""
    values = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (values | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
        monkeypatch.setenv(name, value)

    def change(bucket: str, names: list[str] = (), delete: bool = False) -> None:
        by_boto3(CHANGE, bucket, "delete" if delete else "", *names)

    return change


CHANGE = """
import boto3, sys
bucket, delete, *names = sys.argv[1:]
there = boto3.resource("s3").Bucket(bucket)
if delete:
    there.objects.all().delete()
    there.delete()
else:
    there.create()
for name in names:
    there.put_object(Key=name, Body=name.encode())
"""
# Into storage from which an object must be restored first.
COLD = """
import boto3, sys
bucket, *names = sys.argv[1:]
for name in names:
    boto3.client("s3").put_object(Bucket=bucket, Key=name, Body=b"cold", StorageClass="GLACIER")
"""
PUT = """
import boto3, pathlib, sys
there = boto3.resource("s3").Bucket(sys.argv[2])
there.create()
for file in pathlib.Path(sys.argv[1]).iterdir():
    there.upload_file(str(file), "my photos/" + file.name)
"""


def by_boto3(code: str, *arguments: str | Path) -> None:
    """Run a program in a Python that has boto3, as moto brings it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": MOTO}, check=True)


def put(folder: Path, bucket: str) -> None:
    """Write the files of a folder into a bucket of its own."""
    by_boto3(PUT, folder, bucket)


@real
def test_a_bucket_of_s3_is_labelled_like_the_files_in_it(tmp_path, installed, keys):
    right = pictures(tmp_path / "images")
    bad = bad_files(tmp_path / "images")
    put(tmp_path / "images", "photos")
    one = asked("s3://photos/my photos", place=tmp_path, kill_in=1)
    with pytest.raises(UserError, match="killed.*1 of 4 parts are done"):
        one.run()
    assert one.run() == 0
    assert one.labels() == right and {row[0] for row in one.rows("quarantine")} == bad
    written = [path.read_text() for path in (tmp_path / "out").glob("*.json*")]
    assert written and "a-secret" not in "".join(written)


@real
def test_names_that_mean_something_to_a_url_or_to_arrow_are_names(tmp_path, reader, keys):
    keys("photos", ["p#1/a.jpg", "p/b.jpg", "p [é]+%/c.jpg", "twice/d.jpg", "twice//d.jpg", "same", "same/e.jpg"])
    for folder, name in (("p#1", "a.jpg"), ("p [é]+%25", "c.jpg"), ("same", "e.jpg"), ("same/", "e.jpg")):
        assert [one for one, _ in Store(f"S3://photos/{folder}", reader).find()] == [name]
    store = Store("s3://photos/twice", reader)
    found = dict(store.find())
    assert list(found) == ["/d.jpg", "d.jpg"]
    (_, reason), (file, well) = store.fetch(found.values(), tmp_path / "fetched")
    assert "refused by the store" in reason and not well and Path(file).read_bytes() == b"twice/d.jpg"


@real
def test_an_object_that_is_refused_is_set_aside_and_a_store_that_gives_nothing_ends_the_job(tmp_path, installed, keys):
    right = pictures(tmp_path / "images")
    put(tmp_path / "images", "photos")
    cold = min(right)
    by_boto3(COLD, "photos", f"my photos/{cold}")
    one = asked("s3://photos/my photos", place=tmp_path)
    assert one.run() == 0
    del right[cold]
    assert one.labels() == right
    ((image, reason),) = [row[:2] for row in one.rows("quarantine")]
    assert image == cold and reason.startswith("refused by the store: ")
    assert cold not in reason and "my photos" not in reason  # a reason of its own for each object would be none
    by_boto3(COLD, "photos", *(f"my photos/{name}" for name in right))
    store = Store("s3://photos/my photos", installed)
    with pytest.raises(UserError, match="gives none of 11 objects: photos/my photos/.* refused by the store"):
        store.fetch([path for _, path in store.find()], tmp_path / "fetched")


@real
def test_an_object_that_is_absurdly_large_is_set_aside_unread(tmp_path, installed, keys, monkeypatch):
    right = pictures(tmp_path / "images")
    put(tmp_path / "images", "photos")
    sizes = {name: (tmp_path / "images" / name).stat().st_size for name in right}
    monkeypatch.setattr(object_store, "MOST_BYTES", max(sizes.values()) - 1)
    store = Store("s3://photos/my photos", installed)
    found = dict(store.find())
    fetched = dict(zip(found, store.fetch(found.values(), tmp_path / "fetched"), strict=True))
    for name, size in sizes.items():
        file, reason = fetched[name]
        if size == max(sizes.values()):
            assert reason == f"absurdly large: {size:,} bytes"
        else:
            assert Path(file).read_bytes() == (tmp_path / "images" / name).read_bytes()


@real
def test_a_bucket_that_is_gone_ends_the_job_and_loses_nothing(tmp_path, installed, keys):
    right = pictures(tmp_path / "images")
    put(tmp_path / "images", "photos")
    one = asked("s3://photos/my photos", place=tmp_path, kill_in=1)
    with pytest.raises(UserError, match="1 of 3 parts are done"):
        one.run()
    before = one.labels()
    keys("photos", delete=True)
    assert one.run() == job.SAID
    assert one.labels() == before and one.rows("quarantine") == []
    put(tmp_path / "images", "photos")
    assert one.run() == 0 and one.labels() == right


@real
def test_a_store_that_does_not_answer_any_more_ends_the_job(tmp_path, installed, keys, server, capfd):
    pictures(tmp_path / "images")
    put(tmp_path / "images", "photos")
    one = asked("s3://photos/my photos", place=tmp_path, kill_in=1)
    with pytest.raises(UserError, match="1 of 3 parts are done"):
        one.run()
    server.terminate()
    server.wait()
    before = one.labels()
    assert one.run() == job.SAID
    said = capfd.readouterr().err
    assert "cannot be read" in said and "Traceback" not in said
    assert one.labels() == before and one.rows("quarantine") == []


@real
def test_a_bucket_that_is_none_is_one_line(tmp_path, installed, keys):
    one = asked("s3://elsewhere/photos", place=tmp_path)
    with pytest.raises(UserError, match="s3://elsewhere/photos cannot be read"):
        job.open_job(one.request, one.chosen)
