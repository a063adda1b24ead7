"""A loop over the checkpoint: the smallest framework there can be, and a pattern for a real one (docs/extend.md)."""

from __future__ import annotations

from typing import Any

from vitbench.frameworks.declaration import Framework, Needs


def needs(definition: dict[str, Any], device: str) -> Needs:
    """The checkpoint as it is."""
    return Needs(library="torch")


FRAMEWORK = Framework(
    name="loop",
    title="Plain loop",
    package="torch",
    color="#009E73",
    settings={"properties": {}},
    start_and_load_seconds=8,
    needs=needs,
)
