"""profiles/slurm against the rules: what measures has a whole node, and nothing else asks for ten thousand cores."""

import re

import yaml

from vitbench.files import HOME

PROFILE = yaml.safe_load((HOME / "profiles" / "slurm" / "config.yaml").read_text())
RULES = {
    block.partition(":")[0]: block
    for path in (HOME / "rules").glob("*.smk")
    for block in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]
}


def test_what_measures_and_the_barrier_before_it_have_a_whole_node_of_one_kind():
    alone = {name for name, block in RULES.items() if "machine=EXCLUSIVE" in block} | {"check_ready"}
    assert PROFILE["set-resources"].keys() == alone
    for resources in PROFILE["set-resources"].values():
        assert "--exclusive" in resources["slurm_extra"].split() and resources["constraint"]


def test_every_other_rule_that_takes_all_cores_of_one_machine_is_made_small():
    greedy = {name for name, block in RULES.items() if "10_000" in block}
    assert PROFILE["set-threads"].keys() == greedy - PROFILE["set-resources"].keys()
