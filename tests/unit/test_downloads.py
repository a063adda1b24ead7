"""Downloads from a server that cuts, lies and refuses; nothing half-finished is ever taken for finished."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from web_server import serving

from vitbench.errors import UserError
from vitbench.files import sha256
from vitbench.inputs import downloads
from vitbench.inputs.downloads import Expected

CONTENT = random.Random(1).randbytes(300_000)
ANYTHING = Expected(None, None, "nobody")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(downloads, "CHUNK", 10_000)
    with serving(CONTENT) as server:
        yield server


def known(tmp_path: Path, content: bytes = CONTENT, size: int | None = len(CONTENT)) -> Expected:
    (tmp_path / "reference").write_bytes(content)
    return Expected(sha256(tmp_path / "reference"), size, "the definition of it")


def target(tmp_path: Path) -> Path:
    return tmp_path / "archives" / "images.zip"


def left(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "archives"))


def assert_whole(tmp_path: Path) -> None:
    assert target(tmp_path).read_bytes() == CONTENT
    assert left(tmp_path) == ["images.zip"]


def test_a_file_is_downloaded_whole_and_its_hash_returned(tmp_path, server):
    digest = downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert_whole(tmp_path)
    assert digest == known(tmp_path).sha256 and len(server.asked) == 1


@pytest.mark.parametrize("known_hash", [True, False])
def test_a_cut_download_goes_on_where_it_was(tmp_path, server, known_hash):
    server.plan = ["cut 100000", "cut 50000", ""]
    downloads.fetch([server.address], target(tmp_path), known(tmp_path) if known_hash else ANYTHING)
    assert_whole(tmp_path)
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert {asked.get("If-Range") for asked in server.asked[1:]} == {server.tag()}


def test_the_next_run_goes_on_where_a_killed_one_was(tmp_path, server):
    server.plan = ["cut 100000", *["500"] * 4, ""]
    with pytest.raises(UserError):
        downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert not target(tmp_path).exists() and left(tmp_path) == [".images.zip.part", ".images.zip.part.json"]
    downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert_whole(tmp_path)
    assert server.ranges[-1] == "bytes=100000-"


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path, server):
    server.plan = ["cut 100000", ""]
    old = server.content

    def change(*_):
        server.content = bytes(reversed(old))

    pause = downloads.time.sleep
    try:
        downloads.time.sleep = change
        downloads.fetch([server.address], target(tmp_path), ANYTHING)
    finally:
        downloads.time.sleep = pause
    assert target(tmp_path).read_bytes() == bytes(reversed(CONTENT))


def test_without_a_validator_only_a_known_hash_lets_it_go_on(tmp_path, server):
    server.tags = False
    server.plan = ["cut 100000", ""]
    downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert server.ranges == [None, None]
    assert_whole(tmp_path)
    target(tmp_path).unlink()
    server.plan, server.asked = ["cut 100000", ""], []
    downloads.fetch([server.address], target(tmp_path), known(tmp_path))
    assert server.ranges == [None, "bytes=100000-"]
    assert_whole(tmp_path)


@pytest.mark.parametrize("how", ["no range", "wrong range"])
def test_a_server_that_does_not_know_ranges_still_gives_the_file(tmp_path, server, how):
    server.plan = ["cut 100000", how, ""]
    downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert_whole(tmp_path)


def test_a_part_of_another_file_is_found_out_by_the_hash_and_begun_anew(tmp_path, server):
    target(tmp_path).parent.mkdir()
    target(tmp_path).with_name(".images.zip.part").write_bytes(b"x" * 1000)
    downloads.fetch([server.address], target(tmp_path), known(tmp_path))
    assert_whole(tmp_path)
    assert server.ranges == ["bytes=1000-", None]


def test_a_part_that_is_whole_already_needs_no_further_byte(tmp_path, server):
    target(tmp_path).parent.mkdir()
    target(tmp_path).with_name(".images.zip.part").write_bytes(CONTENT)
    downloads.fetch([server.address], target(tmp_path), known(tmp_path))
    assert_whole(tmp_path)


@pytest.mark.parametrize("status", ["408", "425", "429", "500", "503", "507", "520", "524"])
def test_what_may_pass_is_tried_again(tmp_path, server, status):
    server.plan = [status, status, ""]
    downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert len(server.asked) == 3
    assert_whole(tmp_path)


def test_a_server_that_says_how_long_to_wait_is_obeyed_within_reason(tmp_path, server, monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(downloads.time, "sleep", waited.append)
    server.headers = {"Retry-After": "7"}
    server.plan = ["429", ""]
    downloads.fetch([server.address], target(tmp_path), ANYTHING)
    server.headers = {"Retry-After": "86400"}
    server.plan = ["429", ""]
    target(tmp_path).unlink()
    downloads.fetch([server.address], target(tmp_path), ANYTHING)
    assert waited == [7, downloads.LONGEST_PAUSE]


@pytest.mark.parametrize(("status", "requests"), [("404", 1), ("403", 1), ("500", 4), ("429", 4)])
def test_what_does_not_pass_is_one_line_that_says_where_to_put_the_file(tmp_path, server, status, requests):
    server.plan = [status]
    with pytest.raises(UserError) as caught:
        downloads.fetch([server.address], target(tmp_path), ANYTHING)
    line = str(caught.value)
    assert "\n" not in line and f"status {status}" in line and server.address in line
    assert f"put the file at {target(tmp_path)} by hand" in line and "proxy" in line
    assert len(server.asked) == requests
    assert not target(tmp_path).exists()


def test_the_mirror_is_asked_when_the_address_fails_and_goes_on_with_its_part(tmp_path, server):
    with serving(CONTENT) as mirror:
        server.plan = ["cut 120000", "404"]
        downloads.fetch([server.address, mirror.address], target(tmp_path), known(tmp_path))
        assert mirror.ranges == ["bytes=120000-"]
    assert_whole(tmp_path)


def test_a_mirror_never_completes_the_part_of_another_server_unless_the_hash_is_known(tmp_path, server):
    with serving(bytes(reversed(CONTENT))) as mirror:
        server.plan = ["cut 120000", "404"]
        downloads.fetch([server.address, mirror.address], target(tmp_path), ANYTHING)
        assert mirror.ranges == [None]
    assert target(tmp_path).read_bytes() == bytes(reversed(CONTENT))


def test_a_wrong_hash_is_refused_and_the_mirror_asked(tmp_path, server):
    wrong = bytes(len(CONTENT))
    with serving(wrong) as liar:
        downloads.fetch([liar.address, server.address], target(tmp_path), known(tmp_path))
        assert_whole(tmp_path)
        target(tmp_path).unlink()
        with pytest.raises(UserError, match="another file: sha256 .*the definition of it says"):
            downloads.fetch([liar.address], target(tmp_path), known(tmp_path))
    assert left(tmp_path) == []


def test_a_wrong_size_is_refused_before_it_is_downloaded(tmp_path, server):
    server.plan = ["short 1000"]
    with pytest.raises(UserError, match="serves 1,000 bytes, the definition of it says 300,000"):
        downloads.fetch([server.address], target(tmp_path), known(tmp_path))
    assert not target(tmp_path).exists()


def test_a_short_answer_of_unknown_size_is_refused_by_the_hash(tmp_path, server):
    server.plan = ["short 1000"]
    with pytest.raises(UserError, match="another file"):
        downloads.fetch([server.address], target(tmp_path), known(tmp_path, size=None))


def test_nobody_listening_is_one_line(tmp_path, server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # held, so that nobody else gets it, and not listened at
        address = f"http://127.0.0.1:{free.getsockname()[1]}/images.zip"
        with pytest.raises(UserError, match="cannot download images.zip .*refused") as caught:
            downloads.fetch([address], target(tmp_path), ANYTHING)
    assert "\n" not in str(caught.value)


def test_the_proxy_of_the_environment_is_used_and_its_exceptions(tmp_path, server, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", server.address)
    downloads.fetch(["http://images.example/some.zip"], target(tmp_path), ANYTHING)
    assert_whole(tmp_path)
    assert server.asked[0]["Host"] == "images.example" and server.asked[0]["path"] == "http://images.example/some.zip"


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({"SSL_CERT_FILE": "own.pem"}, "own.pem"),
        ({"SSL_CERT_FILE": "own.pem", "REQUESTS_CA_BUNDLE": "theirs.pem"}, "theirs.pem"),
        ({"CURL_CA_BUNDLE": "curl.pem"}, "curl.pem"),
        ({}, True),
    ],
)
def test_the_certificate_bundle_of_the_environment_is_used(monkeypatch, variables, used):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session = downloads._session()
    settings = session.merge_environment_settings("https://images.example", {}, True, None, None)
    assert settings["verify"] == used


def certificate(folder: Path) -> Path:
    """A PEM file with the key and the certificate, signed by itself, of 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, signed, both = (folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=vitbench-test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-keyout", key, "-out", signed]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return both


def test_a_certificate_of_ones_own_is_trusted_where_the_environment_says_so_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    own = certificate(tmp_path)
    with serving(CONTENT, own) as server:
        with pytest.raises(UserError, match="certificate verify failed") as caught:
            downloads.fetch([server.address], target(tmp_path), ANYTHING)
        assert "REQUESTS_CA_BUNDLE" in str(caught.value) and "\n" not in str(caught.value)
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.setenv(name, str(own))
            downloads.fetch([server.address], target(tmp_path), ANYTHING)
            assert_whole(tmp_path)
            target(tmp_path).unlink()
            monkeypatch.delenv(name)


def test_a_disk_that_is_too_small_is_said_before_the_download(tmp_path, server, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: _Usage)
    with pytest.raises(UserError, match="needs 0.0 GB more, and 0.0 GB are free"):
        downloads.fetch([server.address], target(tmp_path), ANYTHING)


class _Usage:
    free = 1000


# --- trust on first use


DEFINITION = {"kind": "archive", "address": "https://images.example/images.zip"}


def test_what_nobody_vouches_for_is_locked_and_must_be_the_same_next_time(tmp_path):
    lock, path = tmp_path / "locks" / "datasets.lock.yaml", tmp_path / "images.zip"
    path.write_bytes(CONTENT)
    first = downloads.expectation(DEFINITION, "mine", [lock])
    assert first.sha256 is None
    downloads.trust(lock, "mine", DEFINITION, path, downloads.check(path, first))
    again = downloads.expectation(DEFINITION, "mine", [lock])
    assert again.sha256 == sha256(path) and again.size == len(CONTENT)
    downloads.check(path, again)
    path.write_bytes(bytes(len(CONTENT)))
    with pytest.raises(UserError, match="images.zip has sha256 .*datasets.lock.yaml says .*remove it"):
        downloads.check(path, again)
    path.write_bytes(b"short")
    with pytest.raises(UserError, match="has 5 bytes, .*datasets.lock.yaml says 300,000"):
        downloads.check(path, again)


def test_a_definition_counts_more_than_a_lock_and_another_address_is_another_file(tmp_path):
    lock, path = tmp_path / "datasets.lock.yaml", tmp_path / "images.zip"
    path.write_bytes(CONTENT)
    downloads.trust(lock, "mine", DEFINITION, path, sha256(path))
    assert downloads.expectation(DEFINITION | {"sha256": "f" * 64}, "mine", [lock]).sha256 == "f" * 64
    assert downloads.expectation(DEFINITION | {"address": "https://other.example/a.zip"}, "mine", [lock]).sha256 is None
    assert downloads.expectation(DEFINITION, "other", [lock]).sha256 is None
    downloads.trust(lock, "other", DEFINITION, path, sha256(path))
    assert set(yaml.safe_load(lock.read_text())) == {"mine", "other"}


@pytest.mark.parametrize("text", ["a: b: c", "- 1", "mine: {address: x}"])
def test_a_damaged_lock_is_one_line(tmp_path, text):
    lock = tmp_path / "datasets.lock.yaml"
    lock.write_text(text)
    with pytest.raises(UserError, match="is no lock of downloads"):
        downloads.expectation(DEFINITION, "mine", [lock])


def test_an_address_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="not an http or https address"):
        downloads.fetch(["ftp://images.example/a.zip"], target(tmp_path), ANYTHING)
