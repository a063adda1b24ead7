"""Write docs/gallery.md: the published figures, as `snakemake published` has just drawn them, small to browse."""

from __future__ import annotations

from pathlib import Path

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.markdown import wrapped
from vitbench.present.page.pictures import small
from vitbench.series import published

FIGURES = Path("reports/published/figures")
DOCUMENT, PICTURES = HOME / "docs" / "gallery.md", HOME / "docs" / "images" / "published"
HEAD = "<!-- Written by scripts/write_gallery.py after `snakemake published`. -->\n"


def describe(figures: list[dict]) -> str:
    """The page: every figure of the series by part, those that cannot be drawn again with the reason."""
    drawn = sum(figure["chart"] != "none" for figure in figures)
    lines = [
        "# The figures of the series, drawn again",
        "",
        f"{drawn} charts from the published numbers, as `snakemake published` leaves them under "
        "`reports/published/figures/` (there in full size, png and svg).",
        "One run a cell, hardware as stated, labels not compared: [published.md](published.md) says what that means.",
    ]
    for part in dict.fromkeys(figure["part"] for figure in figures if figure["chart"] != "none"):
        lines += ["", f"## Part {part}", ""]
        lines += [
            f"![{figure['title']}](images/published/{figure['name']}.png)"
            for figure in figures
            if figure["part"] == part and figure["chart"] != "none"
        ]
    lines += ["", "## Not reproducible", "", "| figure | part | why |", "| --- | --- | --- |"]
    lines += [f"| {one['title']} | {one['part']} | {one['reason']} |" for one in figures if one["chart"] == "none"]
    return wrapped(HEAD + "\n".join(lines) + "\n")


def main() -> None:
    figures = published.read(HOME / "resources" / "published").figures
    for figure in figures:
        if figure["chart"] != "none":
            picture = FIGURES / f"{figure['name']}.png"
            if not picture.exists():
                raise UserError(f"{picture} is missing: run `snakemake published` here first")
            write_atomically(PICTURES / picture.name, small(picture))
    write_atomically(DOCUMENT, describe(figures))


if __name__ == "__main__":
    exit_with_user_errors(main)
