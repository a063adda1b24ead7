"""Accuracy: which images count for it, and what share of them was answered rightly. One rule for every stage.

A label of the data set counts if it stands for a label of the model (`match`). What it stands for is written into each
record where it is not the same text, so that tables and checks need no model to follow it.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

# Labels that a note names; the others are counted.
NAMED = 3


def match(labels: Iterable[str], of_model: Collection[str]) -> dict[str, str | None]:
    """Label of the data set → the label of the model that it stands for, None where it stands for none.

    That is, of the whole label or else of its last folder (`train/cat`), the one label of the model that is the same
    text; the same in Unicode's NFC, which folders of a Mac are not written in; the same with blanks for underscores; or
    the first of whose synonyms (`tench, Tinca tinca`) is that. Where several are, the rule says nothing.
    """
    rules = [(_only(of_model, of_its), of_ours) for of_its, of_ours in RULES]

    def found(label: str) -> str | None:
        for text in dict.fromkeys((label, label.rpartition("/")[2])):
            for known, key in rules:
                if key(text) in known:
                    return known[key(text)]
        return None

    return {label: found(label) for label in dict.fromkeys(labels) if label}


def stated(matched: Mapping[str, str | None]) -> dict[str, str | None]:
    """What a record says of `match`: the labels that the model writes otherwise, or (None) has not."""
    return {label: found for label, found in sorted(matched.items()) if found != label}


def contradicted(matched: Mapping[str, str | None], answered: Collection[str]) -> list[tuple[str, str | None]]:
    """What cannot be so of what a record says of its labels: one that the model has not, and answers; another text.

    Args:
        matched: as `stated` gives it.
        answered: labels that the model gave.
    """
    texts = {_composed(label) for label in answered}
    return [
        (label, found)
        for label, found in matched.items()
        if (_composed(label) in texts if found is None else match([label], [found]).get(label) != found)
    ]


def expected(labels: Mapping[str, str], matched: Mapping[str, str | None]) -> dict[str, str]:
    """Image → the label that the model should give it, empty where it does not count.

    Args:
        labels: image → its label in the data set, empty where it has none.
        matched: as `match` or `stated` gives it.
    """
    return {image: matched.get(label, label) or "" for image, label in labels.items()}


def share_right(predictions: Iterable[Sequence], wanted: Mapping[str, str]) -> float | None:
    """Share of the images that count whose one answer is the right one; None where none counts.

    Args:
        predictions: (image, label, …) of each answer. An image that is answered twice is not answered.
        wanted: as `expected` gives it.
    """
    answers = [(one[0], one[1]) for one in predictions]
    times = Counter(image for image, _ in answers)
    answered = {image: label for image, label in answers if times[image] == 1}
    counting = {image: label for image, label in wanted.items() if label}
    if not counting:
        return None
    return sum(answered.get(image) == label for image, label in counting.items()) / len(counting)


def note(labels: Mapping[str, str], matched: Mapping[str, str | None], of_model: Collection[str]) -> str:
    """What is to be said of a data set some of whose labels are none of the model's; "" where all are.

    "accuracy over 2 of 6 images; no label of the model: hund, kat; nearest: cat for kat"

    Args:
        of_model: the model's labels, as far as they are known here.
    """
    unknown = sorted({label for label in labels.values() if label and matched.get(label, label) is None})
    if not unknown:
        return ""
    counting = sum(bool(label) for label in expected(labels, matched).values())
    more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
    said = f"accuracy over {counting} of {len(labels)} images; no label of the model: "
    said += ", ".join(map(_shown, unknown[:NAMED])) + more
    near = [(close, label) for label in unknown if (close := _nearest(label, of_model))]
    if near:
        said += "; nearest: " + ", ".join(f"{_shown(close)} for {_shown(label)}" for close, label in near[:NAMED])
    return said


def _nearest(label: str, of_model: Collection[str]) -> str | None:
    texts = {_blanks(one).casefold(): one for one in of_model}
    close = difflib.get_close_matches(_blanks(label).rpartition("/")[2].casefold(), texts, n=1)
    return texts[close[0]] if close else None


def _only(labels: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Key → label, of the keys that only one label has."""
    labels = list(labels)
    times = Counter(map(key, labels))
    return {key(label): label for label in labels if times[key(label)] == 1}


def _itself(label: str) -> str:
    return label


def _composed(label: str) -> str:
    return unicodedata.normalize("NFC", label)


def _blanks(label: str) -> str:
    return _composed(label).replace("_", " ")


def _first(label: str) -> str:
    return _blanks(label).partition(",")[0].strip()


def _shown(label: str) -> str:
    """A name that anybody may have given to a folder, in one line."""
    return " ".join(label.split())[:40]


# How a label of the model and one of the data set are written before they are compared, the strictest rule first.
RULES: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (_itself, _itself),
    (_composed, _composed),
    (_blanks, _blanks),
    (_first, _blanks),
)
