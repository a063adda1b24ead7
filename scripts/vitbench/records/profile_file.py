"""Profiles: the JSON file that one profiling repeat leaves beside its cell's records."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from vitbench.errors import UserError
from vitbench.files import HOME, write_atomically


@cache
def _validator():
    import jsonschema
    import yaml

    path = HOME / "config" / "schema" / "profile.schema.yaml"
    return jsonschema.Draft202012Validator(yaml.safe_load(path.read_text()))


def problems(profile: Any) -> list[str]:
    """What is wrong with a profile, in one line each; empty if it fits its schema."""
    errors = sorted(_validator().iter_errors(profile), key=lambda e: str(e.json_path))
    return [f"{error.json_path}: {error.message}" for error in errors]


def write(path: Path, profile: dict[str, Any]) -> None:
    """Write a profile atomically.

    Raises:
        ValueError: it does not fit its schema, which is a mistake of ours.
    """
    if found := problems(profile):
        raise ValueError(f"the profile for {path} is not valid: {'; '.join(found)}")
    write_atomically(path, json.dumps(profile, indent=1, ensure_ascii=False) + "\n")


def checked(profile: Any, path: str) -> dict[str, Any]:
    """The profile that was read from `path`.

    Raises:
        UserError: it does not fit the schema.
    """
    if found := problems(profile):
        raise UserError(f"{path} is not a valid profile ({found[0]}): remove it to profile the cell again")
    return profile
