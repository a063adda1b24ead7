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
from PIL import ImageCms, ImageOps, JpegImagePlugin
from test_datasets import encoded, picture
from test_path_lists import parquet

from vitbench.errors import UserError
from vitbench.inputs import datasets, images, jpeg, sources
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


def photograph(**options) -> bytes:
    """Not of one colour, so that a confusion of colours shows."""
    return encoded(
        Pillow.merge(
            "RGB", [Pillow.linear_gradient("L"), Pillow.linear_gradient("L").rotate(90), Pillow.radial_gradient("L")]
        ),
        **options,
    )


def with_marker(content: bytes, kind: int, data: bytes) -> bytes:
    """A JPEG with one more segment at its begin."""
    return content[:2] + bytes([0xFF, kind]) + (len(data) + 2).to_bytes(2, "big") + data + content[2:]


def without_marker(content: bytes, kind: int) -> bytes:
    place = content.index(bytes([0xFF, kind]))
    return content[:place] + content[place + 2 + int.from_bytes(content[place + 2 : place + 4], "big") :]


def with_ids(content: bytes, ids: bytes) -> bytes:
    """A baseline JPEG whose components bear other numbers."""
    changed = bytearray(content)
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    for number, one in enumerate(ids):
        changed[frame + 10 + 3 * number] = changed[scan + 5 + 2 * number] = one
    return bytes(changed)


def broken_code() -> bytes:
    """A JPEG with a marker in the middle of its data, from which decoders go on, each in its own way."""
    content = photograph(quality=95)
    middle = len(content) * 3 // 4
    return content[:middle] + b"\xff\xd3" + content[middle:]


def oriented(form: str, value: object, **options) -> bytes:
    """A picture whose EXIF says so of how it lies."""
    exif = Pillow.Exif()
    exif[images.ORIENTATION] = value
    return encoded(picture(), form, exif=exif, **options)


def rational_orientation() -> bytes:
    """A JPEG with the orientation 1/0, of a type that it may not have."""
    entry = struct.pack("<HHIII", images.ORIENTATION, 5, 1, 26, 0)[:12]
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<III", 0, 1, 0)
    return with_marker(encoded(picture()), 0xE1, b"Exif\0\0" + tiff)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(content: bytes, one: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return content[:33] + one + content[33:]


def flipped(content: bytes, name: bytes) -> bytes:
    """A PNG with a bit turned inside the chunk of that name."""
    changed = bytearray(content)
    changed[content.index(name) + 10] ^= 1
    return bytes(changed)


NOISE = bytes(range(256)) * 2
PNG = encoded(picture(), "PNG")
# What used to be refused, or handed out as it is, although no decoder has trouble with its pixels → what is said of it.
ODD = {
    "damaged profile.jpg": (encoded(picture(), icc_profile=NOISE), "JPEG, damaged colour profile"),
    "damaged profile.png": (encoded(picture(), "PNG", icc_profile=NOISE), "PNG, damaged colour profile"),
    "damaged profile.webp": (encoded(picture(), "WEBP", icc_profile=NOISE), "WEBP, damaged colour profile"),
    "damaged profile.tif": (encoded(picture(), "TIFF", icc_profile=NOISE), "TIFF, damaged colour profile"),
    "flipped profile.png": (flipped(encoded(picture(), "PNG", icc_profile=PROFILE), b"iCCP"), "PNG"),
    "damaged EXIF.jpg": (
        with_marker(encoded(picture(), dpi=(72, 72)), 0xE1, b"Exif\0\0" + NOISE),
        "JPEG, damaged EXIF",
    ),
    "damaged EXIF.png": (with_chunk(PNG, chunk(b"eXIf", NOISE)), "PNG, damaged EXIF"),
    "flipped EXIF.png": (flipped(oriented("PNG", 1), b"eXIf"), "PNG"),
    "damaged EXIF.webp": (encoded(picture(), "WEBP", exif=b"Exif\0\0" + NOISE), "WEBP, damaged EXIF"),
    "orientation 0.jpg": (oriented("JPEG", 0), ""),
    "orientation 99.jpg": (oriented("JPEG", 99), ""),
    "orientation 99.png": (oriented("PNG", 99), "PNG"),
    "orientation 1 of 0.jpg": (rational_orientation(), ""),
    "text.png": (with_chunk(PNG, chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"a" * 2_000_000))), "PNG"),
    "ids from 0.jpg": (
        with_ids(without_marker(photograph(subsampling=0), 0xE0), b"\0\1\2"),
        "JPEG, unusual component ids",
    ),
    "ids of RGB.jpg": (with_ids(photograph(), b"RGB"), "JPEG, unusual component ids"),
    "broken code.jpg": (broken_code(), "JPEG, damaged"),
    "no end.jpg": (photograph()[:-2] + b"\xff\xfe\0\2\xff\xd9", ""),
    "no transform.jpg": (with_marker(encoded(picture()), 0xEE, b"Adobe\0d" + bytes(5)), "JPEG, untransformed"),
    "wide.jpg": (encoded(picture(size=(40_000, 2))), "JPEG, a side above 32767 pixels"),
    "high.png": (encoded(picture(size=(3, 32_768)), "PNG"), "PNG, a side above 32767 pixels"),
}
# Formats that are not opened, whatever the file is called.
UNLISTED = {
    "EPS": encoded(picture(), "EPS"),
    "damaged EPS": encoded(picture(), "EPS")[:-200],
    "DDS": encoded(picture(), "DDS"),
    "BLP": encoded(picture().quantize(16), "BLP"),
    "ICO": encoded(picture(), "ICO"),
    "PDF": encoded(picture(), "PDF"),
    "PCX": encoded(picture(), "PCX"),
    "SGI": encoded(picture(), "SGI"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_beside_the_pixels_is_damaged_or_odd_costs_no_image(name):
    content, form = ODD[name]
    taken = take(content)
    assert taken.form == form and (taken.rendered is None) == (form == "")
    # Pillow itself gives up a PNG of which one bit is turned.
    sound = PNG if name.startswith("flipped") else content
    with Pillow.open(io.BytesIO(taken.rendered or content)) as image, Pillow.open(io.BytesIO(sound)) as given:
        assert image.mode == "RGB" and max(image.size) <= images.MOST_SIDE
        assert not form or not image.info.keys() & {"icc_profile", "exif", "workflow"}
        if given.size == image.size:
            difference = numpy.asarray(image).astype(int) - numpy.asarray(given.convert("RGB"))
            assert abs(difference).mean() < 3
        assert image.width * given.height == pytest.approx(image.height * given.width, rel=0.4)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("marker", ["JFIF", "EXIF", "Adobe", "none"])
def test_photographs_as_cameras_write_them_are_plain(subsampling, progressive, marker):
    content = photograph(subsampling=subsampling, progressive=progressive)
    if marker != "JFIF":
        content = without_marker(content, 0xE0)
    if marker == "EXIF":
        content = with_marker(content, 0xE1, Pillow.Exif().tobytes())
    if marker == "Adobe":
        content = with_marker(content, 0xEE, b"Adobe\0d\0\0\0\0\1")
    assert take(content).form == ""


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (0xC0, []), (0xC1, []), (0xC2, ["damaged"]), (0xC5, ["unusual header"]), (0xC3, ["lossless"]),
        (0xC7, ["lossless"]), (0xCB, ["lossless"]), (0xC9, ["arithmetic coding"]), (0xCA, ["arithmetic coding"]),
    ],
)  # fmt: skip
def test_only_huffman_coding_in_one_piece_is_plain(frame, found):
    content = photograph().replace(b"\xff\xc0", bytes([0xFF, frame]), 1)
    assert jpeg.peculiarities(content) == found


@pytest.mark.parametrize(
    ("sampling", "plain"), [(0x11, True), (0x21, True), (0x22, True), (0x12, False), (0x41, False)]
)
def test_rare_sampling_is_not_plain(sampling, plain):
    content = bytearray(photograph())
    content[content.index(b"\xff\xc0") + 11] = sampling
    assert ("unusual sampling" not in jpeg.peculiarities(bytes(content))) == plain


@pytest.mark.parametrize("quality", range(1, 101, 3))
def test_quantisation_of_any_quality_is_plain_and_a_damaged_step_of_it_is_not(quality):
    content = bytearray(photograph(quality=quality))
    assert jpeg.peculiarities(bytes(content)) == []
    step = content.index(b"\xff\xdb") + 5 + 9
    content[step] = 1 if content[step] > 40 else 240
    assert jpeg.peculiarities(bytes(content)) == ["unusual quantisation"]


@pytest.mark.parametrize("name", UNLISTED)
def test_only_listed_formats_are_opened_whatever_the_file_is_called(name, tmp_path):
    user = put(tmp_path / "user", {"good.jpg": encoded(picture()), "photo.jpg": UNLISTED[name]})
    rows = build(tmp_path, {"kind": "folder", "folder": str(user)})
    reason = rows["photo.jpg"].reason
    assert reason.startswith("not an image that can be decoded")
    assert name in ("PCX", "SGI") or f"{name.split()[-1]}, which is not read" in reason


def test_what_is_too_long_is_not_fed_raw():
    with pytest.raises(Rejected, match="a side of 40,000 pixels"):
        take(ODD["wide.jpg"][0], raw=True)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError,
        NotImplementedError,
        struct.error,
        zlib.error,
        OverflowError,
        MemoryError,
        SyntaxError,
        AssertionError,
        subprocess.CalledProcessError,
    ],
)
@pytest.mark.parametrize("of", ["PIL.SomePlugin", "vitbench.inputs.images"])
def test_whatever_pillow_raises_is_a_reason_and_a_mistake_of_our_own_is_none(monkeypatch, error, of):
    raised = error(1, "gs") if error is subprocess.CalledProcessError else error("what it\nis")
    module = {"__name__": of, "error": raised}
    exec("def load(*_):\n    raise error", module)
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", module["load"])
    expected = Rejected if of.startswith("PIL") else error
    with pytest.raises(expected) as caught:
        take(encoded(picture()))
    assert caught.type is expected and (expected is error or "\n" not in str(caught.value))


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
    monkeypatch.setattr(sources, "MOST_BYTES", 10_000)
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


# --- how much may be refused


def half_bad(tmp_path: Path) -> str:
    files = {f"{number}.jpg": encoded(picture(size=(20 + number, 30))) for number in range(10)}
    bad = {"a.jpg": b"", "b.jpg": b"", "c.jpg": b"text", "d.jpg": UNLISTED["EPS"], "e.jpg": encoded(picture())[:300]}
    return str(put(tmp_path / "user", files | bad))


def test_a_data_set_ends_where_more_is_refused_than_it_allows_and_says_how_many_and_why(tmp_path):
    definition = {"kind": "folder", "folder": half_bad(tmp_path)}
    for allowed in ({}, {"most_refused": 1}, {"most_refused": 5 / 15}):
        assert len(build(tmp_path, definition | allowed)) == 15
    with pytest.raises(UserError) as caught:
        datasets.build(definition | {"most_refused": 0.3}, "full", tmp_path / "other")
    line = str(caught.value)
    assert "5 of 15 files were refused" in line and "allows 0.3" in line and "2 × empty file (first: 'a.jpg')" in line
    assert line.count("×") == 3 and "1 more reason" in line and "\n" not in line
    assert not (tmp_path / "other").exists()


def test_where_nothing_may_be_refused_a_sound_data_set_is_made(tmp_path):
    user = put(tmp_path / "user", {"a.jpg": encoded(picture())})
    assert build(tmp_path, {"kind": "folder", "folder": str(user), "most_refused": 0})["a.jpg"].valid


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(orientation):
    picture = Pillow.fromarray(numpy.arange(18, dtype="uint8").reshape(2, 3, 3) * 14)
    exif, file = Pillow.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    picture.save(file, "PNG", exif=exif)
    with Pillow.open(io.BytesIO(images.take(file.getvalue()).rendered)) as shown:
        assert numpy.array_equal(numpy.asarray(shown), numpy.asarray(ImageOps.exif_transpose(Pillow.open(file))))


def test_of_sixteen_bits_the_high_ones_are_shown():
    file = io.BytesIO()
    Pillow.fromarray(numpy.array([[0x12FE, 0xAB01]], dtype="uint16")).save(file, "PNG")
    with Pillow.open(io.BytesIO(images.take(file.getvalue()).rendered)) as shown:
        assert numpy.asarray(shown)[0, :, 0].tolist() == [0x12, 0xAB]
