"""What `make test-all` may leave out: nothing where `CI` is set, and nothing silently elsewhere.

A test that is skipped there has not shown that leakwatch works with a program; a green run must not look as if it had.
"""

import os
from collections.abc import Generator
from typing import Final

import pytest

_WHOLE: Final = frozenset({"peers", "systemd"})  # folders whose tests need what a machine may lack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of something into a failure that says what is wanted."""
    report = yield
    if report.skipped and os.environ.get("CI") and item.path.parent.name in _WHOLE:
        why = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"Nothing may be skipped where CI is set. {why}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was not run."""
    if skipped := len(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(f"NOT RUN: {skipped} tests, for want of what the lines above name.", bold=True)
