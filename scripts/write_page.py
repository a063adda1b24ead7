"""Write the page `report.html`: the entry point of the rule `write_page`."""

import json
from pathlib import Path

import pandas

from vitbench import tables
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.present.page import document

# Tables that only the published numbers have: what the rule calls them.
PUBLISHED = ("claims", "figures", "hardware", "repeats")


def main(paths: dict[str, str], pictures: list[str], out: str) -> None:
    """Read the tables and write the page.

    Args:
        paths: context, and the tables by name; of what was measured `grid` and `checks`, with the published runs as
            `published` where the article's ratio stands beside ours; PUBLISHED of the published numbers.
        pictures: the published figures, drawn (png).
    """
    context = tables.read_context(paths["context"])
    names = {name: "best_batch_size" if name == "best" else name for name in paths}
    read = {name: tables.read(paths[name], table) for name, table in names.items() if table in tables.COLUMNS}
    if "grid" in paths:
        grid, checks = (json.loads(Path(paths[name]).read_text(encoding="utf-8")) for name in ("grid", "checks"))
        published = Path(paths["published"]) if "published" in paths else None
        page = document.of_measured(read, context, grid, checks, Path(), published)
    else:
        read |= {name: pandas.read_csv(paths[name], dtype=str, keep_default_na=False) for name in PUBLISHED}
        page = document.of_published(read, context, [Path(picture) for picture in pictures])
    write_atomically(Path(out), page)


if __name__ == "__main__":
    other = ("lib", "templates", "pictures")
    run_logged(
        snakemake.log[0],
        main,
        {name: path for name, path in snakemake.input.items() if name not in other},
        list(snakemake.input.get("pictures", [])),
        snakemake.output[0],
    )
