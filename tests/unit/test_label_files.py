"""A CSV file that says what the model calls the folders of a data set."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from vitbench.errors import UserError
from vitbench.inputs import datasets, label_files


@pytest.fixture
def folder(tmp_path) -> Path:
    """One image in each of four folders, and one at the top."""
    root = tmp_path / "own"
    for name in ("train/n01440764", "val/n01440764", "grey_cats", unicodedata.normalize("NFD", "Äpfel"), "."):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(root / name / "a.jpg")
    return root


def built(folder: Path, out: Path, content: bytes | str) -> dict[str, str]:
    """Source → label of a data set whose label file has this content."""
    path = folder.parent / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    definition = {"kind": "folder", "folder": str(folder), "labels": str(path)}
    datasets.build(definition, "sample", out)
    return {image.source: image.label for image in datasets.read_manifest(out / "manifest.csv")}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_folders_get_the_names_of_the_file_and_others_keep_theirs(folder, tmp_path, encoding, end):
    lines = ["folder,label", 'n01440764,"tench, Tinca tinca"', "Äpfel,Granny Smith", "train/n01440764,=1+1", ""]
    found = built(folder, tmp_path / "out", end.join(lines).encode(encoding))
    assert sorted(found.values()) == ["", "=1+1", "Granny Smith", "grey_cats", "tench, Tinca tinca"]
    assert found["val/n01440764/a.jpg"] == "tench, Tinca tinca" and found["train/n01440764/a.jpg"] == "=1+1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["folder,label"]),
        ("n01440764,tench\n", ["folder,label"]),
        ("folder;label\nn01440764;tench\n", ["folder,label"]),
        ("folder,label\nn01440764,tench, Tinca tinca\n", ["row 2", "quote"]),
        ("folder,label\nn01440764\n", ["row 2"]),
        ("folder,label\nn01440764,\n", ["row 2"]),
        ("folder,label\na,b\na,c\n", ["row 3", "another label"]),
        ('folder,label\na,"b\n', ["no CSV"]),
        ("folder,label\na,b\n".encode("utf-16"), ["UTF-8"]),
        ("folder,label\nn99999999,tench\n", ["none of the folders"]),
    ],
)
def test_what_is_no_label_file_is_one_line_and_nothing_is_made(folder, tmp_path, content, words):
    with pytest.raises(UserError) as raised:
        built(folder, tmp_path / "out", content)
    said = str(raised.value)
    assert "\n" not in said and "labels" in said and all(word in said for word in words), said
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_said_and_a_word_is_no_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        label_files.of({"labels": str(tmp_path / "labels.csv")})
    assert label_files.of({"labels": "none"}) == label_files.of({"labels": "folders"}) == label_files.of({}) == {}
