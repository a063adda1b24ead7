"""With CI=true a skipped test fails the run: what was not run was not shown. And who runs what, beside whom."""

import ast
import os
from functools import cache

import pytest
from tree import ROOT
from xdist.scheduler import LoadScopeScheduling

from vitbench.measure.processes import LOCK

# Threads that wait for each other sleep. Those of torch would spin, for others that have no core to run on beside two
# workers: the same work took 16 times the CPU seconds here. Set before anything imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Fixtures that are dear to make: a finished run, and a tree in which everything is measured. All files with a test that
# asks for one, itself or by other fixtures, stay together.
SHARED = {"smoke": "smoke", "measured_pipeline": "smoke", "measured": "measured", "tree": "measured"}
# What takes longest comes first, so that all workers end together: beginnings of scopes, in their order.
FIRST = ("smoke", "measured", "tests/smoke/", "tests/workflow/test_install", "tests/workflow/")


@pytest.fixture(scope="session", autouse=True)
def own_lock(tmp_path_factory):
    """What this worker measures waits for nobody's measurement on this machine, and kills nothing of theirs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(LOCK, str(tmp_path_factory.mktemp("lock")))
        yield


@cache
def scope(file: str) -> str:
    """What stays on one worker with the tests of a file: itself, or all files that share a dear fixture."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    arguments = {name: {one.arg for one in node.args.args} for name, node in functions.items()}
    fixtures = {name for name, node in functions.items() if any("fixture" in ast.dump(d) for d in node.decorator_list)}
    imported = {name.asname or name.name for node in body if isinstance(node, ast.ImportFrom) for name in node.names}
    asked = set().union(*(given for name, given in arguments.items() if name.startswith("test_")))
    while more := set().union(*(arguments[name] for name in asked & fixtures)) - asked:
        asked |= more
    # A fixture of that name which the file defines, or imports, is another one.
    return next((shared for name, shared in SHARED.items() if name in asked - fixtures - imported), file)


def pytest_collection_modifyitems(items):
    def place(item: pytest.Item) -> int:
        of_file = scope(item.nodeid.partition("::")[0])
        return next((number for number, begin in enumerate(FIRST) if of_file.startswith(begin)), len(FIRST))

    items.sort(key=place)


class Together(LoadScopeScheduling):
    """Hands out tests so that those which share a finished run, or another dear fixture, stay on one worker."""

    def _split_scope(self, nodeid):
        return scope(nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config, log):
    return Together(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker: the one that hands out the work counts
        return
    not_run = [one for outcome in ("skipped", "xfailed") for one in reporter.stats.get(outcome, [])]
    if os.environ.get("CI") == "true" and not_run:
        reporter.write_line(f"{len(not_run)} tests were skipped, which CI=true does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
