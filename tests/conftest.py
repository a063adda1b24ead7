"""With CI=true a skipped test fails the run: what was not run was not shown. And who runs what, beside whom."""

import os

import pytest
from xdist.scheduler import LoadScopeScheduling


def pytest_collection_modifyitems(items):
    """What waits longest comes first."""
    order = ("smoke", "workflow", "unit")
    items.sort(key=lambda item: order.index(item.path.parent.name))


class Together(LoadScopeScheduling):
    """Hands out tests so that those which share a finished run, or another dear fixture, stay on one worker."""

    def _split_scope(self, nodeid):
        _, folder, file = nodeid.partition("::")[0].split("/")
        return file if folder == "unit" else folder


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
