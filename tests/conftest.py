"""With CI=true a skipped test fails the run: what was not run was not shown."""

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    not_run = [one for outcome in ("skipped", "xfailed") for one in reporter.stats.get(outcome, [])]
    if os.environ.get("CI") == "true" and not_run:
        reporter.write_line(f"{len(not_run)} tests were skipped, which CI=true does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
