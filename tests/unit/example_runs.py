"""Runs tables as tests make them, and what each framework says of their images: all right, unless it is planted."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas

from vitbench import tables
from vitbench.analysis import best_batch_size, parity
from vitbench.analysis import speedup as speedups

HF, TF, ONNX = "huggingface/pipeline", "sparknlp/tensorflow", "sparknlp/onnx"
IMAGES = {"sample": 4, "full": 6}
LABELS = {"i0": "cat", "i1": "dog", "i2": "dog", "i3": "fox", "i4": "owl", "i5": "cat"}


def cell(variant, dataset, size, seconds, device="cpu", effective=None, statuses=None, **more) -> list[dict]:
    """Rows of one cell: a repeat for each of `seconds`, None for one that failed (by `statuses`, else oom)."""
    framework, name = variant.split("/")
    rows = []
    for block, wall in enumerate(seconds):
        failed = (statuses or {}).get(block, "oom")
        rows.append(
            {
                "source": "live", "machine": "xeon-2", "protocol": 1, "model": "vit", "dataset": dataset,
                "images": IMAGES[dataset], "framework": framework, "variant": name, "device": device, "workers": 1,
                "batch_size": size, "repeat": block, "block": block, "order": block,
                "status": failed if wall is None else "ok", "wall_seconds": wall,
                "throughput": wall and IMAGES[dataset] / wall, "cold_seconds": wall and 1.5 * wall,
                "start_seconds": 2.0, "load_seconds": 3.0, "total_seconds": 20.0,
                "effective_batch_size": (effective or size) if wall else None, "accuracy": 1.0 if wall else None,
                "reason": f"it was {failed}" if wall is None else None, "precision": "float32", "setting": name,
                "record": f"{variant}/{dataset}/{device}/bs{size}/rep{block}.json",
            }
            | more
        )  # fmt: skip
    return rows


def skipped(variant, dataset, size) -> list[dict]:
    row = cell(variant, dataset, size, [None], statuses={0: "skipped"})[0]
    return [row | dict.fromkeys(("images", "repeat", "block", "order", "total_seconds", "record", "setting"))]


def runs_table(path: Path, *cells: list[dict]) -> pandas.DataFrame:
    """A runs table of these cells' rows as it is read from its file at `path`."""
    rows = list(itertools.chain(*cells))
    pandas.DataFrame(rows, columns=tables.COLUMNS["runs"]).convert_dtypes().to_csv(path, index=False)
    return tables.read(path)


def labels(role: str) -> dict[str, str]:
    return dict(itertools.islice(LABELS.items(), IMAGES[role]))


def all_right(role: str) -> list[tuple]:
    return [(image, label, 0.9) for image, label in labels(role).items()]


class Said:
    """What each record's predictions are: all right, unless it is changed for records whose path begins so."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, object]] = []

    def change(self, prefix: str, how) -> Said:
        self.changes.append((prefix, how))
        return self

    def __call__(self, record: str) -> list[tuple]:
        role = "full" if "/full/" in record else "sample"
        said = all_right(role)
        for prefix, how in self.changes:
            if record.startswith(prefix):
                said = how(said)
        return said


def judge(runs, said=None, baseline=HF, least=0.99):
    gate = parity.parity(runs, baseline, said or Said(), labels, least)
    return gate, speedups.speedup(runs, baseline, gate)


def flagged(rows: list[dict], **flags: str) -> list[dict]:
    """The rows of a cell, those of the given blocks (b0=…) with flags."""
    return [row | {"flags": flags.get(f"b{row['block']}")} for row in rows]


def choose(runs) -> dict:
    return best_batch_size.choose_batch_size(runs)


def one_pair(table, seconds=((9, 9, 9), (6, 6, 6))):
    return table(cell(HF, "full", 8, list(seconds[0])), cell(TF, "full", 8, list(seconds[1])))
