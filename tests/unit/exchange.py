"""The two frameworks' names, exchanged: what is said of records must not depend on what their framework is called."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from example_tables import Tables, analysed

from vitbench.cells import CONTROL

NAMES = (
    ("huggingface/pipeline", "sparknlp/tensorflow"),
    ("huggingface", "sparknlp"),
    ("Hugging Face", "Spark NLP"),
    ("(pipeline", "(tensorflow"),  # as people are told a variant: Spark NLP 5.5.3 (tensorflow)
)
EACH = {one: other for pair in NAMES for one, other in (pair, pair[::-1])}
# Where a variant's name stands alone, it is all that stands there: the word may mean something else in a sentence.
WORDS = ("pipeline", "tensorflow")
ALONE = {one + end: other + end for one, other in (WORDS, WORDS[::-1]) for end in ("", CONTROL)}
ANY = re.compile("|".join(map(re.escape, sorted(EACH, key=len, reverse=True))))


def exchanged(thing: Any) -> Any:
    """A text, or a frame or a list or a dictionary of them, with the names exchanged."""
    if isinstance(thing, str):
        return ALONE.get(thing) or ANY.sub(lambda found: EACH[found[0]], thing)
    if isinstance(thing, pd.DataFrame):
        return thing.apply(lambda column: column.map(exchanged))
    if isinstance(thing, dict):
        return {name: exchanged(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [exchanged(one) for one in thing]
    return thing


def under_exchanged_names(run: Tables) -> Tables:
    """The same records, had each of the two frameworks been called what the other is called; all tables are made of
    the runs again, and the baseline is the one that it was. The two packages have one version.
    """
    runs = run.runs.copy()
    for column in ("framework", "variant"):
        runs[column] = runs[column].map(exchanged)
    context = exchanged(run.context) | {"versions": run.context["versions"]}
    return analysed(Tables(runs, None, None, None, None, context), baseline=context["baseline"])
