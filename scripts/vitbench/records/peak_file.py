"""The content of peak.json: the rates that were measured, and the highest of them by device and precision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from vitbench.errors import UserError
from vitbench.files import HOME

NAME = re.compile(r"peak(\+[^/]+)?\.json")


def is_peak(path: str) -> bool:
    """Whether this is the path of what a machine can do at most, with whatever libraries beside the environment."""
    return NAME.fullmatch(PurePosixPath(path).name) is not None


def together(several: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of a peak.json with the rates of all these, which are of one machine and model."""
    rates = [rate for one in several for rate in one["rates"]]
    return {**several[0], "rates": rates, "peak": peaks(rates)}


def peaks(rates: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The highest rate by device and precision, with the library and shape that reached it."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for rate in rates:
        key = (rate["device"], rate["precision"])
        if key not in best or rate["gflops"] > best[key]["gflops"]:
            best[key] = rate
    return [
        {name: best[key][name] for name in ("device", "precision", "gflops", "library", "version", "shape")}
        for key in sorted(best)
    ]


@cache
def _validator():
    import jsonschema
    import yaml

    path = HOME / "config" / "schema" / "peak.schema.yaml"
    return jsonschema.Draft202012Validator(yaml.safe_load(path.read_text()))


def precisions() -> list[str]:
    """The precisions in which a framework may multiply, and which records may name."""
    return _validator().schema["$defs"]["precision"]["enum"]


def problems(peak: Any) -> list[str]:
    """What is wrong with the content of a peak.json, in one line each."""
    found = [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(peak)]
    if not found and peak["peak"] != peaks(peak["rates"]):
        found.append("$.peak is not the highest of $.rates")
    return sorted(found)


def check(peak: dict[str, Any], path: Path) -> None:
    """Raise a ValueError if what is to be written to `path` does not fit its schema: a mistake of ours."""
    if found := problems(peak):
        raise ValueError(f"what {path} is to hold is not valid: {'; '.join(found)}")


def checked(peak: Any, path: str) -> dict[str, Any]:
    """The content of the peak.json at `path`; UserError where it does not fit the schema."""
    if found := problems(peak):
        raise UserError(f"{path} is not valid ({found[0]}): remove it to measure it again")
    return peak
