"""The documentation says what is really said to bad input, and to bad input of every kind."""

import ast
import errno
import os
import re
from functools import cache
from pathlib import Path

import bad_inputs
import pytest

from vitbench.plan.configuration import schema

ROOT = Path(__file__).resolve().parents[2]


def test_every_key_of_the_schema_is_given_a_bad_value():
    assert set(bad_inputs.VALUES) == set(bad_inputs.keys(schema()))


@pytest.mark.parametrize("key", bad_inputs.VALUES)
def test_the_line_begins_with_the_key(key):
    value = bad_inputs.nested(key, bad_inputs.VALUES[key])
    line = bad_inputs.message(lambda folder: bad_inputs.configured(folder, value))
    assert line.startswith(key.partition(".")[0]), line


AGAIN = "run: PYTHONPATH=scripts:tests/unit python tests/bad_inputs.py"


def test_the_table_in_the_documentation_is_what_is_said():
    written = bad_inputs.written()
    assert all(len(row) < 600 for row in written.splitlines())
    for given in bad_inputs.SLOW:
        written = written.replace(bad_inputs.written_of(given), "")
    assert written == bad_inputs.table(slow=False), AGAIN


@pytest.mark.jvm
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Spark NLP's jars not found", ("'JavaPackage' object is not callable", "remove that folder and run again")),
        ("a port taken", ("a port that Spark wants is taken",)),
        ("… found by Java only", ("ended before Spark was up", "memory", "heap is")),
    ],
)
def test_a_spark_that_does_not_start_is_explained_as_the_documentation_says(given, words):
    assert given in bad_inputs.STARTS_JAVA
    line = bad_inputs.message(bad_inputs.CLASSES["The machine"][given])
    assert bad_inputs.row(given, line) + "\n" == bad_inputs.written_of(given), AGAIN
    assert all(word in line for word in words)


# --- the tables that are written by hand


@cache
def strings() -> list[str]:
    """What the program may say: its string literals, with … for what varies, the Makefile, and the system's words."""
    found = [os.strerror(number) for number in (errno.ENOSPC, errno.EROFS, errno.EACCES)]
    found += [(ROOT / "Makefile").read_text(), *(path.read_text() for path in (ROOT / "rules").glob("*.smk"))]
    for path in (ROOT / "scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def quoted() -> list[str]:
    """The messages in the first column of the tables `| message | what to do |`."""
    text = bad_inputs.DOCS.read_text(encoding="utf-8")
    text = text.replace(bad_inputs.written(), "")
    found = []
    for table in re.findall(r"^\| message \|.*\n\|[- |]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for row in table.splitlines():
            found += re.findall(r"`([^`]+)`", re.split(r"(?<!\\) \| ", row)[0])
    return found


@pytest.mark.parametrize("message", quoted())
def test_a_message_in_the_documentation_is_one_of_the_program(message):
    said = strings()
    for part in (part.strip(" ;:,.") for part in message.split("…")):
        if len(part) > 3:
            assert any(part in one for one in said), f"nothing says {part!r}"
