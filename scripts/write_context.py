"""Gather what captions, titles and the Environment sheet say about a set of records."""

import json
from pathlib import Path
from typing import Any

import pandas

from vitbench import accuracy, tables
from vitbench.cells import repeats_of
from vitbench.errors import run_logged
from vitbench.files import write_atomically
from vitbench.inputs import checkpoints
from vitbench.plan.grid import RESOURCES
from vitbench.present.answer import answer
from vitbench.records.archive import Folder, open_archive
from vitbench.records.mixing import mark_mixed
from vitbench.version import describe_checkout


def _unknown_to_seeded(grid: dict[str, Any]) -> bool:
    """Whether a data set is not made of the photographs that the seeded models are fitted on."""
    return any(one["definition"]["kind"] != "photos" for one in grid["datasets"].values())


def _labels_of_model(archive: Folder) -> tuple[str, ...]:
    """The model's labels where the model still lies beside its records; none of a campaign's."""
    folder = archive.root / RESOURCES / "models" / archive.grid["model"]["slug"] / "checkpoint"
    return checkpoints.labels(folder) if folder.is_dir() else ()


def main(runs: pandas.DataFrame, speedup: pandas.DataFrame, archive: Folder, out: Path) -> None:
    """Write the context; facts about machine and software come from the records, not from where this runs."""
    config = archive.config
    measured = runs[runs.record != ""]
    read = [archive.record(path) for path in measured.record]
    versions: dict[str, str] = {}
    for record in read:
        versions |= record["versions"]
    seeded = archive.grid["model"]["definition"]["kind"] == "seeded"
    context: dict[str, Any] = {
        "source": archive.source,
        "machine": config["machine"],
        "machine_text": read[-1]["environment"]["machine"],
        "gpus": read[-1]["environment"]["gpus"],
        "platform": read[-1]["environment"]["platform"],
        "python": read[-1]["environment"]["python"],
        "model": config["model"],
        "model_identity": read[-1]["identity"]["model"],
        "model_note": "seeded weights" if seeded else "",
        "label_note": "times are valid, labels are not" if seeded and _unknown_to_seeded(archive.grid) else "",
        "protocol": config["protocol"],
        "baseline": config["baseline"],
        "variants": list(dict.fromkeys(runs.framework + "/" + runs.variant)),
        "repeats": repeats_of(config["repeats"], "full"),
        "date": max(record["started"] for record in read)[:10],
        "datasets": {
            dataset: {
                "name": one["name"],
                "images": int(measured[measured.dataset == dataset].images.max()),
                "left_out": sum(not image.valid for image in archive.manifest(dataset)),
                "labels": accuracy.note(
                    archive.labels(dataset), archive.matched_labels(dataset), _labels_of_model(archive)
                ),
            }
            for dataset, one in archive.grid["datasets"].items()
            if (measured.dataset == dataset).any()
        },
        "versions": dict(sorted(versions.items())),
        "answer": answer(speedup, versions),
        "notes": mark_mixed(runs),
        "quiet": config["quiet"],
        "vitbench": archive.version or describe_checkout(),
    }
    write_atomically(out, json.dumps(context, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_logged(
        snakemake.log[0],
        main,
        tables.read(snakemake.input.runs),
        tables.read(snakemake.input.speedup),
        open_archive(snakemake.params.archive),
        Path(snakemake.output[0]),
    )
