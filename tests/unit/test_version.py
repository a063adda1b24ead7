"""Which vitbench this is, by git, and by no other project's git."""

import subprocess

from vitbench import version


def test_a_copy_inside_another_projects_git_has_not_that_projects_version(tmp_path, monkeypatch):
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    for command in (["init", "-q"], [*somebody, "commit", "-q", "--allow-empty", "-m", "theirs"], ["tag", "v7"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "vitbench").mkdir()
    monkeypatch.setattr(version, "HOME", tmp_path / "vitbench")
    assert version.describe_checkout() == ""
    monkeypatch.setattr(version, "HOME", tmp_path)
    assert version.describe_checkout()


def test_without_git_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version.describe_checkout() == ""


def test_outside_git_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "HOME", tmp_path)
    assert version.describe_checkout() == ""
