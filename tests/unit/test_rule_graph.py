"""The picture of the rules: read from dot, without what follows, in rows from top to bottom."""

import describe_rules
import pytest

DOT = """digraph snakemake_dag {
    node[shape=box, style=rounded];
	0[label = "all", color = "0.1 0.6 0.85", style="rounded"];
	1[label = "collect", color = "0.2 0.6 0.85", style="rounded"];
	2[label = "measure", color = "0.3 0.6 0.85", style="rounded"];
	1 -> 0
	2 -> 0
	2 -> 1
}
"""


def test_a_graph_is_read_and_reduced():
    graph = describe_rules.parsed(DOT)
    assert graph == {"all": {"collect", "measure"}, "collect": {"measure"}, "measure": set()}
    assert describe_rules.reduced(graph) == {"all": {"collect"}, "collect": {"measure"}, "measure": set()}


def test_arrows_that_close_a_circle_are_kept_apart():
    graph = {"choose": {"measure"}, "measure": {"ready", "choose"}, "ready": set()}
    straight, back = describe_rules.without_circles(graph)
    assert straight == {"choose": {"measure"}, "measure": {"ready"}, "ready": set()} and back == {"measure": {"choose"}}


def test_no_row_is_wider_than_the_picture():
    graph = {"a": set()} | {f"a rule with a long name {number}": {"a"} for number in range(20)}
    lines = describe_rules.rows(graph)
    assert sorted(rule for line in lines for rule in line) == sorted(graph) and lines[0] == ["a"]
    assert all(sum(map(describe_rules.width, line)) < describe_rules.WIDTH for line in lines)


def test_makers_stand_above_takers_and_boxes_do_not_touch():
    graph = {"d": {"b", "c"}, "b": {"a"}, "c": {"a"}, "a": set(), "e": {"d", "a"}}
    lines = describe_rules.rows(graph)
    depth = {rule: number for number, line in enumerate(lines) for rule in line}
    assert all(depth[maker] < depth[rule] for rule, makers in graph.items() for maker in makers)
    picture = describe_rules.drawn(graph, {"b": {"d"}})
    assert picture.count("<rect") == len(graph) and picture.count("<path") == 7 and picture.count("dasharray") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# One\n# two.\n\nrule a:\n", "One two."),
        ("rule a:\n", ""),
        ("# x\nimport re\n# y\n", "x"),
        ("# In <a>/b.csv, c.\n", "In `<a>/b.csv`, c."),
    ],
)
def test_a_rule_file_says_what_it_opens_with(text, said):
    assert describe_rules.contract(text) == said


def test_the_rule_without_a_name_is_that_of_the_charts():
    text = "rule one:\n    input:\nfor a in b:\n\n    rule:\n        name:\nrule two:\n"
    assert describe_rules.rules_of(text, ["plot_x", "plot_y"]) == ["one", "plot_x", "plot_y", "two"]
