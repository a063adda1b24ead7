"""What long repeats do minute by minute: their rate, memory, garbage collection and temperature."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import pandas

from vitbench import tables

# Seconds of passes from which on a repeat is a long one.
LEAST_SECONDS = 600
MINUTE = 60.0
# Minutes that warm up, and those after them and at the end that are compared: ten minutes hold both, and none twice.
WARMING, SPAN = 2, 3


def sustained(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a full minute of each ok repeat whose passes took LEAST_SECONDS or more (`tables.COLUMNS["sustained"]`).

    A pass counts in each minute by the share of it that lies there, as if its images came evenly. Memory and
    temperature are those after the last pass that ended within the minute.
    """
    rows = []
    for repeat in runs[runs.status == "ok"].to_dict("records"):
        seconds = _list(repeat["pass_seconds"])
        if seconds.sum() >= LEAST_SECONDS:
            known = {column: repeat[column] for column in (*OF_REPEAT, "canary_gemm")}
            rows += [known | minute for minute in _minutes(repeat, seconds)]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["sustained"]))


OF_REPEAT = ("dataset", "images", "framework", "variant", "device", "workers", "batch_size", "repeat")


def _minutes(repeat: dict, seconds: numpy.ndarray) -> Iterator[dict[str, float]]:
    ends = numpy.cumsum(seconds)
    begins = ends - seconds
    collecting, memory, celsius = (
        _list(repeat[name], len(seconds)) for name in ("pass_collecting_seconds", "pass_memory_mb", "pass_celsius")
    )
    for minute in range(1, int(ends[-1] // MINUTE) + 1):
        first, last = (minute - 1) * MINUTE, minute * MINUTE
        inside = numpy.clip(numpy.minimum(ends, last) - numpy.maximum(begins, first), 0, None) / seconds
        # A pass may be longer than a minute: then the state is that of the last one that ended before.
        ended = max(0, int(numpy.searchsorted(ends, last, side="right")) - 1)
        yield {
            "minute": minute,
            "throughput": float((inside * repeat["images"]).sum() / MINUTE),
            "memory_mb": memory[ended],
            "collecting_share": float((inside * collecting).sum() / MINUTE),
            "celsius": celsius[ended],
        }


def _list(joined: str, length: int = 0) -> numpy.ndarray:
    """The numbers of a cell such as "1.5;;2", NaN where there is none; `length` NaNs of an empty cell."""
    parts = joined.split(";") if joined else [""] * length
    return numpy.array([float(part) if part else numpy.nan for part in parts])


def trends(minutes: pandas.DataFrame) -> pandas.DataFrame:
    """A row a repeat of the table `sustained`: how it ended against how it began, after WARMING minutes.

    Columns: those of the repeat; `minutes`; `begin` and `end`, images a second of the first and last SPAN minutes;
    `change`, end / begin - 1; `canary`, how fast the machine was beside the repeat, 1 as usual; `memory_begin` and
    `memory_end`, median MB of these minutes, NaN where it is not known.
    """
    rows = []
    for key, group in minutes.groupby(list(OF_REPEAT), sort=False, dropna=False):
        warm = group[group.minute > WARMING]
        begin, end = warm.head(SPAN), warm.tail(SPAN)
        speeds = {"begin": begin.throughput.mean(), "end": end.throughput.mean()}
        rows.append(
            dict(zip(OF_REPEAT, key, strict=True))
            | {"minutes": len(group), "canary": group.canary_gemm.iloc[0]}
            | speeds
            | {"change": speeds["end"] / speeds["begin"] - 1}
            | {"memory_begin": begin.memory_mb.median(), "memory_end": end.memory_mb.median()}
        )
    return pandas.DataFrame(
        rows, columns=[*OF_REPEAT, "minutes", "canary", "begin", "end", "change", "memory_begin", "memory_end"]
    )
