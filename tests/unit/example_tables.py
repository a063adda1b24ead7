"""Small tables as a run leaves them in `results/`, made from one rule, for the tests of what is drawn from them."""

from __future__ import annotations

import copy
import json
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vitbench import tables
from vitbench.analysis.best_batch_size import best_batch_sizes
from vitbench.analysis.looks import MARGIN
from vitbench.analysis.pairs import CONTROL_GROUP, CONTROLS, EXPLORATORY, PRIMARY, comparisons
from vitbench.analysis.speedup import speedup
from vitbench.analysis.summary import summary, usable
from vitbench.cells import CONTROL, cell_name

TWO = ("huggingface/pipeline", "sparknlp/tensorflow")
FIVE = (*TWO, "sparknlp/tensorflow-no-onednn", "sparknlp/onnx", "sparknlp/onnx-tuned")
SIX = (*FIVE, "huggingface/compiled")
RATES = dict(zip(SIX, (5.7, 8.9, 7.8, 5.4, 8.3, 6.6), strict=True))  # images/s, roughly those of design.md section 7
PRECISION = "float32"


@dataclass
class Tables:
    """The five tables and the context, as `vitbench.tables` would read them."""

    runs: pd.DataFrame
    summary: pd.DataFrame
    best: pd.DataFrame
    parity: pd.DataFrame
    speedup: pd.DataFrame
    context: dict

    def write(self, folder: Path) -> dict[str, Path]:
        """Write them as CSV and JSON, named as in `results/`; returns the paths by the names of the rules' inputs."""
        paths = {name: folder / f"{name}.csv" for name in ("runs", "summary", "parity", "speedup")}
        paths |= {"best": folder / "best_batch_size.csv", "context": folder / "context.json"}
        for name, path in paths.items():
            if name == "context":
                path.write_text(json.dumps(self.context))
            else:
                getattr(self, name).to_csv(path, index=False)
        return paths


def typed(rows: list[dict], table: str) -> pd.DataFrame:
    """A frame with all of the table's columns in the types that `tables.read` gives."""
    frame = pd.DataFrame(rows, columns=list(tables.COLUMNS[table]))
    for column in frame:
        if column in tables.WORDS:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
        elif column not in tables.TRUTHS:
            frame[column] = frame[column].astype("float64")
    return frame


# Of a run that measured no data sets of several sizes.
NO_SIZES = typed([], "total_time")


def example(
    variants=TWO, sizes=(1, 8, 16), repeats=3, devices=("cpu",), failed=None, flags=None, verdict=None, floor=None
) -> Tables:
    """Tables of a run, which belong to the one who asks: the same ones are made once and copied.

    `failed` maps (variant, batch size) or a variant to its status (oom, timeout, error, skipped); `flags` maps
    (variant, batch size), or those and a repeat, to its flags on the sample, and with "full" before them to those on
    the full set; `verdict` overrides the verdict of every comparison that has a number; `floor`: with an A/A control of
    each framework, whose pooled noise floor this is.
    """
    how = (variants, sizes, repeats, devices, failed or {}, flags or {}, verdict, floor)
    if repr(how) not in _MADE:
        _MADE[repr(how)] = _make(*how)
    return copy.deepcopy(_MADE[repr(how)])


_MADE: dict[str, Tables] = {}


def _make(variants, sizes, repeats, devices, failed, flags, verdict, floor) -> Tables:
    images = {"sample": 32, "full": 48}
    rows = []
    for device in devices:
        for variant in variants:
            for size in sizes:
                rows += _repeats("sample", images, variant, device, size, repeats, failed, flags)
    sweep = _summary(typed(rows, "runs"))
    best = _best(sweep)
    full_flags = {key[1:]: value for key, value in flags.items() if key[0] == "full"}
    for row in best.itertuples(index=False):
        variant = f"{row.framework}/{row.variant}"
        if pd.notna(row.kept):
            rows += _repeats("full", images, variant, row.device, int(row.kept), repeats, {}, full_flags)
        else:  # no batch size to run with
            status = "skipped" if failed.get(variant) == "skipped" else "error"
            rows += _repeats("full", images, variant, row.device, None, repeats, {variant: status}, {})
        first = next(one for one in variants if one.startswith(f"{row.framework}/"))
        if floor and variant == first and pd.notna(row.kept):
            rows += _repeats("full", images, variant + CONTROL, row.device, int(row.kept), repeats, {}, {})
    runs = typed(rows, "runs")
    summary = _summary(runs)
    pairs = _pairs(summary, variants[0])
    context = {
        "source": "live", "machine": "xeon-2",
        "machine_text": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz, 2 cores, 24 GB", "model": "vit-base-seeded",
        "model_note": "seeded weights", "protocol": 1, "repeats": repeats, "date": "2026-11-23",
        "datasets": {"sample": {"name": "photos-32", "images": 32}, "full": {"name": "photos-48", "images": 48}},
        "versions": {"transformers": "5.23.0", "torch": "2.15.0", "spark-nlp": "5.5.3", "pyspark": "3.5.9"},
        "answer": "Spark NLP 5.5.3 (TensorFlow, oneDNN, as in the article) was 1.56 times as fast as Hugging Face's"
        " pipeline on 48 photographs [range 1.49–1.62, faster in 3 of 3 blocks; no verdict below 5]",
        "vitbench": "", "notes": [], "baseline": variants[0], "variants": list(variants),
        "quiet": {"gemm_slower": 0.15, "decode_slower": 0.4},
    }  # fmt: skip
    return Tables(runs, summary, best, _parity(pairs, images), _speedup(pairs, images, verdict, floor), context)


def _repeats(dataset, images, variant, device, size, repeats, failed, flags) -> list[dict]:
    framework, name = variant.split("/")
    status = failed.get(variant) or failed.get((variant, size)) or "ok"
    cell = {
        "source": "live", "machine": "xeon-2", "protocol": 1, "model": "vit-base-seeded", "dataset": dataset,
        "images": images[dataset], "framework": framework, "variant": name, "device": device, "workers": 1,
        "batch_size": size, "status": status, "precision": PRECISION, "setting": f"setting of {name}, local[*]",
    }  # fmt: skip
    reasons = {"oom": "killed at 5 GB by the kernel", "skipped": "TensorFlow has no natives for arm64"}
    if status == "skipped":
        return [cell | {"reason": reasons[status]}]
    rows = []
    for repeat in range(1, repeats + 1):
        row = cell | {"repeat": repeat, "block": repeat, "order": repeat, "started": _started(repeat, variant, size)}
        if status != "ok":
            rows.append(row | {"reason": reasons.get(status, "the child process ended with status 1")})
            continue
        noise = (zlib.crc32(f"{dataset}{variant}{device}{size}{repeat}".encode()) % 1000 / 1000 - 0.5) * 0.12
        rate = (
            RATES.get(variant.removesuffix(CONTROL), 6.0)
            * (1 - 0.45 / size**0.8)
            * (4 if device == "gpu" else 1)
            * (1 + noise)
        )
        seconds = images[dataset] / rate
        passes = [seconds * factor for factor in (1.5, 1.2, 1.01, 0.99)]
        flagged = flags.get((variant, size, repeat), flags.get((variant, size), ""))
        seen = _batches(framework, size, images[dataset])
        missed = ["batch size not reached"] if seen["effective_batch_size"] < size else []
        rows.append(
            row | seen | {
                "wall_seconds": seconds, "throughput": images[dataset] / seconds, "cold_seconds": passes[0],
                "start_seconds": 9.0 if framework == "sparknlp" else 6.0, "load_seconds": 9.0 + noise,
                "first_batch_seconds": 1.1, "timed_passes": 2, "steady": "warm-up",
                "short_passes": 0, "short_pass_seconds": 0.0,
                "warm_up_images": 2 * images[dataset], "warm_up_seconds": sum(passes[:2]), "last_change": 2,
                "pass_seconds": ";".join(f"{each:.6g}" for each in passes),
                "threads": 2, "accuracy": 1.0, "total_seconds": 40.0, "attempts": 0, "canary_gemm": 1.0 + noise / 4,
                "canary_decode": 1.0 - 3 * noise,
                "steal_share": 0.001, "foreign_cpu_share": 0.01, "record": f"measurements/rep{repeat}.json",
                "flags": ";".join([*filter(None, [flagged]), *missed]),
            }
        )  # fmt: skip
    return rows


def _started(repeat: int, variant: str, size: int | None) -> str:
    """Some time on an afternoon, each repeat of a variant and size at its own."""
    minute = zlib.crc32(f"{variant}{size}".encode()) % 40
    return f"2026-11-23T{13 + repeat % 10}:{minute:02}:00+00:00"


def _batches(framework: str, size: int, images: int) -> dict:
    """The batches of an engine that gets all images (Hugging Face), or two partitions of half of them (Spark NLP)."""
    parts = [images] if framework != "sparknlp" else [images // 2] * 2
    seen = Counter(number for rows in parts for number in [size] * (rows // size) + [rows % size] * (rows % size > 0))
    row = {"effective_batch_size": max(seen), "effective_batch_sizes": ";".join(f"{n}:{k}" for n, k in seen.items())}
    row["batches"] = "computed" if framework == "sparknlp" else "observed"
    if framework == "sparknlp":
        row |= {"partitions": 2, "slots": 2, "waves": 1, "partition_rows": f"{images // 2}:2"}
    return row


CELL_COLUMNS = list(tables.COLUMNS["runs"][:11])


def _summary(runs: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, group in runs.groupby(CELL_COLUMNS, sort=False, dropna=False):
        row = dict(zip(CELL_COLUMNS, key, strict=True)) | {
            "status": group["status"].iloc[0], "precision": PRECISION, "setting": group["setting"].iloc[0],
            "repeats": usable(group).sum(), "flags": ";".join(sorted({part for flags in group["flags"]
                                                                      for part in flags.split(";") if part})),
            "set_aside": (group["status"] == "ok").sum() - usable(group).sum(),
            "effective_batch_size": group["effective_batch_size"].iloc[0],
        }  # fmt: skip
        seconds = group.loc[usable(group) if usable(group).any() else group.index, "wall_seconds"]
        if row["status"] == "ok":
            row |= {
                "median": seconds.median(), "low": seconds.min(), "high": seconds.max(),
                "cv": seconds.std() / seconds.mean(),
                "throughput": row["images"] / seconds.median(), "throughput_low": row["images"] / seconds.max(),
                "throughput_high": row["images"] / seconds.min(), "cold_median": group["cold_seconds"].median(),
                "start_median": 6.0, "load_median": 9.0, "accuracy": 1.0,
            }  # fmt: skip
        rows.append(row)
    return typed(rows, "summary")


def _best(sweep: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (framework, variant, device, workers), cells in sweep.groupby(
        ["framework", "variant", "device", "workers"], sort=False
    ):
        row = {"framework": framework, "variant": variant, "device": device, "workers": workers}
        ok = cells[cells["status"] == "ok"]
        if ok.empty:
            rows.append(row | {"reason": "no cell of the sweep was measured"})
        else:
            fastest = ok.loc[ok["median"].idxmin()]
            size = fastest.batch_size
            rows.append(row | {"batch_size": size, "median": fastest["median"], "kept": size})
    return typed(rows, "best_batch_size")


def _pairs(summary: pd.DataFrame, baseline: str) -> list[tuple[str, pd.Series, pd.Series]]:
    """(comparison, baseline cell, candidate cell), full first, the control last."""
    pairs, controls = [], []
    for dataset, label in (("full", "each at its best batch size, full"), ("sample", "same batch size, sample")):
        part = summary[(summary["dataset"] == dataset) & (summary["status"] == "ok")]
        names = part["framework"] + "/" + part["variant"]
        for _, twin in part[part["variant"].str.endswith(CONTROL)].iterrows():
            own = part[(names + CONTROL == f"{twin.framework}/{twin.variant}") & (part["device"] == twin.device)]
            controls += [(CONTROL_GROUP, one, twin) for _, one in own.iterrows()]
        for _, base in part[names == baseline].iterrows():
            others = part[(names != baseline) & (part["device"] == base.device)]
            others = others[~others["variant"].str.endswith(CONTROL)]
            if dataset == "sample":
                others = others[others["batch_size"] == base.batch_size]
            pairs += [(label, base, other) for _, other in others.iterrows()]
    return pairs + controls


def _name(cell: pd.Series) -> str:
    return f"{cell.framework}/{cell.variant}/{cell.device}/w{cell.workers:.0f}/bs{cell.batch_size:.0f}"


def _parity(pairs, images) -> pd.DataFrame:
    rows = [
        {
            "dataset": base.dataset, "baseline": _name(base), "candidate": _name(other),
            "images": images[base.dataset], "compared": images[base.dataset],
            "agreement": 1.0, "lost": "", "duplicated": 0, "baseline_accuracy": 1.0,
            "candidate_accuracy": 1.0, "probability_difference": 0.002, "passed": True,
        }
        for _, base, other in pairs
    ]  # fmt: skip
    return typed(rows, "parity")


def _speedup(pairs, images, verdict, floor) -> pd.DataFrame:
    rows = []
    for label, base, other in pairs:
        ratio = base["median"] / other["median"]
        spread = 0.04 + (zlib.crc32(_name(other).encode()) % 100) / 2000
        family = PRIMARY if base.dataset == "full" else EXPLORATORY
        judged = verdict or "too few repeats"
        lacks = label != CONTROL_GROUP and judged in ("too few repeats", "inconclusive")
        rows.append(
            {
                "baseline": _name(base), "candidate": _name(other), "dataset": base.dataset, "speedup": ratio,
                "low": ratio * (1 - spread), "high": ratio * (1 + spread), "verdict": verdict or "too few repeats",
                "blocks": base.repeats, "faster_blocks": base.repeats if ratio > 1 else 0,
                "images": images[base.dataset],
                "baseline_throughput": base.throughput, "candidate_throughput": other.throughput, "agreement": 1.0,
                "comparison": label, "family": CONTROLS if label == CONTROL_GROUP else family, "margin": MARGIN,
                "smallest_detectable": 1.13, "blocks_needed": 40 if lacks else None,
                "hours_needed": 9 if lacks else None,
                "growth": "make settle" if lacks and base.dataset == "full" else "", "floor": floor,
                "floor_low": floor and floor * 0.98, "floor_high": floor and floor * 1.05,
            }
        )  # fmt: skip
    return typed(rows, "speedup")


def empty(**how) -> Tables:
    """Tables of a run of which nothing succeeded."""
    given = how.get("variants", TWO)
    return example(**(how | {"failed": {variant: "error" for variant in given}}))


STAGES = {"read": 0.02, "decode": 0.15, "preprocess": 0.2, "forward": 0.57, "postprocess": 0.03, "other": 0.03}


def stages(run: Tables, sums: dict[str, float] | None = None) -> pd.DataFrame:
    """The table `stages` of the cells of the full set; `sums` maps variants to their sum / wall time (1 else).

    A sum of NaN: the cell could not be profiled.
    """
    rows = []
    for cell in run.summary[(run.summary["dataset"] == "full") & (run.summary["status"] == "ok")].to_dict("records"):
        total = (sums or {}).get(f"{cell['framework']}/{cell['variant']}", 1.0)
        row = {name: cell[name] for name in tables.COLUMNS["stages"] if name in cell}
        row |= {"wall_seconds": cell["median"], "sum_seconds": cell["median"] * total, "bound_by": "forward (57%)"}
        row |= {"difference": total - 1, "within_10_percent": abs(total - 1) <= 0.1, "status": "ok"}
        row["method"] = "timers" if cell["framework"] == "huggingface" else "partial pipelines and samples of the JVM"
        if pd.isna(total):
            row |= {
                "bound_by": "",
                "method": "",
                "status": "error",
                "reason": "the profiling repeat ended with status 1",
            }
        rows += [row | {"stage": stage, "share": share, "seconds": row["sum_seconds"] * share}
                 for stage, share in STAGES.items()]  # fmt: skip
    return typed(rows, "stages")


def physics(run: Tables, peak: float = 376.0) -> pd.DataFrame:
    """The table `physics` of all measured cells, with a peak in GFLOP/s."""
    rows = []
    for cell in run.summary[run.summary["status"] == "ok"].to_dict("records"):
        row = {name: cell[name] for name in tables.COLUMNS["physics"] if name in cell}
        share = cell["throughput"] * 35.13 / peak
        row |= {"gflop_per_image": 35.13, "gflops": cell["throughput"] * 35.13, "peak_gflops": peak}
        row |= {"peak_library": "onnxruntime 1.23", "peak_precision": "float32", "share_of_peak": share}
        own = {"own_library": "torch", "own_gflops": 200.0, "share_of_own": share * peak / 200}
        row |= own if cell["framework"] == "huggingface" else {"own_library": ""}
        row |= {"decode_per_core": 490.0, "decode_ceiling": 980.0}
        row |= {"verdict": "above the machine's peak: an error" if share > 1.05 else ""}
        rows.append(row)
    return typed(rows, "physics")


def write_grid(folder: Path) -> Path:
    """Write what the tables need to know of a grid, by what its full runs are judged; its path."""
    path = folder / "grid.json"
    path.write_text(json.dumps({"margin": 0.05, "most_repeats": 20, "repeats": 5, "looks": []}))
    return path


def analysed(run: Tables, failing: tuple[str, ...] = (), baseline: str = "huggingface/pipeline") -> Tables:
    """The same runs with the tables that the analysis makes of them; the labels of the variants `failing` differ."""
    rows = []
    for one, other, _ in comparisons(run.runs, baseline):
        fails = f"{other['framework']}/{other['variant']}" in failing
        rows.append({"dataset": one["dataset"], "baseline": cell_name(one), "candidate": cell_name(other), "images": 48,
                     "compared": 48, "agreement": 0.5 if fails else 1.0, "passed": not fails, "lost": "",
                     "reason": "labels differ" if fails else ""})  # fmt: skip
    parity = typed(rows, "parity")
    return Tables(
        run.runs,
        typed(summary(run.runs).to_dict("records"), "summary"),
        typed(best_batch_sizes(run.runs, MARGIN).to_dict("records"), "best_batch_size"),
        parity,
        typed(speedup(run.runs, baseline, parity).to_dict("records"), "speedup"),
        run.context,
    )
