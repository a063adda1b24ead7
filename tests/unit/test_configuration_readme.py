"""The table of keys follows the schema, and every configuration in the documentation is a valid one."""

import re
from pathlib import Path

import describe_configuration
import pytest
import yaml

from vitbench.errors import UserError
from vitbench.plan import configuration
from vitbench.plan.grid import Grid

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "config/README.md", "docs/own.md", "docs/data.md", "docs/tutorial.md", "docs/gpu.md")
# Blocks of YAML in these pages are whole configuration files, merged over the default.
EXAMPLES = [
    pytest.param(block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S))
]


def test_the_table_is_up_to_date():
    assert describe_configuration.main(["--check"]) == 0


def test_a_changed_table_is_found_and_put_right(tmp_path):
    readme = tmp_path / "README.md"
    whole = describe_configuration.README.read_text()
    readme.write_text(whole.replace("| `repeats` |", "| `repetitions` |"))
    with pytest.raises(UserError, match="out of date"):
        describe_configuration.main(["--check"], readme)
    assert "`repetitions`" in readme.read_text()
    describe_configuration.main([], readme)
    assert readme.read_text() == whole


def test_a_missing_marker_gets_one_line(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(describe_configuration.README.read_text().replace("<!-- end -->", ""))
    with pytest.raises(UserError, match="put both back"):
        describe_configuration.main([], readme)


def test_a_new_key_gets_a_row_with_default_and_limits():
    schema = {"properties": {"depth": {"description": "how deep", "type": "integer", "minimum": 3}}}
    assert describe_configuration.table(schema, {"depth": 4}).splitlines()[2:] == [
        "| `depth` | `4` | integer, at least 3 | how deep |"
    ]


def test_every_setting_of_a_definition_has_a_row():
    text = describe_configuration.definitions(configuration.schema())
    for row in ("datasets, kind list | `column`", "models | `hub`", "variants of huggingface | `compile`"):
        assert f"| {row} |" in text


def test_every_key_has_a_row():
    text = describe_configuration.README.read_text()
    for key in yaml.safe_load(describe_configuration.DEFAULT.read_text()):
        assert f"| `{key}` |" in text


@pytest.mark.parametrize("block", EXAMPLES)
def test_examples_are_valid_configurations(block, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(block)
    assert Grid(configuration.load(path), platform="linux-x86_64").sweep


def test_there_are_examples():
    assert len(EXAMPLES) >= 5
