"""With CI=true a skipped test fails the run: what was not run was not shown. And who runs what, beside whom."""

import os
import re
from functools import cache

import pytest
from tree import ROOT
from xdist.scheduler import LoadScopeScheduling


def pytest_collection_modifyitems(items):
    """What waits longest comes first."""
    order = ("smoke", "workflow", "unit")
    items.sort(key=lambda item: order.index(item.path.parent.name))


# What the tests of a folder share and is dear to make: a finished run, a tree in which everything is measured.
SHARED = {
    "smoke": re.compile(r"def test_\w+\([^)]*\bsmoke\b"),
    "workflow": re.compile(r"def test_\w+\([^)]*\b(measured|tree)\b"),
}


@cache
def scope(file: str) -> str:
    """What stays together with the tests of a file: itself, or the files of its folder that share a dear fixture."""
    folder = file.split("/")[1]
    return folder if folder in SHARED and SHARED[folder].search((ROOT / file).read_text()) else file


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
