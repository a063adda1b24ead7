"""The two frameworks' names, exchanged: what is said of records must not depend on what their framework is called."""

from __future__ import annotations

import re

import pandas

from vitbench.frameworks import FRAMEWORKS

HUGGINGFACE, SPARKNLP = (FRAMEWORKS[name] for name in ("huggingface", "sparknlp"))
VERSIONS = {"transformers": "5.23.0", "spark-nlp": "5.5.3"}
# What stands for the one in a table, a sentence or a chart, and for the other.
NAMES = {
    "huggingface": "sparknlp",
    "pipeline": "tensorflow",
    HUGGINGFACE.title: SPARKNLP.title,
    HUGGINGFACE.color: SPARKNLP.color,
    VERSIONS["transformers"]: VERSIONS["spark-nlp"],
}
OTHER = NAMES | {other: one for one, other in NAMES.items()}
EITHER = re.compile("|".join(map(re.escape, sorted(OTHER, key=len, reverse=True))))


def swapped(text: str) -> str:
    """The text with the two frameworks' names exchanged."""
    return EITHER.sub(lambda found: OTHER[found[0]], text)


def swap(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The table with them exchanged wherever words stand in it."""
    return frame.map(lambda value: swapped(value) if isinstance(value, str) else value)
