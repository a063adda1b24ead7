"""The published numbers of the series: checked, and turned into the tables that live records become.

One run a cell, no repeats, no predictions: ratios carry the verdict "one run", no interval and no parity.
A *run name* is environment/framework/variant/device/wWORKERS/dataset; it means the run that the post picked among the
batch sizes of that group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas
import scipy
import yaml

from vitbench.analysis import scaling as scalings
from vitbench.analysis.statistics import ALPHA
from vitbench.cells import VARIANT, cell_name, variant_key
from vitbench.errors import UserError
from vitbench.tables import COLUMNS

NEEDED = {
    "runs.csv": """part environment framework framework_version device hardware workers dataset n_images batch_size
        seconds is_best source onednn seconds_basis seconds_in_post_text comment""",
    "claims.csv": """id part claim dataset device stated quantity relation percent ratio operands untestable source
        reply reply_date reply_link""",
    "partitions.csv": "environment device dataset partitions slots basis source",
    "hardware.csv": "part environment role nodes",
}
MAY_BE = {"framework": ("huggingface", "sparknlp"), "device": ("cpu", "gpu"), "dataset": ("sample", "full"),
          "is_best": ("true", "false"), "onednn": ("on", "off", "na", "not_stated")}  # fmt: skip
GROUP = ["machine", "dataset", *VARIANT]
ONE_RUN = "one run"


class Series(NamedTuple):
    """Everything under resources/published/, checked."""

    about: dict[str, Any]
    runs: pandas.DataFrame
    """runs table with the further columns part, picked, hardware, framework_version, comment"""
    claims: pandas.DataFrame
    hardware: pandas.DataFrame
    figures: list[dict[str, Any]]


def read(folder: Path) -> Series:
    """Read the published data.

    Raises:
        UserError: a table lacks a column, or a row of it is not possible; names file, line and reason.
    """
    about = yaml.safe_load((folder / "series.yaml").read_text())
    partitions = _table(folder / "partitions.csv").set_index(["environment", "device", "dataset"])
    runs = _runs(folder / "runs.csv", about, partitions)
    claims = _table(folder / "claims.csv")
    figures = yaml.safe_load((folder / "figures.yaml").read_text())
    return Series(about, runs, claims, _table(folder / "hardware.csv"), figures)


def _table(path: Path) -> pandas.DataFrame:
    try:
        table = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (FileNotFoundError, pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
        raise UserError(f"{path}: {error}: restore it with `git checkout {path}`") from None
    if absent := [column for column in NEEDED[path.name].split() if column not in table]:
        raise UserError(f"{path} lacks the column {', '.join(absent)}")
    return table


def _runs(path: Path, about: dict[str, Any], partitions: pandas.DataFrame) -> pandas.DataFrame:
    """The runs table from the published rows, one a row."""
    rows: list[dict[str, Any]] = []
    seen: dict[tuple, int] = {}
    for line, raw in enumerate(_table(path).to_dict("records"), 2):
        where = f"{path}, line {line}"
        for column, words in MAY_BE.items():
            if raw[column] not in words:
                raise UserError(f"{where}: {column} {raw[column]!r}: it must be one of {', '.join(words)}")
        if raw["environment"] not in about["environments"]:
            raise UserError(f"{where}: environment {raw['environment']!r} is not described in series.yaml")
        row = _run(raw, about, partitions, where)
        key = tuple(row[column] for column in (*GROUP, "batch_size"))
        if key in seen:
            raise UserError(f"{where}: the same cell as line {seen[key]}: one row a cell, the series has no repeats")
        seen[key] = line
        rows.append(row)
    table = pandas.DataFrame(rows)
    for key, group in table.groupby(GROUP, sort=False):
        if group.picked.sum() != 1:
            raise UserError(f"{path}: {'/'.join(map(str, key))}: {group.picked.sum()} rows have is_best true, not one")
    return table


def _run(raw: dict[str, str], about: dict[str, Any], partitions: pandas.DataFrame, where: str) -> dict[str, Any]:
    seconds = _positive(raw, "seconds", where)
    images, workers = _positive(raw, "n_images", where), _positive(raw, "workers", where)
    size = _positive(raw, "batch_size", where) if raw["batch_size"] else None
    spark = raw["framework"] == "sparknlp"
    no_onednn = spark and raw["device"] == "cpu" and raw["onednn"] == "off"
    place = (raw["environment"], raw["device"], raw["dataset"])
    split = partitions.loc[place] if spark and place in partitions.index else None
    effective = size
    if split is not None and size is not None:
        # Spark NLP groups the rows of a partition, so that no batch is larger than the largest partition.
        effective = min(size, math.ceil(images / int(split.partitions)))
    row = dict.fromkeys(COLUMNS["runs"]) | {
        "source": "published",
        "machine": raw["environment"],
        "model": about["model"],
        "precision": about["precision"],
        "images": int(images),
        "framework": raw["framework"],
        "variant": ("tensorflow-no-onednn" if no_onednn else "tensorflow") if spark else "pipeline",
        "workers": int(workers),
        "batch_size": size,
        "effective_batch_size": effective,
        "repeat": 0,
        "block": 0,
        "status": "ok",
        "wall_seconds": seconds,
        "throughput": images / seconds,
        "partitions": None if split is None else int(split.partitions),
        "flags": "",
    }
    return (
        row
        | {key: raw[key] for key in ("dataset", "device", "part", "hardware", "framework_version", "comment")}
        | {"picked": raw["is_best"] == "true", "basis": "" if split is None else split.basis}
    )


def _positive(raw: dict[str, str], column: str, where: str) -> float:
    try:
        value = float(raw[column])
    except ValueError:
        raise UserError(f"{where}: {column} {raw[column]!r} is not a number") from None
    if not (value > 0 and math.isfinite(value)):
        raise UserError(f"{where}: {column} {raw[column]}: it must be above 0")
    return value


def run_name(row: Any) -> str:
    """Name of the group that a row of the runs table belongs to."""
    return f"{row.machine}/{variant_key(row)}/{row.device}/w{row.workers}/{row.dataset}"


def picked_runs(runs: pandas.DataFrame) -> dict[str, Any]:
    """run name → the row that the post picked."""
    return {run_name(row): row for row in runs[runs.picked].itertuples(index=False)}


def find_run(picked: dict[str, Any], name: str, where: str) -> Any:
    """The picked run of this name.

    Raises:
        UserError: there is none.
    """
    if name not in picked:
        raise UserError(f"{where}: no published run is called {name}")
    return picked[name]


# --- accidental repeats


def accidental_repeats(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row for each set of cells that differ in batch size only, and not in effective batch size: repeats of one cell.

    Their coefficient of variation (sample standard deviation / mean) is the noise of the published experiment.
    """
    rows = []
    for key, group in runs.dropna(subset="effective_batch_size").groupby([*GROUP, "effective_batch_size"], sort=False):
        if len(group) > 1:
            seconds, inside = group.wall_seconds, group[group.picked]
            rows.append(
                dict(zip([*GROUP, "effective_batch_size"], key, strict=True))
                | {
                    "batch_sizes": ";".join(f"{size:.0f}" for size in group.batch_size),
                    "n": len(group),
                    "mean": seconds.mean(),
                    "low": seconds.min(),
                    "high": seconds.max(),
                    "cv": seconds.std() / seconds.mean(),
                    "picked": inside.batch_size.iloc[0] if len(inside) else None,
                    "partitions": group.partitions.iloc[0],
                    "basis": group.basis.iloc[0],
                }
            )
    return pandas.DataFrame(rows)


@dataclass(frozen=True)
class Noise:
    """Coefficient of variation of a published time, and the degrees of freedom that it was estimated with."""

    cv: float
    df: int


def pooled_noise(repeats: pandas.DataFrame) -> dict[tuple[str, str], Noise]:
    """(device, data set) → noise of one published time, pooled over the accidental repeats there.

    Pooled: the mean of the squared CVs weighted by their degrees of freedom (n - 1 each), for 3 to 6 repeats are too
    few to trust the CV of one place. Where a data set has no accidental repeats the device's are all pooled.
    """

    def pool(rows: pandas.DataFrame) -> Noise:
        df = rows.n - 1
        return Noise(math.sqrt((df * rows["cv"] ** 2).sum() / df.sum()), int(df.sum()))

    found = {}
    for device, rows in repeats.groupby("device"):
        found |= {(device, dataset): pool(rows) for dataset in ("sample", "full")}
        found |= {(device, dataset): pool(some) for dataset, some in rows.groupby("dataset")}
    return found


def noise_factor(noise: dict[tuple[str, str], Noise], sides: Sequence[tuple[str, str, int]]) -> float:
    """Factor f for which ratio / f … ratio × f is the 95% interval of a ratio of two published times; NaN if unknown.

    The logarithm of a time varies by its CV, so that of a ratio by the root of the sum of both squares; the quantile is
    Student's t, degrees of freedom after Welch and Satterthwaite, where two sides with one estimate count as one.

    Args:
        sides: device, data set and number of runs averaged, of each of the two times.
    """
    variances: dict[Noise, float] = {}
    for device, dataset, runs in sides:
        if (device, dataset) not in noise:
            return math.nan
        one = noise[device, dataset]
        variances[one] = variances.get(one, 0) + one.cv**2 / runs
    total = sum(variances.values())
    if total == 0:
        return 1.0
    df = total**2 / sum(variance**2 / one.df for one, variance in variances.items())
    return math.exp(float(scipy.stats.t.ppf(1 - ALPHA / 2, df)) * math.sqrt(total))


def best_batch_sizes(runs: pandas.DataFrame, repeats: pandas.DataFrame) -> pandas.DataFrame:
    """A row a group: the fastest batch size, the one that the post picked (`kept`), and whether that can be told."""
    rows = []
    for key, group in runs.groupby(GROUP, sort=False):
        zone = repeats[(repeats[GROUP] == pandas.Series(key, index=GROUP)).all(axis=1)]
        fastest = group.loc[group.wall_seconds.idxmin()]
        kept = group[group.picked].batch_size.iloc[0]
        reason = "fastest" if fastest.batch_size == kept else "the post picked another"
        if len(group) == 1:
            reason = "only run"
        for one in zone[zone.picked.notna()].to_dict("records"):
            reason += f"; picked inside {one['n']} accidental repeats of one cell, CV {one['cv']:.1%}: "
            reason += "cannot be told apart"
        rows.append(
            dict(zip(GROUP, key, strict=True))
            | {"batch_size": fastest.batch_size, "median": fastest.wall_seconds, "kept": kept, "reason": reason}
        )
    return pandas.DataFrame(rows)


# --- comparisons


def speedups(runs: pandas.DataFrame, about: dict[str, Any]) -> pandas.DataFrame:
    """A row a comparison of two picked runs, in the form of the live table; ratio of the seconds, verdict "one run".

    Framework against framework on the same hardware, each variant's GPU against its CPU, and each cluster against one
    node. The core part of the series comes first.
    """
    found = pandas.DataFrame([_speedup(*pair) for pair in comparisons(runs, about)])
    # Columns that only live records have stay empty; those that only the series has come after the others.
    return found.reindex(columns=list(dict.fromkeys([*COLUMNS["speedup"], *found.columns])))


def comparisons(runs: pandas.DataFrame, about: dict[str, Any]) -> list[tuple[Any, Any, str]]:
    """The pairs of picked runs that `speedups` compares: baseline, candidate, and in words what they have in common."""
    picked = list(runs[runs.picked].itertuples(index=False))
    pairs = [
        (base, other, group)
        for base in picked
        for other in picked
        if base.dataset == other.dataset and (group := _comparison(base, other, about))
    ]
    return sorted(pairs, key=lambda pair: (pair[1].part != str(about["core"]), pair[1].part, pair[0].dataset != "full"))


def _comparison(base: Any, other: Any, about: dict[str, Any]) -> str:
    """What two runs on one data set have in common that makes them comparable; empty if nothing does."""
    environments = about["environments"]
    words = {name: environment["words"] for name, environment in environments.items()}
    same_variant = (base.framework, base.variant) == (other.framework, other.variant)
    what = f"part {other.part} · {words[other.machine]} · {other.dataset}"
    if base.machine == other.machine and base.workers == other.workers:
        if base.device == other.device:
            ours = base.framework == "huggingface" and other.framework == "sparknlp"
            onednn = base.variant == "tensorflow-no-onednn" and other.variant == "tensorflow"
            return what if ours or onednn else ""
        # The series has one Spark NLP variant on the GPU: it is compared with the same variant on the CPU.
        return what if same_variant and base.device == "cpu" else ""
    scaled = base.device == other.device and environments[other.machine].get("one_node") == base.machine
    return f"{what}, against {words[base.machine]}" if scaled else ""


def _speedup(base: Any, other: Any, group: str) -> dict[str, Any]:
    return {
        "baseline": cell_name(base._asdict()),
        "candidate": cell_name(other._asdict()),
        "dataset": other.dataset,
        "speedup": base.wall_seconds / other.wall_seconds,
        "low": None,
        "high": None,
        "verdict": ONE_RUN,
        "blocks": 1,
        "faster_blocks": None,
        "p_holm": None,
        "floor": None,
        "images": other.images,
        "baseline_throughput": base.throughput,
        "candidate_throughput": other.throughput,
        "agreement": None,
        "comparison": group,
        "fairness": "",
        "reason": "parity not checked",
        "baseline_hardware": base.hardware,
        "candidate_hardware": other.hardware,
    }


def scaling_figure(series: Series) -> dict[str, Any]:
    """The figure of figures.yaml that says which runs the scaling is of."""
    return next(figure for figure in series.figures if figure["chart"] == "scaling")


def clustered(runs: pandas.DataFrame, figure: dict[str, Any]) -> pandas.DataFrame:
    """The picked runs of Spark NLP on one node and on clusters, the rows of a runs table.

    Args:
        figure: names the `environments` (one node, and several workers) and the `dataset`.
    """
    spark = runs[runs.picked & (runs.framework == "sparknlp") & (runs.dataset == figure["dataset"])]
    return spark[spark.machine.isin(figure["environments"])]


def scaling(runs: pandas.DataFrame, figure: dict[str, Any]) -> pandas.DataFrame:
    """A row a device and number of workers of these runs, by the code that tabulates ours (`analysis.scaling`)."""
    return scalings.scaling(clustered(runs, figure))
