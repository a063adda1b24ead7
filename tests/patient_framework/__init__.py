"""A framework that waits instead of working: the subject of its tests is what runs it."""

from __future__ import annotations

from vitbench.frameworks.declaration import Framework, Needs

FRAMEWORK = Framework(
    name="patient",
    title="Patience",
    package="psutil",
    color="#009E73",
    settings={"properties": {}},
    start_and_load_seconds=1,
    needs=lambda definition, device: Needs(),
)
