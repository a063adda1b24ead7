"""With CI=true a skipped test fails the run: what was not run was not shown. And who runs what, beside whom."""

import os

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist, which looks at the groups
def pytest_collection_modifyitems(items):
    """What waits longest first, and on one worker what shares a finished run or another expensive fixture."""
    order = ("smoke", "workflow", "unit")
    items.sort(key=lambda item: order.index(item.path.parent.name))
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(item.path.name if folder == "unit" else folder))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker: the one that hands out the work counts
        return
    not_run = [one for outcome in ("skipped", "xfailed") for one in reporter.stats.get(outcome, [])]
    if os.environ.get("CI") == "true" and not_run:
        reporter.write_line(f"{len(not_run)} tests were skipped, which CI=true does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
