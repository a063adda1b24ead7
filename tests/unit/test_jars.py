"""Jars: which of a set this platform needs, and that none is used but the one that was locked."""

from __future__ import annotations

import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.inputs import jars

JARS = {
    "guava": ("com.google.guava", "1.0", "", b"guava" * 100),
    "natives": ("org.tensorflow", "0.4.2", "linux-x86_64", b"for linux on intel"),
    "natives-arm": ("org.tensorflow", "0.4.2", "macosx-arm64", b"for macs"),
    "natives-gpu": ("org.tensorflow", "0.4.2", "linux-x86_64-gpu", b"for gpus"),
    "protobuf-java": ("com.google.protobuf", "3.19.4", "", b"protobuf"),
    "shaded": ("org.example", "2", "jdk8", b"a classifier that is no platform"),
}


def name_of(artifact: str) -> str:
    _, version, classifier, _ = JARS[artifact]
    return f"{artifact}-{version}{f'-{classifier}' if classifier else ''}.jar"


def maven_path(artifact: str) -> str:
    group, version, _, _ = JARS[artifact]
    return "/".join([*group.split("."), artifact, version, name_of(artifact)])


def plant_set(folder: Path, *artifacts: str) -> Path:
    """A set whose lock file lists these jars."""
    lines = ["[metadata]", 'generated = "2026-11-23T00:00:00+00:00"', "", "[environment]", 'name = "test"', ""]
    for artifact in artifacts:
        group, version, classifier, content = JARS[artifact]
        lines += ["[[dependencies]]", f'groupId = "{group}"', f'artifactId = "{artifact}"', f'version = "{version}"']
        lines += [f'classifier = "{classifier}"'] if classifier else []
        lines += ['packaging = "jar"', f'sha256 = "{hashlib.sha256(content).hexdigest()}"', ""]
    folder.mkdir()
    (folder / "jgo.lock.toml").write_text("\n".join(lines))
    return folder


def plant_jars(repository: Path, *artifacts: str) -> None:
    for artifact in artifacts:
        path = repository / maven_path(artifact)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JARS[artifact][3])


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch) -> Path:
    """An empty local Maven repository on Linux x86_64, and no way to the network."""
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setattr(jars, "platform_name", lambda: "linux-x86_64")
    monkeypatch.setattr(jars, "PAUSES", (0, 0))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "m2"


def problem(action, *arguments) -> str:
    with pytest.raises(UserError) as raised:
        action(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# --- what is needed


@pytest.mark.parametrize(
    ("platform", "natives"),
    [("linux-x86_64", ["natives", "natives-gpu"]), ("macosx-arm64", ["natives-arm"]), ("linux-arm64", [])],
)
def test_natives_are_those_of_the_platform_and_protobuf_comes_first(tmp_path, monkeypatch, platform, natives):
    monkeypatch.setattr(jars, "platform_name", lambda: platform)
    found = [jar["artifactId"] for jar in jars.locked(plant_set(tmp_path / "set", *JARS))]
    assert found == ["protobuf-java", "guava", *natives, "shaded"]


def test_a_set_without_a_lock_file_is_one_line_that_names_it(tmp_path):
    assert str(tmp_path / "jgo.lock.toml") in problem(jars.locked, tmp_path)


def test_the_shipped_tensorflow_set_has_protobuf_first_and_no_other_protobuf():
    names = [jars.file_name(jar) for jar in jars.locked(HOME / "envs" / "jars" / "tensorflow-cpu")]
    assert names[0] == "protobuf-java-3.19.4.jar"
    assert [name for name in names if name.startswith("protobuf-java-3")] == names[:1]
    assert "tensorflow-core-api-0.4.2-linux-x86_64.jar" in names
    assert not [name for name in names if "macosx" in name or "windows" in name]


# --- fetching


def test_jars_of_the_local_repository_are_linked(tmp_path, repository):
    wanted = ("guava", "natives", "protobuf-java")
    set_folder = plant_set(tmp_path / "set", *wanted, "natives-arm")
    plant_jars(repository, *wanted)
    jars.fetch(set_folder, tmp_path / "jars")
    assert everything(tmp_path / "jars") == sorted(name_of(artifact) for artifact in wanted)
    for artifact in wanted:
        assert (tmp_path / "jars" / name_of(artifact)).samefile(repository / maven_path(artifact))
    assert jars.verify(set_folder, tmp_path / "jars")[0].name == name_of("protobuf-java")


def test_a_changed_byte_in_the_local_repository_stops_the_job(tmp_path, repository):
    set_folder = plant_set(tmp_path / "set", "guava", "protobuf-java")
    plant_jars(repository, "guava", "protobuf-java")
    changed = repository / maven_path("guava")
    changed.write_bytes(b"G" + JARS["guava"][3][1:])
    line = problem(jars.fetch, set_folder, tmp_path / "jars")
    assert str(changed) in line and str(set_folder / "jgo.lock.toml") in line
    assert everything(tmp_path) == sorted([name_of("guava"), name_of("protobuf-java"), "jgo.lock.toml"])
    assert not (tmp_path / "jars").exists()


def test_a_missing_jar_without_a_network_is_one_line_and_leaves_nothing(tmp_path, repository):
    set_folder = plant_set(tmp_path / "set", "guava", "protobuf-java")
    plant_jars(repository, "protobuf-java")
    line = problem(jars.fetch, set_folder, tmp_path / "jars")
    assert name_of("guava") in line and "network" in line and str(repository / maven_path("guava")) in line
    assert everything(tmp_path) == sorted([name_of("protobuf-java"), "jgo.lock.toml"])
    assert not (tmp_path / "jars").exists()


def test_what_was_fetched_before_is_replaced_only_by_a_whole_set(tmp_path, repository):
    set_folder = plant_set(tmp_path / "set", "guava", "protobuf-java")
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "old.jar").write_bytes(b"old")
    plant_jars(repository, "protobuf-java")
    problem(jars.fetch, set_folder, tmp_path / "jars")
    assert everything(tmp_path / "jars") == ["old.jar"]
    plant_jars(repository, "guava")
    jars.fetch(set_folder, tmp_path / "jars")
    assert everything(tmp_path / "jars") == sorted([name_of("guava"), name_of("protobuf-java")])


# --- downloading, from a server of our own


@pytest.fixture
def cut_off() -> list[str]:
    """Connections that the server will close without an answer: one less each time."""
    return []


@pytest.fixture
def server(monkeypatch, cut_off):
    """A Maven repository on this machine; it answers what the dictionary says that it gives: path → (length, bytes)."""
    answers: dict[str, tuple[int, bytes]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length, content = answers.get(self.path.lstrip("/"), (0, None))
            if cut_off:
                cut_off.pop()
                self.close_connection = True
                return
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        address = f"http://127.0.0.1:{running.server_address[1]}"
        monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"here": address})
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield answers
        running.shutdown()
        thread.join()


def serve(answers: dict, artifact: str, content: bytes | None = None, length: int | None = None) -> None:
    content = JARS[artifact][3] if content is None else content
    answers[maven_path(artifact)] = (len(content) if length is None else length, content)
    digest = hashlib.sha1(content).hexdigest().encode()
    answers[f"{maven_path(artifact)}.sha1"] = (len(digest), digest)


def test_a_missing_jar_is_downloaded_into_the_local_repository(tmp_path, repository, server):
    set_folder = plant_set(tmp_path / "set", "guava", "natives")
    for artifact in ("guava", "natives"):
        serve(server, artifact)
    jars.fetch(set_folder, tmp_path / "jars")
    for artifact in ("guava", "natives"):
        assert (tmp_path / "jars" / name_of(artifact)).read_bytes() == JARS[artifact][3]
        assert (repository / maven_path(artifact)).read_bytes() == JARS[artifact][3]
    assert everything(repository) == sorted([name_of("guava"), name_of("natives")])


@pytest.mark.parametrize(("times", "arrives"), [(2, True), (3, False)])
def test_a_connection_that_breaks_is_tried_again_twice(tmp_path, repository, server, cut_off, times, arrives):
    set_folder = plant_set(tmp_path / "set", "guava")
    serve(server, "guava")
    cut_off += ["broken"] * times
    if arrives:
        jars.fetch(set_folder, tmp_path / "jars")
    else:
        assert "network" in problem(jars.fetch, set_folder, tmp_path / "jars")
    assert not cut_off
    assert everything(repository) == [name_of("guava")] * arrives


@pytest.mark.parametrize("fault", ["other content", "cut short", "not there"])
def test_a_download_that_is_not_the_locked_jar_is_kept_nowhere(tmp_path, repository, server, fault):
    set_folder = plant_set(tmp_path / "set", "guava")
    content = JARS["guava"][3]
    if fault == "other content":
        serve(server, "guava", content[::-1])
    elif fault == "cut short":
        serve(server, "guava", content[:50], len(content))
    line = problem(jars.fetch, set_folder, tmp_path / "jars")
    assert name_of("guava") in line
    assert everything(repository) == [] and not (tmp_path / "jars").exists()


# --- verifying, before every measurement


@pytest.fixture
def fetched(tmp_path, repository) -> tuple[Path, Path]:
    set_folder = plant_set(tmp_path / "set", "guava", "protobuf-java", "natives")
    plant_jars(repository, "guava", "protobuf-java", "natives")
    jars.fetch(set_folder, tmp_path / "jars")
    return set_folder, tmp_path / "jars"


def test_a_sound_folder_is_given_in_the_order_of_the_class_path(fetched):
    names = [path.name for path in jars.verify(*fetched)]
    assert names == [name_of("protobuf-java"), name_of("guava"), name_of("natives")]


def test_a_tampered_jar_is_named_together_with_its_lock(fetched):
    set_folder, folder = fetched
    (folder / name_of("natives")).unlink()  # it is a link to the repository's
    (folder / name_of("natives")).write_bytes(JARS["natives"][3] + b"\n")
    line = problem(jars.verify, set_folder, folder)
    assert str(folder / name_of("natives")) in line and str(set_folder / "jgo.lock.toml") in line


def test_a_missing_jar_is_named(fetched):
    set_folder, folder = fetched
    (folder / name_of("guava")).unlink()
    assert str(folder / name_of("guava")) in problem(jars.verify, set_folder, folder)


def test_jars_that_the_lock_does_not_list_are_not_used(fetched):
    set_folder, folder = fetched
    (folder / "log4j-evil.jar").write_bytes(b"x")
    assert "log4j-evil.jar" not in [path.name for path in jars.verify(set_folder, folder)]
