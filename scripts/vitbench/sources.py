"""Which source files stand behind a script: its imports, followed through their text. Nothing is imported for that.

The rules that derive take these files as inputs, so that an edit makes again what it can change and nothing else; and
the measuring sources, which decide what a time means, are named here once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vitbench.files import HOME

SCRIPTS = HOME / "scripts"
FRAMEWORKS = "vitbench/frameworks"
# Places of the sources that decide what a time means. All else that measure.py imports finds, checks and writes files.
MEASURING = ("measure.py", "vitbench/measure", "vitbench/steady.py", "vitbench/environment.py", FRAMEWORKS)


def behind(*modules: str, folder: Path = SCRIPTS) -> list[Path]:
    """Files in `folder` that importing these modules can read, themselves included, sorted.

    An import inside a function counts, one under `if TYPE_CHECKING` does not. A package that imports its packages by
    `import_module(f"{__name__}.…")` imports them all. Another import by a computed name cannot be seen: its module has
    to be among `modules`.

    Args:
        modules: names as in an import, `collect_records` or `vitbench.present.style`.

    Raises:
        ValueError: there is no such module.
    """
    known = _modules(folder)
    if unknown := sorted(set(modules) - known.keys()):
        raise ValueError(f"{', '.join(unknown)}: no module in {folder}")
    found, waiting = set(), [name for module in modules for name in _with_packages(module)]
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found.add(name)
            waiting += _imported(known[name], name)
    return sorted(known[name] for name in found)


def measuring(folder: Path = SCRIPTS) -> list[Path]:
    """The sources that decide what a time means: what measure.py imports of MEASURING, and all of every framework.

    A framework's adapter is imported by a computed name, in the process that measures.
    """
    places = {folder / place for place in MEASURING}
    imported = [path for path in behind("measure", folder=folder) if places & {path, *path.parents}]
    return sorted({*imported, *(folder / FRAMEWORKS).rglob("*.py")})


@cache
def _modules(folder: Path) -> dict[str, Path]:
    """Name → file of each module in `folder`."""
    names = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _with_packages(name: str) -> list[str]:
    """A module's name and those of the packages that are imported before it."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


@cache
def _imported(path: Path, name: str) -> list[str]:
    """Names that a module imports; some may be no modules."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    names = []
    for node in _nodes(ast.parse(path.read_bytes())):
        match node:
            case ast.Import():
                names += [part.name for part in node.names]
            case ast.ImportFrom():
                above = package[: len(package) + 1 - node.level] if node.level else []
                base = ".".join([*above, *filter(None, [node.module])])
                names += [base, *(f"{base}.{part.name}" for part in node.names)]
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id="__name__")), *_])],
            ):
                names += [f"{name}.{one.name}" for one in path.parent.iterdir() if one.is_dir()]
    return [each for one in names for each in _with_packages(one)]


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but not what only a type checker reads."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                waiting += node.orelse
            case _:
                waiting += ast.iter_child_nodes(node)
