"""Image files of every kind that a folder of photographs may hold, each made here."""

from __future__ import annotations

import csv
import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy
import pytest
from PIL import Image as Pillow
from PIL import ImageCms
from test_datasets import encoded, picture
from test_path_lists import parquet

from vitbench.errors import UserError
from vitbench.inputs import datasets, images
from vitbench.inputs.images import Rejected, take


def png_header(width: int, height: int) -> bytes:
    """A PNG that says so about its size and holds no pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def rotated() -> bytes:
    exif = Pillow.Exif()
    exif[images.ORIENTATION] = 6
    return encoded(picture(), exif=exif)


def clear() -> Pillow.Image:
    image = picture("RGBA")
    image.paste((0, 255, 0, 0), (0, 0, 20, 30))
    return image


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DEEP = Pillow.fromarray(numpy.full((30, 40), 200 * 256, "uint16"))
MIXED = {
    "plain.jpg": (encoded(picture()), ""),
    "progressive.jpg": (encoded(picture(), progressive=True), ""),
    "grey.jpg": (encoded(picture("L")), "JPEG, grey"),
    "cmyk.jpg": (encoded(picture("CMYK")), "JPEG, CMYK"),
    "rotated.jpg": (rotated(), "JPEG, rotated"),
    "profile.jpg": (encoded(picture(), icc_profile=PROFILE), "JPEG, colour profile"),
    "plain.png": (encoded(picture(), "PNG"), "PNG"),
    "palette.png": (encoded(picture().quantize(4), "PNG"), "PNG, palette"),
    "clear.png": (encoded(clear(), "PNG"), "PNG, transparent"),
    "grey-clear.png": (encoded(clear().convert("LA"), "PNG"), "PNG, grey, transparent"),
    "deep.png": (encoded(DEEP, "PNG"), "PNG, 16 bits"),
    "deep.tif": (encoded(DEEP, "TIFF"), "TIFF, 16 bits"),
    "two.png": (encoded(picture("1"), "PNG"), "PNG, black and white"),
    "colour.gif": (encoded(picture(), "GIF"), "GIF, palette"),
    "colour.webp": (encoded(picture(), "WEBP", lossless=True), "WEBP"),
    "colour.bmp": (encoded(picture(), "BMP"), "BMP"),
    "cmyk.tif": (encoded(picture("CMYK"), "TIFF"), "TIFF, CMYK"),
    "colour.ppm": (encoded(picture(), "PPM"), "PPM"),
}
BAD = {
    "truncated.jpg": (encoded(Pillow.effect_noise((80, 80), 90).convert("RGB"))[:2000], "truncated"),
    "empty.jpg": (b"", "empty file"),
    "text.jpg": (b"this is no image", "not an image that can be decoded"),
    "page.png": (b"<html>404</html>", "not an image that can be decoded"),
    "half a header.png": (encoded(picture(), "PNG")[:20], "."),
    "no pixels.png": (png_header(0, 10), "."),
    "no pixels.ppm": (b"P6 0 10 255\n", "."),
    "no pixels.gif": (b"GIF89a" + bytes(7) + b"," + bytes(9) + b"\x02\x00;", "no pixels|pixel|size|decoded"),
    "bomb.png": (png_header(100_000, 100_000), "absurdly large"),
    "large.png": (png_header(20_000, 10_000), "absurdly large"),
    "float.tif": (encoded(picture("F"), "TIFF"), "unsupported mode: floating-point"),
    "lab.tif": (encoded(ImageCms.profileToProfile(picture(), ImageCms.createProfile("sRGB"),
                        ImageCms.createProfile("LAB"), outputMode="LAB"), "TIFF"), "unsupported mode: LAB"),
    "wide.tif": (encoded(Pillow.fromarray(numpy.full((30, 40), 10**6, "int32")), "TIFF"), "unsupported mode: 32-bit"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_every_form_is_named_and_rendered_to_plain_rgb_unless_it_is_that(name):
    content, form = MIXED[name]
    taken = take(content)
    assert taken.form == form
    if not form:
        assert taken.rendered is None and taken.suffix == ".jpg"
        return
    with Pillow.open(io.BytesIO(taken.rendered)) as image:
        image.load()
        assert (
            image.mode == "RGB" and "icc_profile" not in image.info and image.getexif().get(images.ORIENTATION, 1) == 1
        )
        assert image.format == ("JPEG" if name.endswith(".jpg") else "PNG")
    assert take(taken.rendered).form == ("" if name.endswith(".jpg") else "PNG")


@pytest.mark.parametrize("name", MIXED)
def test_raw_images_are_left_as_they_are_and_named_all_the_same(name):
    content, form = MIXED[name]
    taken = take(content, raw=True)
    assert taken.rendered is None and taken.form == form
    assert taken.suffix == Path(name).suffix


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_usable_image_is_rejected_with_a_reason(name):
    content, reason = BAD[name]
    with pytest.raises(Rejected, match=reason) as caught:
        take(content)
    assert str(caught.value).strip() and "\n" not in str(caught.value)


def test_the_limit_of_pixels_is_pillows_own():
    assert 2 * Pillow.MAX_IMAGE_PIXELS == images.MOST_PIXELS


# --- as data sets


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def build(tmp_path: Path, definition: dict, **more) -> dict[str, datasets.Image]:
    datasets.build(definition, "full", tmp_path / "out", **more)
    return {image.source: image for image in datasets.read_manifest(tmp_path / "out" / "manifest.csv")}


def everything(tmp_path: Path) -> Path:
    return put(tmp_path / "user", {name: content for name, (content, _) in (MIXED | BAD).items()})


def test_good_and_bad_are_told_apart_in_one_manifest(tmp_path):
    rows = build(tmp_path, {"kind": "folder", "folder": str(everything(tmp_path))})
    assert {name for name, image in rows.items() if image.valid} == MIXED.keys()
    assert {name: image.form for name, image in rows.items() if image.valid} == {
        n: form for n, (_, form) in MIXED.items()
    }
    assert all(rows[name].reason and rows[name].path == "" for name in BAD)
    links = {name for name in MIXED if (tmp_path / "out" / rows[name].path).is_symlink()}
    assert links == {"plain.jpg", "progressive.jpg"}
    assert len(list((tmp_path / "out" / "images").iterdir())) == len(MIXED)


def test_raw_by_choice_links_everything(tmp_path):
    rows = build(tmp_path, {"kind": "folder", "folder": str(everything(tmp_path)), "feed": "raw"})
    valid = [image for image in rows.values() if image.valid]
    assert {image.source for image in valid} == MIXED.keys()
    assert all((tmp_path / "out" / image.path).samefile(tmp_path / "user" / image.source) for image in valid)


def test_many_processes_make_the_same_data_set_as_one(tmp_path, monkeypatch):
    everything(tmp_path)
    definition = {"kind": "folder", "folder": str(tmp_path / "user"), "at_most": 20, "seed": 3}
    alone = build(tmp_path, definition, processes=1)
    monkeypatch.setattr(datasets, "WORTH_A_POOL", 0)
    assert build(tmp_path, definition, processes=2) == alone
    assert sum(image.valid for image in alone.values()) == len(MIXED)


class Killer:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_process_that_dies_while_it_opens_images_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "WORTH_A_POOL", 0)
    handling = datasets.Handling(tmp_path, raw=False, move=False)
    with (
        pytest.raises(UserError, match="was killed, most often for lack of memory"),
        datasets._opener(2, handling, 2) as open_all,
    ):
        list(open_all([datasets.Source(Killer(), "a.jpg", "")], 1))


def test_a_pipe_a_broken_link_and_what_may_not_be_read_are_rows_with_a_reason(tmp_path):
    user = put(tmp_path / "user", {"good.jpg": encoded(picture())})
    os.mkfifo(user / "pipe.jpg")
    (user / "nowhere.jpg").symlink_to("/no/such/file.jpg")
    (user / "circle.jpg").symlink_to("circle.jpg")
    (user / "folder.jpg").mkdir()
    rows = build(tmp_path, {"kind": "folder", "folder": str(user)})
    assert rows["pipe.jpg"].reason == "not a regular file"
    assert rows["nowhere.jpg"].reason == "cannot be read: a link to nothing"
    assert "cannot be read" in rows["circle.jpg"].reason
    assert rows["good.jpg"].valid and len(rows) == 4


def test_a_file_that_is_absurdly_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 10_000)
    user = put(tmp_path / "user", {"good.jpg": encoded(picture())})
    with open(user / "huge.tif", "wb") as handle:
        handle.truncate(20_000)
    rows = build(tmp_path, {"kind": "folder", "folder": str(user)})
    assert rows["huge.tif"].reason == "absurdly large: 20,000 bytes"


def test_links_to_files_are_read_and_links_to_folders_are_not_followed_but_said(tmp_path, capsys):
    other = put(tmp_path / "other", {"a.jpg": encoded(picture()), "b.jpg": encoded(picture(size=(50, 30)))})
    user = put(tmp_path / "user", {"c.jpg": encoded(picture(size=(60, 30)))})
    (user / "link.jpg").symlink_to(other / "a.jpg")
    (user / "other").symlink_to(other)
    (user / "up").symlink_to(user)
    rows = build(tmp_path, {"kind": "folder", "folder": str(user)})
    assert set(rows) == {"c.jpg", "link.jpg"}
    assert "2 links to folders are not followed, the first 'other'" in capsys.readouterr().out
    (tmp_path / "by link").symlink_to(user)
    assert set(build(tmp_path, {"kind": "folder", "folder": str(tmp_path / "by link")})) == set(rows)


def test_only_the_folder_that_was_named_is_read(tmp_path, monkeypatch):
    """No file outside is opened, and none inside is opened for writing."""
    user = everything(tmp_path)
    put(tmp_path / "neighbour", {"x.jpg": encoded(picture())})
    code = f"""
import sys
opened = []
sys.addaudithook(lambda event, found: opened.append((str(found[0]), found[1])) if event == "open" else None)
from pathlib import Path
from vitbench.inputs import datasets
datasets.build({{"kind": "folder", "folder": {str(user)!r}}}, "full", Path({str(tmp_path / "out")!r}), processes=1)
inside = [(path, mode) for path, mode in opened if path.startswith({str(tmp_path)!r})]
assert {{path for path, mode in inside if mode not in ("r", "rb")}} <= {{
    path for path, _ in inside if path.startswith({str(tmp_path / ".out.partial")!r})}}, inside
assert not [path for path, _ in inside if "neighbour" in path]
assert len([path for path, _ in inside if path.startswith({str(user)!r})]) == {len(MIXED | BAD)}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "scripts"}, capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# --- lists


def test_a_list_draws_a_sample_by_seed_from_files_anywhere(tmp_path):
    files = {f"{number % 3}/{number:02d}, a.jpg": encoded(picture(size=(20 + number, 30))) for number in range(12)}
    put(tmp_path / "user", files)
    listing = tmp_path / "list.txt"
    listing.write_text("\n".join(f"user/{name}" for name in [*files, "gone.jpg"]))
    rows = build(tmp_path, {"kind": "list", "list": str(listing)})
    assert sum(image.valid for image in rows.values()) == 12
    assert rows["user/gone.jpg"].reason == "cannot be read: No such file or directory"
    assert rows["user/2/02, a.jpg"].label == "2"

    def drawn(**more) -> list[str]:
        return [n for n, image in build(tmp_path, {"kind": "list", "list": str(listing)} | more).items() if image.valid]

    assert drawn(sample=5, seed=1) == drawn(sample=5, seed=1) != drawn(sample=5, seed=2)
    assert len(drawn(sample=5, seed=1)) == 5
    with pytest.raises(UserError, match="list.txt holds 12 valid images, 13 were asked for; lower `sample`"):
        drawn(sample=13)


def test_a_parquet_list_brings_its_labels(tmp_path):
    put(tmp_path / "user", {"1.jpg": encoded(picture())})
    path = parquet(tmp_path / "list.parquet", path=["user/1.jpg"], label=['=cmd|" /C calc"!A1'])
    rows = build(tmp_path, {"kind": "list", "list": str(path)})
    assert rows["user/1.jpg"].label == '=cmd|" /C calc"!A1'


# --- archives


def zipped(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_an_archive_becomes_a_data_set_and_leaves_nothing_unpacked(tmp_path):
    files = {f"mini/train/{name}": content for name, (content, _) in (MIXED | BAD).items()}
    files |= {"mini/train/n01/cat.JPEG": encoded(picture()), "__MACOSX/mini/._cat.jpg": b"x", "mini/a.txt": b""}
    archive = zipped(tmp_path, files)
    rows = build(tmp_path, {"kind": "archive", "files": len(MIXED | BAD) + 1}, archive=archive)
    assert {name for name, image in rows.items() if image.valid} == MIXED.keys() | {"n01/cat.JPEG"}
    assert rows["n01/cat.JPEG"].label == "n01"
    assert sorted(os.listdir(tmp_path / "out")) == ["images", "manifest.csv"]
    assert not any(path.is_symlink() for path in (tmp_path / "out" / "images").iterdir())
    assert datasets.read_all(tmp_path / "out" / "manifest.csv") > 0
    plain = build(tmp_path, {"kind": "archive", "labels": "none"}, archive=archive)
    assert {image.label for image in plain.values()} == {""}


def test_an_archive_with_another_number_of_images_is_refused_and_nothing_is_left(tmp_path):
    archive = zipped(tmp_path, {"1.jpg": encoded(picture())})
    with pytest.raises(UserError, match="holds 1 image files, 2 were expected"):
        build(tmp_path, {"kind": "archive", "files": 2}, archive=archive)
    assert sorted(os.listdir(tmp_path)) == ["images.zip"]


def test_limits_of_the_definition_reach_the_archive(tmp_path):
    archive = zipped(tmp_path, {"1.jpg": encoded(picture()), "2.jpg": b""})
    with pytest.raises(UserError, match="`most_files` allows 1"):
        build(tmp_path, {"kind": "archive", "most_files": 1}, archive=archive)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UserError, match="archive .*images.zip is missing"):
        build(tmp_path, {"kind": "archive"}, archive=tmp_path / "images.zip")


# --- the gate


@pytest.fixture
def linked(tmp_path) -> tuple[Path, Path]:
    """A manifest, and the user's file that its image is a link to."""
    user = put(tmp_path / "user", {"a.jpg": encoded(picture())})
    build(tmp_path, {"kind": "folder", "folder": str(user)})
    return tmp_path / "out" / "manifest.csv", user / "a.jpg"


def test_an_unchanged_data_set_passes_even_if_its_files_were_touched(linked):
    manifest, file = linked
    datasets.check_unchanged(manifest)
    os.utime(file)
    datasets.check_unchanged(manifest)
    assert datasets.read_all(manifest) == file.stat().st_size


@pytest.mark.parametrize(
    ("change", "how"), [("gone", "is gone"), ("longer", "bytes"), ("same size", "another content")]
)
def test_a_file_that_changed_under_the_manifest_is_one_line(linked, change, how):
    manifest, file = linked
    content = bytearray(file.read_bytes())
    if change == "gone":
        file.unlink()
    elif change == "longer":
        file.write_bytes(content + b"x")
    else:
        content[-10] ^= 255
        file.write_bytes(content)
        os.utime(file, (manifest.stat().st_mtime + 1,) * 2)
    for check in (datasets.check_unchanged, datasets.read_all):
        with pytest.raises(UserError, match=r"images/000001.jpg, a link to .*a.jpg, ") as caught:
            check(manifest)
        assert "\n" not in str(caught.value)
        said = "another content" if check is datasets.read_all and change == "longer" else how
        assert said in str(caught.value)


# --- names that would be formulas


@pytest.mark.parametrize(
    "name", ["a\rb", "=cmd|'x'!A1", "+1", "-1", "@sum", "'quoted", "<script>", "$(touch x)", 'a"b,c\nd', "\tx"]
)
def test_labels_and_names_come_back_from_the_manifest_and_are_no_formula_in_it(tmp_path, name):
    rows = build(
        tmp_path, {"kind": "folder", "folder": str(put(tmp_path / "user", {f"{name}/{name}.jpg": encoded(picture())}))}
    )
    assert rows.keys() == {f"{name}/{name}.jpg"} and rows[f"{name}/{name}.jpg"].label == name
    with open(tmp_path / "out" / "manifest.csv", newline="") as handle:
        cells = [cell for row in csv.reader(handle) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
