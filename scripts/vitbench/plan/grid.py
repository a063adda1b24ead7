"""From a configuration to what is to be measured: cells, their order, and where their records and parts lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from vitbench.cells import BEST, CONTROL, PROFILE, SIZES, Cell, dataset_of, repeats_of, role_of, shuffled, variant_key
from vitbench.errors import UserError
from vitbench.files import MEASUREMENTS, RESOURCES, digest
from vitbench.frameworks import FRAMEWORKS
from vitbench.frameworks.declaration import Needs
from vitbench.inputs import checkpoints
from vitbench.machine import platform_name
from vitbench.plan import looks, workers
from vitbench.plan.configuration import definitions, with_blocks

# Keys of a data set's definition that say where it is had or describe it: they do not change which images it holds.
NO_IDENTITY = frozenset({"mirrors", "licence", "most_files", "most_bytes", "most_ratio", "most_refused"})
ARCHIVES = RESOURCES / "archives"


@dataclass(frozen=True)
class Defined:
    """A name from the configuration with its definition; `slug` names both in a path."""

    name: str
    definition: dict[str, Any]
    role: str = ""

    @cached_property
    def slug(self) -> str:
        # The role changes the images of photos-N, and the same data set may serve in both roles.
        role = f"{self.role}-" if self.role else ""
        identity = {key: value for key, value in self.definition.items() if key not in NO_IDENTITY}
        return f"{role}{self.name}-{digest([self.role, identity])}"

    def __hash__(self) -> int:
        return hash(self.slug)


class Grid:
    """All cells of a resolved configuration (see `vitbench.plan.configuration.resolve`).

    Attributes:
        model, datasets (by what cells call them), variants (by framework/variant): what the configuration names,
            defined.
        stand_ins: variant → what is measured in its place where it has no native code.
        sweep, full, sizes: cells by the role of their data set, in the order of the configuration.
        checkpoint: what the model is, as far as it is on this disk; None before.
        skipped: cells that this platform cannot run or that cannot do the model, each with the reason.
        notes: lines for the user on what is measured in place of what.
    """

    def __init__(self, config: dict[str, Any], platform: str | None = None) -> None:
        self.config = config
        self.platform = platform or platform_name()
        defined = definitions(config)
        self.model = Defined(config["model"], _find(defined["models"], "model", config["model"]))
        self.checkpoint = checkpoints.find(self.model.definition, Path(RESOURCES / "models" / self.model.slug))
        self.datasets = {
            dataset_of(role, name): Defined(name, _find(defined["datasets"], f"datasets: {role}", name), role)
            for role, chosen in config["datasets"].items()
            for name in (chosen if role == SIZES else [chosen])
        }
        self.stand_ins = {
            f"{framework}/{name}": definition["otherwise"]
            for framework, named in defined["variants"].items()
            for name, definition in named.items()
            if "otherwise" in definition
        }
        self.variants: dict[str, Defined] = {}
        self.notes: list[str] = []
        unsupported: dict[str, str] = {}
        for wanted in config["frameworks"]:
            self._add_variant(wanted, defined["variants"], unsupported)
        if not self.variants:
            raise UserError(f"frameworks: none of them can be measured here; {'; '.join(self.notes)}")
        self._check_models()
        self._note_one_node()
        self.baseline = self._baseline(defined["variants"], unsupported)
        self.sweep = self._cells(list(self.variants), "sample")
        # Without the controls: the noise that they show is that of a process, whatever the size of its data set.
        sizes = [dataset for dataset in self.datasets if role_of(dataset) == SIZES]
        self.sizes = [cell for dataset in sizes for cell in self._cells(list(self.variants), dataset)]
        if config["control"]:
            self._add_controls()
        self.full = self._cells(list(self.variants), "full")
        self.skipped = [
            (cell, reason)
            for wanted, reason in unsupported.items()
            for dataset in self.datasets
            for cell in self._cells([wanted], dataset)
        ]

    def _baseline(self, defined: dict[str, Any], unsupported: dict[str, str]) -> str:
        """The baseline, or what is measured in its place on this platform."""
        wanted = self.config["baseline"]
        if wanted in self.variants:
            return wanted
        framework, name = wanted.split("/")
        instead = defined[framework][name].get("otherwise")
        if instead not in self.variants or self.platform in defined[framework][name].get("platforms", [self.platform]):
            raise UserError(f"baseline: {unsupported[wanted]}; choose {' or '.join(self.variants)}")
        return instead

    @classmethod
    def with_all_seen(cls, config: dict[str, Any]) -> Grid:
        """The grid of a configuration, with as many full repeats as verdicts were read of in this working directory.

        Who added blocks by `make settle` and asks for something else afterwards would get tables of the configured
        number, which know less than what was read. Where a cell lacks one of those blocks nothing is added, and a note
        says so: it would have to be measured.
        """
        grid = cls(config)
        seen = looks.most(Path(grid.looks))
        if seen <= grid.repeats("full"):
            return grid
        more = cls(with_blocks(config, seen))
        if all(Path(more.record(cell, block)).exists() for cell in more.full for block in range(seen)):
            return more
        grid.notes.append(
            f"verdicts of {seen} blocks of the full runs were read here, and this configuration has "
            f"{grid.repeats('full')}, of which alone tables and charts tell"
        )
        return grid

    def _add_variant(self, wanted: str, defined: dict[str, Any], unsupported: dict[str, str]) -> None:
        framework, name = wanted.split("/")
        if name.endswith(CONTROL):
            raise UserError(f"frameworks: {wanted}: names in {CONTROL} are kept for the A/A control; take another name")
        if framework not in FRAMEWORKS:
            raise UserError(f"frameworks: {wanted}: no such framework; there is {', '.join(FRAMEWORKS)}")
        definition = _find(defined[framework], f"frameworks: {wanted}", name)
        if self.platform in definition.get("platforms", [self.platform]):
            # Which platforms have a build, and what stands in elsewhere, does not change what is measured here.
            settings = {key: value for key, value in definition.items() if key not in ("platforms", "otherwise")}
            why = FRAMEWORKS[framework].refuses(settings, self.checkpoint) if self.checkpoint else None
            if why:
                unsupported[wanted] = f"{wanted} cannot do the model {self.model.name}: {why}"
                self.notes.append(f"{unsupported[wanted]}: skipped")
            else:
                self.variants[wanted] = Defined(name, settings | workers.identity(self.config, framework))
            return
        reason = f"{wanted} has no native code for {self.platform}"
        unsupported[wanted] = reason
        instead = definition.get("otherwise")
        self.notes.append(f"{reason}: skipped" + (f", {instead} is measured in its place" if instead else ""))
        if instead and instead not in self.config["frameworks"] and instead not in self.variants:
            self._add_variant(instead, defined, unsupported)

    def _add_controls(self) -> None:
        """One variant of each framework once more, under a second name: compared with itself it measures the noise.

        It is the baseline of the baseline's framework, and the first in the configuration of any other.
        """
        first = {wanted.partition("/")[0]: wanted for wanted in reversed(self.variants)}
        first[self.baseline.partition("/")[0]] = self.baseline
        for wanted in first.values():
            twin = self.variants[wanted]
            self.variants[wanted + CONTROL] = Defined(twin.name + CONTROL, twin.definition)

    def _note_one_node(self) -> None:
        """Say once who is measured on one node although the configuration names more workers."""
        names = list(dict.fromkeys(wanted.partition("/")[0] for wanted in self.variants))
        alone = [name for name in names if not FRAMEWORKS[name].clustered]
        if alone and self.config["workers"] != [1]:
            self.notes.append(f"{', '.join(alone)}: on one node only (w1), whatever `workers` names")

    def _check_models(self) -> None:
        """A variant that brings a model of its own may be compared with that model only."""
        for wanted, variant in self.variants.items():
            of = FRAMEWORKS[wanted.partition("/")[0]].model_of(variant.definition)
            hub = self.model.definition.get("hub", "").partition("@")[0]
            if of and of != hub:
                raise UserError(
                    f"frameworks: {wanted} is the model {of} and no other: leave it out, or choose a `model` with "
                    f"`hub: {of}@COMMIT` (`model: {self.model.name}` is another)"
                )

    def _cells(self, variants: list[str], dataset: str) -> list[Cell]:
        sizes = self.config["batch_sizes"]
        return [
            Cell(dataset, *wanted.split("/"), device, number, size)
            for wanted in variants
            for device in self.config["devices"]
            for number in workers.of_framework(self.config, wanted.partition("/")[0])
            for size in ((sizes[device] if isinstance(sizes, dict) else sizes) if dataset == "sample" else [BEST])
        ]

    @property
    def cells(self) -> list[Cell]:
        """All of them, role by role."""
        return self.sweep + self.full + self.sizes

    @cached_property
    def order(self) -> list[tuple[Cell, int]]:
        """Every (cell, repeat) in the order of measuring: sweep, full, sizes, each by blocks, shuffled by the seed.

        A block holds one repeat of each cell of its role, so that a drift of the machine meets all of them alike.
        """
        return [
            (cell, block)
            for role, cells in (("sample", self.sweep), ("full", self.full), (SIZES, self.sizes))
            if cells
            for block in range(self.repeats(role))
            for cell in shuffled(cells, self.config["seed"], role, block)
        ]

    @cached_property
    def places(self) -> dict[tuple[Cell, int], int]:
        """(cell, repeat) → its place in the order of measuring, from 0."""
        return {one: place for place, one in enumerate(self.order)}

    def repeats(self, dataset: str) -> int:
        """How many repeats each cell on a data set, or of a role, has."""
        return repeats_of(self.config["repeats"], dataset)

    def _repeats_by_role(self) -> int | dict[str, int]:
        """The repeats of the roles that there are."""
        repeats, roles = self.config["repeats"], {role_of(dataset) for dataset in self.datasets}
        return {role: repeats[role] for role in repeats if role in roles} if isinstance(repeats, dict) else repeats

    @property
    def looks(self) -> PurePosixPath:
        """Path of the list of moments at which verdicts on the full runs could be read."""
        return self.peak.parent / self.datasets["full"].slug / "looks.json"

    def describe(self) -> dict[str, Any]:
        """The grid as plain data: what the tables need to know of it, even after its definitions have changed."""
        return {
            "machine": self.config["machine"],
            "protocol": self.config["protocol"],
            "platform": self.platform,
            "seed": self.config["seed"],
            "repeats": self._repeats_by_role(),
            "margin": self.config["margin"],
            "most_repeats": self.config["most_repeats"],
            # Earlier looks only. This run notes its own at its end, which must not make its tables anew.
            "looks": looks.earlier(Path(self.looks), self.repeats("full")),
            "baseline": self.baseline,
            **({"trials": self.config["trials"]} if self.config.get("trials") else {}),
            "agreement": self.config["parity"]["agreement"],
            "stand_ins": self.stand_ins,
            "model": _described(self.model),
            "peak": str(self.peak),
            "datasets": {dataset: _described(defined) for dataset, defined in self.datasets.items()},
            "cells": [
                {"dataset": cell.dataset, "name": cell.name, "folder": str(self.cell_folder(cell))}
                for cell in self.cells
            ],
            "skipped": [[cell.dataset, cell.name, reason] for cell, reason in self.skipped],
        }

    def variant_slug(self, cell: Cell) -> str:
        """The path segment of a cell's variant: its name and the digest of its definition."""
        return self.variants[variant_key(cell)].slug

    def cell_folder(self, cell: Cell) -> PurePosixPath:
        """Folder of a cell's records, relative to the working directory."""
        return (
            MEASUREMENTS
            / self.config["machine"]
            / f"p{self.config['protocol']}"
            / self.model.slug
            / self.datasets[cell.dataset].slug
            / cell.framework
            / self.variant_slug(cell)
            / cell.device
            / f"w{cell.workers}"
            / f"bs{cell.batch_size}"
        )

    @cached_property
    def beside(self) -> list[PurePosixPath]:
        """Folders of all packages that cells need beside the environment."""
        return sorted({folder for cell in self.cells if (folder := self.packages(cell))})

    @cached_property
    def peak(self) -> PurePosixPath:
        """Path of what the machine can do at most with the model's arithmetic, in all libraries that cells bring.

        Its name says which are not of this environment: a file that was made without them says nothing of them.
        """
        name = "+".join(["peak", *(folder.name for folder in self.beside)])
        return MEASUREMENTS / self.config["machine"] / f"p{self.config['protocol']}" / self.model.slug / f"{name}.json"

    def record(self, cell: Cell, repeat: int) -> PurePosixPath:
        """Path of the record of one repeat."""
        return self.cell_folder(cell) / f"rep{repeat}.json"

    def choice(self, cell: Cell) -> PurePosixPath:
        """Path of the batch size that was chosen for a variant, kept beside the records of its full run.

        It holds for every data set that the variant runs on at its best batch size, and for the control, which is the
        same variant: of two sweeps it might be another one.
        """
        twin = replace(cell, dataset="full", variant=cell.variant.removesuffix(CONTROL))
        return self.cell_folder(twin) / "choice.json"

    def profiles(self) -> list[Cell]:
        """The cells that are profiled: every full one on one node but the control's, if the configuration wants it."""
        return [
            cell
            for cell in self.full
            if self.config["profile"] and not cell.variant.endswith(CONTROL) and not self.on_cluster(cell)
        ]

    def on_cluster(self, cell: Cell) -> bool:
        """Whether a cell is measured on a cluster, be it one of a single worker."""
        return workers.on_cluster(self.config, cell.framework)

    def profile(self, cell: Cell) -> PurePosixPath:
        """Path of the profile of a full cell, kept beside its records."""
        return self.cell_folder(cell) / PROFILE

    def sweep_of(self, full: Cell) -> list[Cell]:
        """The sweep cells from which a variant's batch size is chosen; the control's are the baseline's."""
        wanted = replace(full, variant=full.variant.removesuffix(CONTROL))
        same = ("framework", "variant", "device", "workers")
        return [cell for cell in self.sweep if all(getattr(cell, key) == getattr(wanted, key) for key in same)]

    def manifest(self, dataset: str) -> PurePosixPath:
        """Path of the manifest of a data set, by what cells call it."""
        return RESOURCES / "datasets" / self.datasets[dataset].slug / "manifest.csv"

    def unprofiled(self, cell: Cell) -> str | None:
        """Why the stages of a cell cannot be timed; None where they can."""
        return FRAMEWORKS[cell.framework].unprofiled(self.definition(cell), self.on_cluster(cell))

    def needs(self, cell: Cell) -> Needs:
        """What a cell's variant needs on its device, as its framework declares."""
        return FRAMEWORKS[cell.framework].needs(self.definition(cell), cell.device)

    def definition(self, cell: Cell) -> dict[str, Any]:
        """The definition of a cell's variant."""
        return self.variants[variant_key(cell)].definition

    def model_folder(self, cell: Cell) -> PurePosixPath:
        """Folder of the model in the form that a cell's framework loads."""
        return RESOURCES / "models" / self.model.slug / self.needs(cell).form

    def exports(self) -> list[str]:
        """The exports that any form of the model is made of, whose logits are checked."""
        return sorted({self.needs(cell).export for cell in self.cells} - {None})

    def jars(self, cell: Cell) -> PurePosixPath | None:
        """Folder of the jars that a cell needs; None if it needs none."""
        jars = self.needs(cell).jars
        return RESOURCES / "jars" / jars if jars else None

    def packages(self, cell: Cell) -> PurePosixPath | None:
        """Folder of the packages that a cell needs beside the environment; None if it needs none."""
        packages = self.needs(cell).packages
        return RESOURCES / "environments" / packages if packages else None

    def find(self, dataset: str, name: str) -> Cell:
        """The cell on a data set with this name, in which the variant may be given by its slug.

        Raises:
            UserError: there is no such cell, or data set, in the configuration.
        """
        if dataset not in self.datasets:
            raise UserError(f"no data set {dataset} in this configuration; there is {', '.join(self.datasets)}")
        if cell := self._by_name.get((dataset, name)):
            return cell
        for cell, reason in self.skipped:
            if (dataset, name) == (cell.dataset, cell.name):
                raise UserError(f"{name}: {reason}")
        there = ", ".join(cell.name for cell in self.cells if cell.dataset == dataset)
        raise UserError(f"no cell {name} on {dataset} in this configuration; there is {there}")

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Cell]:
        """(data set, name) → cell, by its name and by the one in which the variant is given by its slug."""
        slugged = {(cell.dataset, replace(cell, variant=self.variant_slug(cell)).name): cell for cell in self.cells}
        return slugged | {(cell.dataset, cell.name): cell for cell in self.cells}


def _described(defined: Defined) -> dict[str, Any]:
    return {"name": defined.name, "slug": defined.slug, "definition": defined.definition}


def archive_path(name: str) -> PurePosixPath:
    """Where the archive of the data set `name` is kept once it was downloaded, or put there by hand."""
    return ARCHIVES / f"{name}.zip"


def _find(defined: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """The definition of a name; `NAME-N` is the definition of NAME with N images, where NAME leaves the number open."""
    open_ended = {known for known, value in defined.items() if value.get("kind") == "photos" and "images" not in value}
    if name in defined and name not in open_ended:
        return defined[name]
    base, _, number = name.rpartition("-")
    if base in open_ended and number.isdigit() and int(number) > 0:
        return defined[base] | {"images": int(number)}
    known = ", ".join(f"{known}-N" if known in open_ended else known for known in defined)
    raise UserError(f"{key}: {name} is not defined; there is {known} (your own go under `define`)")
