"""Pages written from example tables by the entry point of the rule, for the tests of the page."""

from __future__ import annotations

import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import example_tables
import write_page
from example_tables import Tables, typed
from PIL import Image

from vitbench import tables
from vitbench.analysis.batches import effective_batches
from vitbench.analysis.break_even import break_even
from vitbench.analysis.stages import slowest
from vitbench.analysis.summary import time_budget
from vitbench.files import HOME, sha256

SLUGS = {"sample": "sample-photos-32-aaaaaaaa", "full": "full-photos-48-bbbbbbbb"}
EVIL = "<script>alert('planted')</script>"
# Tables that have rows where data sets of several sizes, or several numbers of workers, were measured, and the cost.
SIZES = ("data_set_sizes", "total_time", "scaling", "scaling_fits", "cost")
VOID = {"meta", "link", "img", "input", "br", "wbr"}


def disagreement(**changes) -> dict:
    """A row of the table: one image of the full set, two answers."""
    row = {"dataset": "full", "baseline": "huggingface/pipeline/cpu/w1/bs8", "image": "000001", "blocks": 3,
           "candidate": "sparknlp/tensorflow/cpu/w1/bs16", "path": "images/000001.jpg", "sha256": "0" * 64,
           "file": "cat.png", "label": "cat", "baseline_label": "cat", "candidate_label": "dog",
           "baseline_score": 0.51, "candidate_score": 0.5}  # fmt: skip
    return row | changes


def replicated(**changes) -> dict:
    """A row of the table `replication` that we measured, too."""
    row = dict.fromkeys(tables.COLUMNS["replication"]) | {
        "kind": "framework against framework", "part": "2", "environment": "one Databricks node", "dataset": "full",
        "baseline": "huggingface/pipeline/cpu/w1", "candidate": "sparknlp/tensorflow/cpu/w1", "published": 1.15,
        "published_low": 1.1, "published_high": 1.2, "ours": 1.5, "ours_low": 1.4, "ours_high": 1.6, "blocks": 5,
        "our_verdict": "faster", "verdict": "agrees", "our_baseline": "huggingface/pipeline/cpu/w1/bs8",
        "our_candidate": "sparknlp/tensorflow/cpu/w1/bs16",
    }  # fmt: skip
    return row | changes


def write(folder: Path, run: Tables, published: bool = False, checks: dict | None = None, **more: list[dict]) -> Path:
    """Write the page of these tables in `folder`, which is its working directory, too; its path.

    `checks`: what the record checker found, where that is not nothing; `more`: rows of further tables, by their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = run.write(folder)
    derived = {
        "stages": example_tables.stages(run),
        "physics": example_tables.physics(run),
        "slowest_stage": slowest(example_tables.stages(run), example_tables.physics(run)),
        "break_even": break_even(run.runs, run.parity, run.speedup),
        "effective_batches": effective_batches(run.runs),
        "time_budget": time_budget(run.runs.assign(set_aside_seconds=0.0, quiet_seconds=1.0)),
        "images": typed(
            [{"dataset": "full", "name": "photos-48", "used": True, "what": "JPEG", "images": 48}], "images"
        ),
    } | {name: typed(more.get(name, []), name) for name in ("disagreements", "replication", *SIZES)}
    derived |= {name: typed(rows, name) for name, rows in more.items()}
    for name, table in derived.items():
        paths[name] = folder / f"{name}.csv"
        paths[name].write_text(tables.as_csv(table))
    paths["grid"] = folder / "grid.json"
    paths["grid"].write_text(json.dumps({"datasets": {role: {"slug": slug} for role, slug in SLUGS.items()}}))
    found = {"records": "9 records", "reasons": [], "made": ["schema", "paths"], "not_made": []} | (checks or {})
    paths["checks"] = folder / "checks.json"
    paths["checks"].write_text(json.dumps(found))
    if published:
        paths["published"] = HOME / "resources/published/runs.csv"
    write_page.main({name: str(path) for name, path in paths.items()}, [], str(folder / "report.html"))
    return folder / "report.html"


def photograph(folder: Path, name: str = "000001.jpg") -> dict:
    """Make an image of the full set in the working directory; what the table says of it."""
    path = folder / "resources/datasets" / SLUGS["full"] / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (400, 300), (200, 60, 20)).save(path)
    return {"path": f"images/{name}", "sha256": sha256(path)}


class Node:
    """An element of a page: its tag, attributes, children and text."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes, self.children, self.texts = tag, attributes, [], []

    def all(self, *tags: str) -> list[Node]:
        """Every element below with one of these tags, in the order of the page."""
        found = []
        for child in self.children:
            found += [child] if child.tag in tags or not tags else []
            found += child.all(*tags)
        return found

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.texts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]
        self.unbalanced: list[str] = []

    def handle_starttag(self, tag, attributes):
        node = Node(tag, dict(attributes))
        self.open[-1].children.append(node)
        self.open[-1].texts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attributes):
        node = Node(tag, dict(attributes))
        self.open[-1].children.append(node)

    def handle_endtag(self, tag):
        if self.open[-1].tag != tag:
            self.unbalanced.append(f"</{tag}> closes <{self.open[-1].tag}>")
        else:
            self.open.pop()

    def handle_data(self, data):
        self.open[-1].texts.append(data)


@cache
def parsed(html: str) -> Node:
    """The page as a tree, to be read only; raises AssertionError where an element is not closed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.unbalanced and reader.open == [reader.root], reader.unbalanced or reader.open[-1].tag
    return reader.root


def barriers(root: Node) -> list[str]:
    """What stands between the page and a reader who cannot see it or has no mouse, of what its structure tells."""
    found = []
    html = root.all("html")[0]
    if not html.attributes.get("lang"):
        found.append("no language")
    for landmark in ("header", "nav", "main", "footer"):
        if len(root.all(landmark)) != 1:
            found.append(f"{len(root.all(landmark))} <{landmark}>")
    levels = [int(node.tag[1]) for node in root.all("h1", "h2", "h3", "h4")]
    if levels.count(1) != 1:
        found.append("not one h1")
    in_main = [int(node.tag[1]) for node in root.all("main")[0].all("h1", "h2", "h3", "h4")]
    found += [f"h{one} after h{before}" for before, one in zip(in_main, in_main[1:], strict=False) if one > before + 1]
    identities = [node.attributes["id"] for node in root.all() if "id" in node.attributes]
    found += [f"two elements are called {one}" for one in set(identities) if identities.count(one) > 1]
    for node in root.all("a"):
        target = node.attributes["href"]
        if target.startswith("#") and target[1:] not in identities:
            found.append(f"link to {target}, which is not there")
    for node in root.all():
        for name in ("aria-labelledby", "aria-describedby"):
            if name in node.attributes and node.attributes[name] not in identities:
                found.append(f"{name} {node.attributes[name]}")
    first = next((node for node in root.all("body")[0].all("a", "button", "input")), None)
    if first is None or "skip" not in first.attributes.get("class", ""):
        found.append("the first thing to reach is no skip link")
    found += ["image without words" for node in root.all("img") if not node.attributes.get("alt")]
    within = {id(inner) for node in root.all("svg") for inner in node.all("svg")}
    for node in root.all("svg"):
        told = node.attributes.get("aria-hidden") == "true" or node.attributes.get("aria-label")
        if id(node) not in within and not told:
            found.append("drawing without words")
    for table in root.all("table"):
        if not table.all("caption") or not table.all("caption")[0].text.strip():
            found.append("table without caption")
        found += [f"heading without scope: {head.text}" for head in table.all("th") if not head.attributes.get("scope")]
    labelled = {id(field) for label in root.all("label") if label.text.strip() for field in label.all("input")}
    found += ["field without label" for node in root.all("input") if id(node) not in labelled]
    found += ["button without words" for node in root.all("button") if not node.text.strip()]
    return found
