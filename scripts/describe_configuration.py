"""Write the tables of keys in config/README.md from the schema and the embedded default."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import HOME, write_atomically
from vitbench.plan import configuration
from vitbench.present.markdown import filled

README = HOME / "config" / "README.md"
DEFAULT = HOME / "config" / "config.yaml"
SOURCE = "config.schema.yaml"
HEAD = "| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n"
DEFINED = "| of | key | allowed | meaning |\n| --- | --- | --- | --- |\n"


def table(schema: dict[str, Any], defaults: dict[str, Any]) -> str:
    """The Markdown table: a row a key in the order of the schema, keys inside a key written `outer.inner`."""
    return _table(HEAD, _rows(schema, schema["properties"], defaults, ""))


def definitions(schema: dict[str, Any]) -> str:
    """The Markdown table of what a definition under `define` may hold: of each kind of data set, model and variant."""
    define = schema["properties"]["define"]["properties"]
    kinds = {
        f"datasets, kind {one['if']['properties']['kind']['const']}": one["then"]["properties"]
        for one in schema["$defs"]["dataset"]["allOf"]
    }
    kinds["models"] = define["models"]["additionalProperties"]["properties"]
    variants = define["variants"]["properties"]
    kinds |= {f"variants of {name}": one["additionalProperties"]["properties"] for name, one in variants.items()}
    rows = [
        [of, f"`{name}`", allowed(schema, value), value.get("description", "")]
        for of, properties in kinds.items()
        for name, value in properties.items()
        if isinstance(value, dict)  # `true` stands for a key that was described before
    ]
    return _table(DEFINED, rows)


def _table(head: str, rows: list[list[str]]) -> str:
    return head + "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _rows(schema: dict[str, Any], properties: dict[str, Any], defaults: dict[str, Any], outer: str) -> list[list[str]]:
    rows = []
    for name, value in properties.items():
        inner, only_map = value.get("properties"), value.get("type") == "object" and "properties" in value
        default = "" if name not in defaults or only_map else f"`{_flow(defaults[name])}`"
        words = "" if only_map else allowed(schema, value)
        rows.append([f"`{outer}{name}`", default, words, value.get("description", "")])
        if inner:
            nested = defaults.get(name)
            rows += _rows(schema, inner, nested if isinstance(nested, dict) else {}, f"{outer}{name}.")
    return rows


def allowed(schema: dict[str, Any], value: dict[str, Any]) -> str:
    """What the schema lets a value be, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        target = schema["$defs"][name]
        # A pattern says less than its name.
        return name if target.get("type") == "string" else allowed(schema, target)
    if "oneOf" in value:
        return ", or ".join(allowed(schema, one) for one in value["oneOf"])
    if "const" in value:
        return f"`{_flow(value['const'])}`"
    if "enum" in value:
        return " or ".join(f"`{_flow(one)}`" for one in value["enum"])
    if value.get("type") == "array":
        return f"list of: {allowed(schema, value['items'])}"
    if value.get("type") == "object":
        keys = " and ".join(f"`{key}`" for key in value.get("properties", {}))
        return f"map with {keys}" if keys else "map"
    kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
    words = " or ".join({"string": "text", "null": "`null`", "object": "map"}.get(kind, kind) for kind in kinds)
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    words += "".join(f", {limit} {value[key]}" for key, limit in limits.items() if key in value)
    return words + (f" like `{value['pattern']}`" if "pattern" in value else "")


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).strip().removesuffix("...").strip()


def main(arguments: list[str] | None = None, readme: Path = README) -> int:
    """Bring the table in `readme` up to date; with --check only look: 1 if it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the table is out of date")
    options = parser.parse_args(arguments)
    old = readme.read_text(encoding="utf-8")
    schema = configuration.schema()
    written = {"keys": table(schema, yaml.safe_load(DEFAULT.read_text(encoding="utf-8")))}
    written["definitions"] = definitions(schema)
    new = filled(old, SOURCE, written.__getitem__)
    if new == old:
        return 0
    if options.check:
        raise UserError(f"{readme.name} is out of date: run python scripts/describe_configuration.py")
    write_atomically(readme, new)
    print(f"changed: {readme.name}")
    return 0


if __name__ == "__main__":
    exit_with_user_errors(main)
