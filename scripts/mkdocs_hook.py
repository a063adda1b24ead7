"""What MkDocs is told beside mkdocs.yml: pages that lie outside docs/, a page a campaign, and where links lead.

The repository and the site show the same files, so links are written for the repository, and changed here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

HOME = Path(__file__).parents[1]
# Place in the site → file of the checkout; every other page is docs/<place>.
OUTSIDE = {
    "index.md": "README.md",
    "reference_configuration.md": "config/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
LINK = re.compile(r"(?P<text>\[[^\]\[]*\]|\[!\[[^\]]*\]\([^)]*\)\])\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
FOUND = "What was found"


def on_config(config: Any) -> Any:
    """Put the page of each campaign into the navigation."""
    names = sorted(path.name for path in (HOME / "resources" / "campaigns").iterdir() if path.is_dir())
    for section in config.nav:
        if isinstance(section, dict) and FOUND in section:
            section[FOUND] = [f"{name}.md" for name in names]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside docs/."""
    from mkdocs.structure.files import File

    for place, source in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(HOME / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Make the links of the repository those of the site."""
    return relinked(markdown, page.file.src_uri)


def relinked(markdown: str, place: str) -> str:
    """The text of the page at `place` in the site, its links leading within the site.

    Of a link to a file of the checkout that is no part of the site only the text stays. One that leads nowhere is left
    as it is, for MkDocs to complain of.
    """
    folder = PurePosixPath(OUTSIDE.get(place, f"docs/{place}")).parent
    inside = {source: site for site, source in OUTSIDE.items()}

    def changed(link: re.Match[str]) -> str:
        target = os.path.normpath(folder / link["target"])
        if target in inside:
            there = inside[target]
        elif target.startswith("docs/") and (HOME / target).is_file():
            there = target.removeprefix("docs/")
        elif (HOME / target).exists():
            return link["text"].strip("[]")
        else:
            return link[0]
        return f"{link['text']}({os.path.relpath(there, PurePosixPath(place).parent)}{link['anchor'] or ''})"

    return LINK.sub(changed, markdown)
