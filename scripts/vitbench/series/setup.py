"""What was equal and what was not when the series measured a comparison and when we did."""

from __future__ import annotations

from typing import Any

# What the clock waits for here, whatever the framework (docs/methodology.md, "What is timed").
SINK = "every answer in Python"


def tell_apart(
    theirs: tuple[Any, Any], ours: tuple[Any, Any], blocks: int, about: dict[str, Any], context: dict[str, Any],
    shape: dict[str, int] | None,
) -> tuple[str, str]:  # fmt: skip
    """In words, what was equal on both sides of a replication, and what was not, as "what: theirs / ours".

    Args:
        theirs, ours: baseline and candidate, each a row of the runs table.
        blocks: how many of ours the comparison rests on.
        about: what the series states of itself (series.yaml).
        context: that of our records.
        shape: sizes of our model, by the names that `about["shape"]` has; None where they are not known.
    """
    facts = [
        ("model", about["model"], _model(context)),
        ("shape of the model", _sizes(about["shape"]), _sizes(shape) if shape else ""),
        ("precision", *(_both(row.precision for row in rows) for rows in (theirs, ours))),
        ("engine", _both(_their_engine(row, about) for row in theirs), _both(_our_engine(row) for row in ours)),
        ("sink", _both(about["sinks"][row.framework] for row in theirs), SINK),
        ("data set", about["datasets"][theirs[0].dataset], context["datasets"][ours[0].dataset]["name"]),
        ("images", *(_both(f"{row.images:,.0f}" for row in rows) for rows in (theirs, ours))),
        ("batch size", *(_both(_size(row.batch_size) for row in rows) for rows in (theirs, ours))),
        ("hardware", _both(_listed(row.hardware) for row in theirs), context["machine_text"]),
        ("versions", _both(_listed(row.framework_version) for row in theirs), _versions(context)),
        ("runs", "one, no warm-up", f"{blocks} block{'s' * (blocks != 1)}, timed after warm-up"),
    ]
    known = [(name, one, other) for name, one, other in facts if one and other]
    equal = [f"{name}: {one}" for name, one, other in known if one == other]
    unequal = [f"{name}: {one} / {other}" for name, one, other in known if one != other]
    return "; ".join(equal), "; ".join(unequal)


def _both(words: Any) -> str:
    """One word where baseline and candidate share it, otherwise both."""
    return " and ".join(dict.fromkeys(words))


def _listed(stated: str) -> str:
    """Without semicolons, which stand between facts."""
    return stated.replace("; ", ", ")


def _model(context: dict[str, Any]) -> str:
    return context["model"] + (f" ({context['model_note']})" if context.get("model_note") else "")


def _sizes(shape: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {size}" for name, size in sorted(shape.items()))


def _size(size: float) -> str:
    return f"{size:.0f}" if size == size else "not stated"


def _versions(context: dict[str, Any]) -> str:
    return ", ".join(f"{package} {version}" for package, version in context["versions"].items())


def _their_engine(row: Any, about: dict[str, Any]) -> str:
    engine = about["engines"][row.framework]
    if row.framework != "sparknlp" or row.device != "cpu":
        return engine
    return f"{engine}, oneDNN {'off' if row.variant.endswith('no-onednn') else 'on'}"


def _our_engine(row: Any) -> str:
    """The engine's name at the head of a setting, and oneDNN where it speaks of that: "TensorFlow, oneDNN on"."""
    parts = [part.strip() for part in row.setting.split(",")]
    name = " ".join(word for word in parts[0].split() if not word[0].isdigit())
    onednn = [part for part in parts if part.startswith("oneDNN") and row.device == "cpu"]
    return ", ".join([name, *onednn])
