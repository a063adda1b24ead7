"""The tiny seeded model, its forms for ONNX Runtime, and photographs: what every variant of a CPU can run on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml
from once import once
from tree import ROOT

from vitbench.frameworks import ADAPTERS, FRAMEWORKS, Prediction, Task
from vitbench.frameworks.declaration import Needs
from vitbench.inputs import models, onnx_forms, photographs
from vitbench.measure import harness
from vitbench.measure.energy import Meter
from vitbench.steady import Passes

IMAGES = 12
# A cold pass and a timed one, whatever they take.
TWO_PASSES = Passes(
    warm_images=1, warm_seconds=0, shift=1, settling=100, timed=1, timed_images=1, extensions=0, most_seconds=600
)
VARIANTS = yaml.safe_load((ROOT / "resources/variants.yaml").read_text(encoding="utf-8"))
_LISTED = yaml.safe_load((ROOT / "config/engines.yaml").read_text(encoding="utf-8"))["frameworks"]


def definition(name: str) -> dict[str, Any]:
    """The settings of `framework/variant`, as an adapter gets them."""
    framework, variant = name.split("/")
    return {key: value for key, value in VARIANTS[framework][variant].items() if key not in ("platforms", "otherwise")}


def _needs(name: str) -> Needs:
    return FRAMEWORKS[name.split("/")[0]].needs(definition(name), "cpu")


PYTHON_IN_SPARK = [name for name, one in FRAMEWORKS.items() if one.inside]
# Of what config/engines.yaml measures: what needs neither Java nor packages beside the environment, what runs inside
# Spark without its jars, and what needs such packages, inside Spark or not.
ENGINES = [name for name in _LISTED if not _needs(name).spark and not _needs(name).packages]
IN_SPARK = [name for name in _LISTED if _needs(name).spark and not _needs(name).jars]
BESIDE = [name for name in _LISTED if _needs(name).packages]


def make(folder: Path) -> Path:
    """Write model and images to `folder`."""
    tiny = yaml.safe_load((ROOT / "resources/models.yaml").read_text(encoding="utf-8"))["vit-tiny-seeded"]
    models.build_checkpoint(tiny, folder / "checkpoint")
    models.export_onnx(folder / "checkpoint", folder / "onnx")
    for weights in onnx_forms.WRITERS:
        onnx_forms.make(folder / "checkpoint", folder / "onnx", weights, folder / f"onnxruntime-{weights}")
    for number, crop in enumerate(photographs.crops(IMAGES, tiny["seed"], "heldout")):
        (folder / f"{number:02d}.jpg").write_bytes(crop.jpeg)
    return folder


def copy(factory: Any, to: Path) -> Path:
    """A copy of what `make` writes, which it does once in a run of the tests; `factory`: pytest's tmp_path_factory."""
    return Path(shutil.copytree(once(factory, "tiny", make), to))


def task(place: Path, name: str, batch_size: int = 4, threads: int = 2, **changes: Any) -> Task:
    """What an adapter is told to run `framework/variant` on what `make` wrote."""
    settings = definition(name) | changes
    needs = FRAMEWORKS[name.split("/")[0]].needs(settings, "cpu")
    (place / "temporary").mkdir(exist_ok=True)
    return Task(
        variant=settings,
        device="cpu",
        workers=1,
        batch_size=batch_size,
        threads=threads,
        images=[(str(number), str(place / f"{number:02d}.jpg")) for number in range(IMAGES)],
        images_folder=str(place),
        model=str(place / needs.form),
        jars=[],
        natives=str(place / "natives"),
        temporary=str(place / "temporary"),
        packages=str(place / needs.packages) if needs.packages else None,
    )


def module(name: str, settings: dict[str, Any] | None = None) -> str:
    """The module whose adapter runs a variant."""
    return ADAPTERS[name.split("/")[0]](settings or definition(name))


def run(adapter: Any) -> tuple[list[Prediction], dict[str, Any]]:
    """What two passes answer, made as in a repeat and with the same labels, and what the adapter says of itself."""
    told: list[dict[str, Any]] = []
    wanted = [image for image, _ in adapter.task.images]
    adapter.start()
    adapter.load()
    try:
        predictions, _ = harness.run_passes(
            adapter, wanted, TWO_PASSES, [Meter(adapter.task.device)], lambda _event, **facts: told.append(facts)
        )
        assert [(one["valid"], one["changed"]) for one in told] == [(len(wanted), [])] * 2
        return predictions, adapter.describe()
    finally:
        adapter.close()


# For programs of a session of their own: what comes of a pass that fails.
FAILURE = """
from vitbench.measure import harness

def failure(adapter):
    try:
        list(adapter.classify())
    except Exception as error:
        return [type(error).__name__, str(error), harness.is_our_bug(error)]
"""
