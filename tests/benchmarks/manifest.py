"""How long a data set of 34,745 JPEG takes to be opened, checked and listed; prints seconds and images a second.

`python tests/benchmarks/manifest.py [--images 34745] [--folder /tmp/…]`. The photographs are crops as in photos-N, each
of 1,000 written many times with another comment in it, so that no two files are equal: to decode they cost the same.
The second time shown is that of the same once more, with all files in the page cache. Takes minutes and 2 GB: no test.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from vitbench.inputs import datasets, photographs  # noqa: E402
from vitbench.machine import cores, describe  # noqa: E402

DISTINCT = 1000


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture with a comment after its first marker."""
    comment = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def generate(folder: Path, images: int) -> None:
    """Write so many JPEG in folders by label."""
    crops = list(photographs.crops(min(DISTINCT, images), 1, "full"))
    for number in range(images):
        crop = crops[number % len(crops)]
        target = folder / crop.label / f"{number:06d}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(with_comment(crop.jpeg, str(number)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=34_745)
    parser.add_argument("--folder", type=Path, help="where to write; removed at the end (default: the system's own)")
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="vitbench-", dir=asked.folder))
    try:
        generate(work / "photographs", asked.images)
        size = sum(path.stat().st_size for path in (work / "photographs").rglob("*.JPEG"))
        print(f"{describe()}; {asked.images} JPEG, {size / 1e9:.2f} GB", flush=True)
        definition = {"kind": "folder", "folder": str(work / "photographs")}
        for _ in range(2):
            began = time.monotonic()
            found = datasets.build(definition, "full", work / "out", processes=cores())
            seconds = time.monotonic() - began
            valid = sum(image.valid for image in found)
            print(f"{seconds:.1f} s, {valid / seconds:.0f} images/s on {cores()} cores, {valid} valid", flush=True)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
