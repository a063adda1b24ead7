"""Data sets made from real files, good and bad."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import numpy
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from vitbench.errors import UserError
from vitbench.inputs import datasets, photographs

PHOTOS = {"kind": "photos", "images": 23, "seed": 1}


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Pillow.Image:
    """Red left half, blue right half."""
    image = Pillow.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def encoded(image: Pillow.Image, form: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def built(tmp_path: Path, files: dict[str, bytes], **definition) -> dict[str, datasets.Image]:
    """Build a data set from files in a user's folder; rows by source."""
    for name, content in files.items():
        path = tmp_path / "user" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    definition = {"kind": "folder", "folder": str(tmp_path / "user")} | definition
    datasets.build(definition, "full", tmp_path / "out")
    return {image.source: image for image in datasets.read_manifest(tmp_path / "out" / "manifest.csv")}


def opened(tmp_path: Path, image: datasets.Image) -> Pillow.Image:
    with Pillow.open(tmp_path / "out" / image.path) as file:
        file.load()
        return file


@pytest.mark.parametrize(
    ("number", "word"),
    [
        *((number, None) for number in (errno.ESTALE, errno.EMFILE, errno.ENOTCONN)),
        (errno.EACCES, "denied"),
        (errno.EIO, "error"),
    ],
)
def test_what_one_file_is_at_fault_for_and_what_all_lie_on(tmp_path, monkeypatch, number, word):
    """A file that may not be read is left out; a network or a process that fails says nothing of any file."""
    read_bytes = Path.read_bytes

    def read(path):
        if path.name == "b.jpg":
            raise OSError(number, os.strerror(number), str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    files = {"a.jpg": encoded(picture()), "b.jpg": encoded(picture())}
    if word is None:
        with pytest.raises(UserError, match="b.jpg cannot be read .*which is not the file's fault"):
            built(tmp_path, files)
        assert not (tmp_path / "out").exists()
    else:
        rows = built(tmp_path, files)
        assert rows["a.jpg"].valid and not rows["b.jpg"].valid and word in rows["b.jpg"].reason.lower()


def test_photos_are_what_the_manifest_says(tmp_path):
    returned = datasets.build(PHOTOS, "full", tmp_path / "out")
    images = datasets.valid_images(tmp_path / "out" / "manifest.csv")
    assert images == returned
    assert [image.id for image in images] == [f"{number:06d}" for number in range(1, 24)]
    assert sorted(os.listdir(tmp_path / "out" / "images")) == [f"{image.id}.jpg" for image in images]
    for image in images:
        content = (tmp_path / "out" / image.path).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (image.sha256, image.size)
        file = opened(tmp_path, image)
        assert (file.format, file.mode) == ("JPEG", "RGB")
        assert min(file.size) >= 300 and max(file.size) <= 800


def test_photos_of_the_same_definition_are_the_same_bytes_and_fewer_are_a_prefix(tmp_path):
    first = datasets.build(PHOTOS, "full", tmp_path / "a")
    assert datasets.build(PHOTOS, "full", tmp_path / "b") == first
    assert (tmp_path / "a/manifest.csv").read_bytes() == (tmp_path / "b/manifest.csv").read_bytes()
    assert datasets.build(PHOTOS | {"images": 5}, "full", tmp_path / "c") == first[:5]


def roughness(path: Path) -> float:
    """Mean difference of neighbouring pixels, in grey levels."""
    with Pillow.open(path) as opened:
        return float(numpy.abs(numpy.diff(numpy.asarray(opened.convert("L"), dtype=float))).mean())


def test_large_photos_have_a_cameras_size_and_noise(tmp_path, monkeypatch):
    large = PHOTOS | {"megapixels": 0.3}
    found = datasets.build(large, "full", tmp_path / "large")
    assert datasets.build(large, "full", tmp_path / "again") == found
    assert all(image.valid and image.form == "" for image in found)
    shapes = set()
    for image in found:
        with Pillow.open(tmp_path / "large" / image.path) as opened:
            shapes.add(opened.size)
    assert shapes == {(632, 474), (474, 632)}
    monkeypatch.setattr(photographs, "GRAIN", 0)
    smooth = datasets.build(large, "full", tmp_path / "smooth")
    for image, other in zip(found, smooth, strict=True):
        assert roughness(tmp_path / "large" / image.path) > roughness(tmp_path / "smooth" / other.path) + 0.5
        assert image.size > other.size


def test_photos_of_other_roles_and_seeds_share_no_crop(tmp_path):
    roles = [("sample", 1), ("full", 1), ("fit", 1), ("heldout", 1), ("full", 2)]
    sets = [
        [image.sha256 for image in datasets.build(PHOTOS | {"seed": seed}, role, tmp_path / f"{role}{seed}")]
        for role, seed in roles
    ]
    everything = [digest for found in sets for digest in found]
    assert len(set(everything)) == len(everything) == len(roles) * 23


@pytest.mark.parametrize("images", [1, 10, 37])
def test_labels_of_photos_are_balanced(images):
    found = [crop.label for crop in photographs.crops(images, 1, "full")]
    counts = [found.count(label) for label in photographs.labels()]
    assert sum(counts) == images
    assert max(counts) - min(counts) <= 1


def test_a_missing_photograph_is_named(monkeypatch):
    monkeypatch.setitem(photographs.PHOTOGRAPHS, "cat", ("skimage", "data/no_such_cat.png"))
    with pytest.raises(UserError, match=r"'cat' is missing: data/no_such_cat.png of scikit-image"):
        photographs.photograph_path("cat")


def test_bad_files_are_rows_with_a_reason_and_no_image(tmp_path):
    whole = encoded(Pillow.effect_noise((80, 80), 90).convert("RGB"))
    damaged = bytearray(encoded(Pillow.effect_noise((80, 80), 90), "PNG"))
    damaged[len(damaged) // 2] ^= 255
    rows = built(
        tmp_path,
        {
            "good.jpg": whole,
            "truncated.jpg": whole[: len(whole) // 2],
            "empty.jpg": b"",
            "text.jpg": b"this is not an image",
            "page.png": b"<html>404</html>",
            "damaged.png": bytes(damaged),
            "float.tif": encoded(picture("F"), "TIFF"),
        },
    )
    bad = {source: image for source, image in rows.items() if not image.valid}
    assert set(rows) - set(bad) == {"good.jpg"}
    assert "truncated" in bad["truncated.jpg"].reason
    assert bad["empty.jpg"].reason == "empty file"
    assert bad["text.jpg"].reason == bad["page.png"].reason == "not an image that can be decoded"
    assert "floating-point" in bad["float.tif"].reason
    assert all(image.reason and image.path == "" for image in bad.values())
    assert bad["text.jpg"].sha256 == hashlib.sha256(b"this is not an image").hexdigest()
    assert os.listdir(tmp_path / "out" / "images") == [Path(rows["good.jpg"].path).name]


def test_a_plain_jpeg_is_linked_and_nothing_of_it_is_copied(tmp_path):
    rows = built(tmp_path, {"a.JPG": encoded(picture(), quality=71)})
    ours = tmp_path / "out" / rows["a.JPG"].path
    theirs = tmp_path / "user" / "a.JPG"
    assert ours.is_symlink() and ours.samefile(theirs) and ours.suffix == ".jpg"
    assert rows["a.JPG"].sha256 == hashlib.sha256(theirs.read_bytes()).hexdigest()
    assert rows["a.JPG"].form == ""


def test_other_modes_and_formats_become_plain_rgb(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # a camera held upright: to be shown rotated by 90 degrees clockwise
    clear = picture("RGBA")
    clear.paste((0, 255, 0, 0), (0, 0, 20, 30))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = Pillow.new("I;16", (40, 30), 200 * 256)
    rows = built(
        tmp_path,
        {
            "grey.jpg": encoded(picture("L")),
            "cmyk.jpg": encoded(picture("CMYK")),
            "rotated.jpg": encoded(picture(), exif=exif, quality=95, subsampling=0),
            "profile.jpg": encoded(picture(), icc_profile=profile),
            "alpha.png": encoded(clear, "PNG"),
            "palette.gif": encoded(picture("P"), "GIF"),
            "lossy.webp": encoded(picture(), "WEBP"),
            "deep.png": encoded(deep, "PNG"),
            "bitmap.bmp": encoded(picture("1"), "BMP"),
        },
    )
    assert all(image.valid for image in rows.values()), rows
    files = {source: opened(tmp_path, image) for source, image in rows.items()}
    assert {file.mode for file in files.values()} == {"RGB"}
    assert {source: file.format for source, file in files.items() if source.endswith(".jpg")} == dict.fromkeys(
        ["grey.jpg", "cmyk.jpg", "rotated.jpg", "profile.jpg"], "JPEG"
    )
    assert {Path(image.path).suffix for source, image in rows.items() if not source.endswith(".jpg")} == {".png"}
    assert not any(file.getexif() or file.info.get("icc_profile") for file in files.values())
    rotated = files["rotated.jpg"]
    assert rotated.size == (30, 40)
    assert rotated.getpixel((15, 5))[0] > 200 > 60 > rotated.getpixel((15, 5))[2]  # red, once left, is at the top
    assert rotated.getpixel((15, 35))[2] > 200
    assert files["alpha.png"].getpixel((5, 5)) == (255, 255, 255)
    assert files["alpha.png"].getpixel((35, 5)) == (0, 0, 255)
    assert files["deep.png"].getpixel((5, 5)) == (200, 200, 200)
    assert files["cmyk.jpg"].getpixel((5, 5))[0] > 200


def test_names_labels_and_order_survive_the_manifest(tmp_path):
    good = encoded(picture())
    names = ["Größe/ein Bild.jpg", "a,b/c\"d'.jpg", "line\nbreak/x\ny.jpg", "root.jpg", "deep/er/猫.jpeg"]
    rows = built(tmp_path, dict.fromkeys(names, good))
    assert set(rows) == set(names)
    assert {name: rows[name].label for name in names} == {
        names[0]: "Größe",
        names[1]: "a,b",
        names[2]: "line\nbreak",
        "root.jpg": "",
        names[4]: "deep/er",
    }
    assert [image.source for image in rows.values()] == sorted(names, key=lambda name: (tmp_path / name).parts)
    assert all(image.path == f"images/{image.id}.jpg" for image in rows.values())


def test_a_name_that_is_not_unicode_is_kept_readable(tmp_path):
    os.makedirs(tmp_path / "user")
    with open(os.fsencode(tmp_path / "user") + b"/caf\xe9.jpg", "wb") as handle:
        handle.write(encoded(picture()))
    assert set(built(tmp_path, {})) == {"caf\\udce9.jpg"}


def test_other_and_hidden_files_are_not_looked_at(tmp_path):
    good = encoded(picture())
    rows = built(tmp_path, {"a.jpg": good, "._a.jpg": good, ".cache/b.jpg": good, "notes.txt": b"x"})
    assert set(rows) == {"a.jpg"}


def test_the_users_folder_is_not_written_to(tmp_path):
    user = tmp_path / "user"
    user.mkdir()
    (user / "a.png").write_bytes(encoded(picture("RGBA"), "PNG"))
    (user / "b.jpg").write_bytes(b"bad")

    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) for path in user.iterdir()}

    before = state()
    built(tmp_path, {})
    assert state() == before


def test_a_draw_is_seeded_counts_valid_images_and_a_smaller_one_is_part_of_it(tmp_path):
    files = {f"{number:02d}.jpg": encoded(picture(size=(20 + number, 20))) for number in range(12)}
    files |= {f"bad{number}.jpg": b"bad" for number in range(12)}

    def drawn(images: int, seed: int, to: str) -> list[str]:
        definition = {"kind": "folder", "folder": str(tmp_path / "user"), "images": images, "seed": seed}
        return [image.source for image in datasets.build(definition, "sample", tmp_path / to) if image.valid]

    built(tmp_path, files)
    six = drawn(6, 1, "six")
    assert len(six) == 6
    assert drawn(6, 1, "again") == six
    assert drawn(6, 2, "other") != six
    assert drawn(3, 1, "three") == six[:3]
    with pytest.raises(UserError, match="holds 12 valid images, 13 were asked for"):
        drawn(13, 1, "many")


@pytest.mark.parametrize("definition", [{"kind": "archives"}, {}])
def test_an_unknown_kind_is_named_with_the_known_ones(tmp_path, definition):
    with pytest.raises(UserError, match="unknown kind .*photos, folder"):
        datasets.build(definition, "full", tmp_path / "out")


def test_a_folder_that_is_missing_or_holds_nothing_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        datasets.build({"kind": "folder", "folder": str(tmp_path / "nowhere")}, "full", tmp_path / "out")
    (tmp_path / "user").mkdir()
    with pytest.raises(UserError, match="no valid image in .*user; name another"):
        built(tmp_path, {})
    with pytest.raises(UserError, match=r"no valid image in .*1 looked at; the first: empty file"):
        built(tmp_path, {"a.jpg": b""})
    assert os.listdir(tmp_path) == ["user"]


def test_building_again_replaces_the_whole_data_set(tmp_path):
    datasets.build(PHOTOS, "full", tmp_path / "out")
    datasets.build(PHOTOS | {"images": 2}, "full", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out" / "images")) == ["000001.jpg", "000002.jpg"]
    assert len(datasets.read_manifest(tmp_path / "out" / "manifest.csv")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "not a manifest"),
        ("id,path\n", "not a manifest"),
        (",".join(datasets.COLUMNS) + "\n1,images/1.jpg\n", "broken row"),
        (",".join(datasets.COLUMNS) + "\n1,a.jpg,0,12,cat,yes,,a\n", "broken row"),
    ],
)
def test_what_is_no_manifest_is_said_in_one_line(tmp_path, text, message):
    path = tmp_path / "manifest.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        datasets.read_manifest(path)
    assert "\n" not in str(caught.value)
