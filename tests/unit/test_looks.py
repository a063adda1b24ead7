"""Looks are noted once each, beside the records, and a file that is none of ours is refused in one line."""

from __future__ import annotations

import pytest

from vitbench.errors import UserError
from vitbench.plan import looks


def test_looks_are_kept_in_order_and_each_once(tmp_path):
    path = tmp_path / "deep" / "looks.json"
    assert looks.earlier(path, 100) == []
    for blocks in (8, 5, 8, 12):
        looks.record(path, blocks, 20)
    assert [look["blocks"] for look in looks.earlier(path, 100)] == [5, 8, 12]
    assert [look["blocks"] for look in looks.earlier(path, 12)] == [5, 8]
    assert looks.most(path) == 12 and looks.most(tmp_path / "none.json") == 0


def test_the_plan_of_the_first_look_stays(tmp_path):
    looks.record(tmp_path / "looks.json", 5, 20)
    looks.record(tmp_path / "looks.json", 5, 400)
    assert looks.earlier(tmp_path / "looks.json", 6) == [{"blocks": 5, "most_repeats": 20}]


def test_too_few_blocks_are_no_look_and_a_fixed_number_spends_everything(tmp_path):
    looks.record(tmp_path / "looks.json", 4, 20)
    assert not (tmp_path / "looks.json").exists()
    looks.record(tmp_path / "looks.json", 10, None)
    assert looks.earlier(tmp_path / "looks.json", 11) == [{"blocks": 10, "most_repeats": 10}]


WRONG = ["", "{", '{"blocks": 5}', "[5]", '[{"blocks": 5}]', "3", '[{"blocks": "5", "most_repeats": 9}]']


@pytest.mark.parametrize("content", WRONG)
def test_what_is_no_list_of_looks_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "looks.json"
    path.write_text(content)
    with pytest.raises(UserError) as raised:
        looks.earlier(path, 10)
    assert "looks.json" in str(raised.value) and "\n" not in str(raised.value)
