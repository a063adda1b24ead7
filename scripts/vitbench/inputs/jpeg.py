"""What the header of a JPEG says of how it is coded, and whether all decoders read that alike.

The decoders are Pillow's libjpeg-turbo and Java's ImageIO (an old libjpeg with rules of its own for colours). What both
are known to read alike is listed here; anything else is a peculiarity, and such a file is rendered.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

START_OF_SCAN = 0xDA
# Markers that stand alone, without a length: TEM, RST0 to RST7, SOI.
ALONE = {0x01, *range(0xD0, 0xD9)}
# Start of frame, whose low digits are the process (ITU-T T.81, table B.1); C4, C8 and CC are tables.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PLAIN_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended sequential, progressive, all in Huffman coding
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
# Sampling factors of luminance, where both chrominances have 1 x 1.
PLAIN_SAMPLING = {(1, 1), (2, 1), (2, 2)}
# Of one quantisation step to the next in zigzag order, as a factor; those of Annex K and of cameras stay below 3.
MOST_JUMP = 4
# Of Y, Cb and Cr, as JFIF has them.
USUAL_IDS = (1, 2, 3)


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, what follows its length) of each segment before the first scan; ends early where a header is broken."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF or marker in ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == START_OF_SCAN:
            return
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        yield marker, content[place + 4 : place + 2 + length]
        place += 2 + max(2, length)


def peculiarities(content: bytes) -> list[str]:
    """What is not plain about a JPEG in colour, in words for people; nothing where all decoders give the same pixels.

    Args:
        content: the file, of three components (YCbCr or RGB) by what its decoder says.
    """
    marker, frame, transform, steps = 0, b"", 1, b""
    for kind, data in segments(content):
        if kind in FRAMES:
            marker, frame = kind, data
        elif kind == 0xDB:
            steps += data
        elif kind == 0xEE and data[:5] == b"Adobe" and len(data) >= 12:
            transform = data[11]
    if marker not in PLAIN_FRAMES or len(frame) < 15 or frame[0] != 8 or frame[5] != 3:
        return ["lossless" if marker in LOSSLESS else "arithmetic coding" if marker > 0xC8 else "unusual header"]
    found = []
    if transform != 1:
        found.append("untransformed")
    # Java takes other ids for RGB where neither JFIF nor Adobe's marker says more, and its versions differ in EXIF.
    if tuple(frame[6:15:3]) != USUAL_IDS:
        found.append("unusual component ids")
    luminance, *others = (divmod(factors, 16) for factors in frame[7:15:3])
    if luminance not in PLAIN_SAMPLING or others != [(1, 1), (1, 1)]:
        found.append("unusual sampling")
    if not _are_usual(steps):
        found.append("unusual quantisation")
    return found or ([] if _is_sound(content) else ["damaged"])


# A camera or library writes the same tables again and again.
@lru_cache(1000)
def _are_usual(tables: bytes) -> bool:
    """Whether quantisation tables are as encoders write them: 8 bits, each step near those beside it.

    A damaged step makes values overflow, which no decoder warns of and each computes in its own way.
    """
    for begin in range(0, len(tables), 65):
        number, steps = tables[begin], tables[begin + 1 : begin + 65]
        if number > 3 or len(steps) < 64:
            return False
        if any(max(pair) > MOST_JUMP * min(pair) + MOST_JUMP for pair in zip(steps, steps[1:], strict=False)):
            return False
    return True


def _is_sound(content: bytes) -> bool:
    """Whether the compressed data is decoded to its end without a single warning.

    Where a code is broken, each decoder guesses in its own way, or gives up. Pillow does not tell of such warnings.
    """
    import simplejpeg

    try:
        # All of the data is read for a picture of an eighth of the size too, in a third of the time.
        simplejpeg.decode_jpeg(content, colorspace="GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError:
        return False
    return True
