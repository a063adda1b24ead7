"""Open pages that were drawn in a headless Chromium: none may complain, ask for anything, or keep people out.

    python tests/open_pages.py reports/published/report.html reports/campaigns/*/report.html

`.ci/run` does so with the published figures and every campaign. VITBENCH_AXE says where axe.min.js of axe-core lies.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import browser

# A telephone's, a tablet's and a screen's.
WIDTHS = (390, 820, 1400)


def problems(chromium: browser.Browser, file: Path, axe: Path, width: int) -> list[str]:
    """What a page of this width does that it should not, a line each."""
    page = chromium.open(file, width=width)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    told = [*page.complaints(), *(f"asks for {one}" for one in page.requests())]
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        told.append("is wider than the window")
    return [f"{file} at {width} pixels: {one}" for one in (*told, *page.kept_out(axe))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    files = parser.parse_args().files
    axe = Path(os.environ["VITBENCH_AXE"])
    with tempfile.TemporaryDirectory() as profile, browser.running(Path(profile)) as chromium:
        found = [line for file in files for width in WIDTHS for line in problems(chromium, file.resolve(), axe, width)]
    print(*found, f"{len(files)} pages opened at {len(WIDTHS)} widths, {len(found)} problems", sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
