"""Write the table of downloads in docs/first_run.md from envs/downloads.json, which `make lock` writes.

python scripts/describe_downloads.py            # writes it; a test fails while it is behind
"""

from __future__ import annotations

import json

from vitbench.errors import exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.markdown import filled

DOCUMENT, SIZES = HOME / "docs" / "first_run.md", HOME / "envs" / "downloads.json"
# macOS on Intel has no locked environment.
PLATFORMS = {"linux-x86_64": "Linux x86-64", "linux-arm64": "Linux arm64", "macosx-arm64": "macOS arm64"}
PARTS = {
    "default": "Python packages (the torch wheels of PyPI for Linux bring CUDA)",
    "tensorflow-export": "packages that export to TensorFlow",
    "tensorflow-cpu": "jars of Spark NLP with TensorFlow",
    "onnx-cpu": "jars of Spark NLP with ONNX, if asked for",
    "tensorflow-gpu": "jars with TensorFlow for a GPU, if asked for",
    "onnx-gpu": "jars with ONNX for a GPU, if asked for",
}


def size(bytes_: int | None) -> str:
    """A size for people, in powers of ten; "none" where a platform has no such part."""
    if bytes_ is None:
        return "none"
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"


def table(sizes: dict[str, dict]) -> str:
    """The table, a row a part, a column a platform."""
    lines = [f"| download, once | {' | '.join(PLATFORMS.values())} |", "| --- " * (1 + len(PLATFORMS)) + "|"]
    asked = {part: f"{found['title']}, if asked for" for part, found in sizes.items() if "title" in found}
    for part, words in (PARTS | asked).items():
        lines.append(f"| {words} | {' | '.join(size(sizes[part].get(platform)) for platform in PLATFORMS)} |")
    return "\n".join(lines) + "\n"


def describe() -> str:
    """The page with the table written anew."""
    sizes = json.loads(SIZES.read_text(encoding="utf-8"))
    return filled(DOCUMENT.read_text(encoding="utf-8"), "envs/downloads.json", lambda what: table(sizes))


def main() -> None:
    write_atomically(DOCUMENT, describe())


if __name__ == "__main__":
    exit_with_user_errors(main)
