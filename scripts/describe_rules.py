"""Write docs/rules.md and docs/images/rules.svg: what each rule file says of itself, and which rule follows which.

The graph is what `snakemake --rulegraph` says of config/standard.yaml in an empty folder; it is drawn here, since
Graphviz is not everywhere.

python scripts/describe_rules.py            # writes both; a test fails while they are behind
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tempfile
from graphlib import CycleError, TopologicalSorter
from html import escape
from statistics import mean

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.present.markdown import wrapped

DOCUMENT, PICTURE = HOME / "docs" / "rules.md", HOME / "docs" / "images" / "rules.svg"
TARGETS = ("all", "published", "replication", "campaigns")
HEAD = """<!-- Written by scripts/describe_rules.py from rules/*.smk and `snakemake --rulegraph`. -->
# The rules

![The graph of the rules: what is made of what, from top to bottom](images/rules.svg)

An arrow leads from a rule to one that takes what it made; arrows that follow from others are left out. A dashed one
leads back up: full runs are measured with the batch size that is chosen from the measured sweep.
`snakemake --rulegraph` has all arrows. The configuration is `config/standard.yaml`; rules that it does not need
stand in the tables only. What an edit makes again: [reruns.md](reruns.md).
"""
# Sizes of the picture, in its own units.
WIDTH, HEIGHT, GAP, ROW, LETTER = 1180, 26, 14, 62, 6.4

Graph = dict[str, set[str]]


def rule_graph() -> Graph:
    """Rule → the rules that make what it takes, of everything that can be made; by the dot text of Snakemake.

    Raises:
        UserError: Snakemake says why it cannot tell.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(HOME / "Snakefile"), "--rulegraph", "dot"]
    command += ["--configfile", str(HOME / "config" / "standard.yaml"), "--config", "profile=true"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, "--", *TARGETS], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"snakemake --rulegraph failed: {done.stderr.strip().splitlines()[-1]}")
    return parsed(done.stdout)


def parsed(dot: str) -> Graph:
    """The graph in a text of dot: `0[label = "all", …];` and `1 -> 0`."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "([^"\\]+)', dot, re.MULTILINE))
    graph: Graph = {name: set() for name in names.values()}
    for maker, taker in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.MULTILINE):
        graph[names[taker]].add(names[maker])
    return graph


def without_circles(graph: Graph) -> tuple[Graph, Graph]:
    """The graph without the arrows that close a circle of rules (of jobs there is none), and these arrows."""
    straight = {rule: set(graph[rule]) for rule in sorted(graph)}
    back: Graph = {}
    while True:
        try:
            TopologicalSorter({rule: sorted(makers) for rule, makers in straight.items()}).prepare()
        except CycleError as error:
            circle = error.args[1]
            maker, taker = max(zip(circle, circle[1:], strict=False), key=lambda arrow: arrow[1])
            straight[taker].remove(maker)
            back.setdefault(taker, set()).add(maker)
        else:
            return straight, back


def reduced(graph: Graph) -> Graph:
    """A graph without circles, and without the arrows that follow from others."""
    above: Graph = {}
    for rule in TopologicalSorter(graph).static_order():
        above[rule] = graph[rule].union(*(above[maker] for maker in graph[rule]))
    return {
        rule: {one for one in makers if not any(one in above[other] for other in makers)}
        for rule, makers in graph.items()
    }


def width(rule: str) -> float:
    """Of a rule's box."""
    return LETTER * len(rule) + 2 * GAP


def fitting(row: list[str]) -> list[list[str]]:
    """A row, cut in pieces of about equal length where it is wider than the picture."""
    pieces = math.ceil(sum(width(rule) + GAP for rule in row) / WIDTH)
    length = math.ceil(len(row) / pieces)
    return [row[start : start + length] for start in range(0, len(row), length)]


def rows(graph: Graph) -> list[list[str]]:
    """The rules in rows, each below all that it follows, in an order that keeps arrows short."""
    depth: dict[str, int] = {}
    for rule in TopologicalSorter(graph).static_order():
        depth[rule] = 1 + max((depth[maker] for maker in graph[rule]), default=-1)
    found: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for rule in sorted(graph):
        found[depth[rule]].append(rule)
    place: dict[str, float] = {}
    for row in found:
        row.sort(key=lambda rule: mean([place[maker] for maker in graph[rule]] or [0.5]))
        for line in fitting(row):
            place |= {rule: (number + 1) / (len(line) + 1) for number, rule in enumerate(line)}
    return [line for row in found for line in fitting(row)]


def drawn(graph: Graph, back: Graph) -> str:
    """The graph as SVG, with the arrows `back` dashed. It is readable on white and on black."""
    boxes: dict[str, tuple[float, float, float]] = {}
    lines = rows(graph)
    for number, line in enumerate(lines):
        widths = [width(rule) for rule in line]
        room = (WIDTH - sum(widths)) / (len(line) + 1)
        left = room
        for rule, wide in zip(line, widths, strict=True):
            boxes[rule] = (left, GAP + number * ROW, wide)
            left += wide + room
    parts = []
    for taker in sorted(graph):
        for maker in sorted(graph[taker] | back.get(taker, set())):
            (left, top, wide), (to_left, to_top, to_width) = boxes[maker], boxes[taker]
            x, y, to_x, to_y = left + wide / 2, top + HEIGHT, to_left + to_width / 2, to_top
            dashed = ""
            if maker in back.get(taker, ()):  # from the side of one box to that of the other
                x, y, to_x, to_y = left, top + HEIGHT / 2, to_left, to_top + HEIGHT / 2
                dashed = ' stroke-dasharray="4 3"'
            bend = (to_y - y) / 2
            curve = f"M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}"
            parts.append(f'<path d="{curve}" marker-end="url(#tip)"{dashed}/>')
    for rule, (left, top, wide) in sorted(boxes.items()):
        middle = f'x="{left + wide / 2:.0f}" y="{top + HEIGHT / 2 + 4:.0f}"'
        parts.append(f'<rect x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{HEIGHT}" rx="5"/>')
        parts.append(f"<text {middle}>{escape(rule)}</text>")
    height = 2 * GAP + (len(lines) - 1) * ROW + HEIGHT
    style = (
        "path{fill:none;stroke:#888}rect{fill:#eef4fa;stroke:#0072b2}text{font:11px sans-serif;text-anchor:middle;"
        "fill:#111}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>The rules, and what follows what</title>",
            f"<style>{style}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<polygon points="0,0 8,4 0,8" fill="#888"/></marker></defs>',
            *parts,
            "</svg>\n",
        ]
    )


def contract(text: str) -> str:
    """What a rule file says of itself: the comment that it opens with; paths with a placeholder as code."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return re.sub(r"(?<!`)(\S*<\w+>\S*?)(?=[,.;:)]*(?:\s|$))", r"`\1`", " ".join(lines))


def rules_of(text: str, charts: list[str]) -> list[str]:
    """Names of the rules of a rule file, in its order; the one without a name is that of the `charts`."""
    names = []
    for name in re.findall(r"^(?:    )?rule ?(\w*):$", text, re.MULTILINE):
        names += [name] if name else charts
    return names


def describe(graph: Graph, back: Graph) -> str:
    """The page: the picture, then each rule file in the order of the Snakefile."""
    text, charts = HEAD, sorted(rule for rule in graph if rule.startswith("plot_") and rule != "plot_published")
    for file in re.findall(r'^include: "rules/(\w+)\.smk"', (HOME / "Snakefile").read_text(), re.MULTILINE):
        source = (HOME / "rules" / f"{file}.smk").read_text()
        names = rules_of(source, charts)
        if not names:
            continue
        text += f"\n## {file}\n{contract(source)}\n\n| rule | follows |\n| --- | --- |\n"
        for name in names:
            makers = sorted(graph.get(name, set()) | back.get(name, set()))
            follows = ", ".join(f"`{maker}`" for maker in makers) if name in graph else "not in this graph"
            text += f"| `{name}` | {follows} |\n"
    return wrapped(text)


def main() -> None:
    straight, back = without_circles(rule_graph())
    graph = reduced(straight)
    write_atomically(DOCUMENT, describe(graph, back))
    write_atomically(PICTURE, drawn(graph, back))


if __name__ == "__main__":
    exit_with_user_errors(main)
