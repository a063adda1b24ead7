"""The tables of a committed campaign and of the published series, made as the rules make them, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import analyse_runs
import collect_records
import derive_tables
import tabulate_advice
import tabulate_cost
import tabulate_physics
import tabulate_published
import tabulate_replication
import tabulate_scaling
import tabulate_stages
import unpack_campaign
import write_context
from once import once

from vitbench import tables
from vitbench.files import HOME
from vitbench.records.archive import Packed, open_archive

CAMPAIGNS = sorted(path.name for path in (HOME / "resources" / "campaigns").iterdir() if path.is_dir())


def packed(name: str) -> Packed:
    """A committed campaign."""
    return open_archive(HOME / "resources" / "campaigns" / name)


def tabulated(factory: Any, name: str) -> dict[str, Path]:
    """What `tabulate` and `replicate` write of a committed campaign, once in a run of the tests, and `results`: its
    folder; `factory`: pytest's tmp_path_factory.
    """

    def make(folder: Path) -> None:
        paths = tabulate(packed(name), folder)
        paths |= replicate(paths)
        (folder / "paths.json").write_text(
            json.dumps({key: str(path.relative_to(folder)) for key, path in paths.items()})
        )

    folder = once(factory, f"campaign {name}", make)
    named = json.loads((folder / "paths.json").read_text())
    return {"results": folder} | {key: folder / path for key, path in named.items()}


def tabulate(archive: Packed, results: Path) -> dict[str, Path]:
    """Write every table of a campaign into `results`; their paths, by the names of the rules' inputs."""
    provenance = {"config": results / "provenance/config.yaml", "grid": results / "provenance/grid.json"}
    unpack_campaign.main(archive, provenance)
    runs, physics = results / "runs.csv", results / "physics.csv"
    collect_records.main(archive, runs)
    tabulate_physics.main(archive, tables.read(runs), physics)
    names = {"summary": "summary", "budget": "time_budget", "best": "best_batch_size"}
    names |= {name: name for name in ("images", "parity", "disagreements", "speedup")}
    made = {name: results / f"{table}.csv" for name, table in names.items()}
    analyse_runs.main(runs, physics, archive, made)
    given = {"runs": runs, "physics": physics, "grid": provenance["grid"]}
    given |= {name: made[name] for name in ("parity", "speedup")}
    derived = {name: results / f"{name}.csv" for name in ("break_even", "sustained", "data_set_sizes", "total_time")}
    derived["effective_batches"] = results / "effective_batches.csv"
    derive_tables.main(given, {name.replace("effective_", ""): path for name, path in derived.items()})
    derived |= scale(given | {"total_time": derived["total_time"]}, results)
    stages = results / "stages.csv"
    tabulate_stages.main(archive, runs, stages)
    context = results / "provenance/context.json"
    write_context.main(tables.read(runs), tables.read(made["speedup"]), archive, context)
    advised = {name: results / f"{name}.csv" for name in ("advice", "steps")}
    tabulate_advice.main(
        {name: str(path) for name, path in ({"runs": runs, "physics": physics} | made | derived).items()},
        archive,
        {name: str(path) for name, path in advised.items()},
    )
    made["time_budget"] = made.pop("budget")
    paths = {"runs": runs, "physics": physics, "stages": stages, "context": context, "grid": provenance["grid"]}
    return paths | made | derived | advised


def scale(given: dict[str, Path], results: Path) -> dict[str, Path]:
    """Write the tables of scaling and cost; their paths."""
    made = {name: results / f"{name}.csv" for name in ("scaling", "scaling_fits", "cost")}
    paths = {name: str(path) for name, path in given.items()} | {"prices": str(HOME / "resources/prices.tsv")}
    published_data = HOME / "resources/published"
    tabulate_scaling.main(published_data, paths, {"table": str(made["scaling"]), "fits": str(made["scaling_fits"])})
    tabulate_cost.main(published_data, paths, made["cost"])
    return made


def replicate(paths: dict[str, Path]) -> dict[str, Path]:
    """Write the two tables that set the campaign beside the series; their paths."""
    made = {name: paths["runs"].with_name(f"{name}.csv") for name in ("replication", "replication_curves")}
    given = {name: str(path) for name, path in paths.items()}
    tabulate_replication.main(HOME / "resources/published", given, *map(str, made.values()))
    return made


def published(results: Path) -> dict[str, Path]:
    """Write the tables of the published series; those of the workbook, by the names of the rule's inputs."""
    names = ("runs", "summary", "best", "parity", "speedup", "repeats", "scaling", "claims", "figures")
    made = {name: results / f"{name}.csv" for name in names} | {"context": results / "context.json"}
    tabulate_published.main(HOME / "resources/published", {name: str(path) for name, path in made.items()})
    del made["scaling"]
    return made | {"hardware": HOME / "resources/published/hardware.csv"}
