"""What the end of a run says: what was skipped and why, the drills' reports, and which flavour was not tested at all.

All of it is read from the tests' reports, which is what reaches the process that prints when tests run in others
(pytest-xdist): that process runs no test, and loads no conftest.py below tests/ either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from hedgerow.sandbox.flavours import flavours_available

DRILL = "drill"  # the user property of a test that holds a drill's report


def write(terminal: pytest.TerminalReporter) -> None:
    reports = [each for kind in terminal.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    drills = [
        str(value) for each in reports if each.when == "call" for name, value in each.user_properties if name == DRILL
    ]
    if drills:
        terminal.section("drills")
        for drill in drills:
            terminal.write_line(drill)
    skipped = skip_reasons(reports)
    if skipped:
        terminal.section("skipped")
        for reason, count in skipped.most_common():
            terminal.write_line(f"{count:5}  {reason}")
    for found in flavours_available():
        if not found.available and str(found) in skipped:
            terminal.section(f"NOT TESTED: {found.flavour.upper()}", sep="!", red=True, bold=True)
            terminal.write_line(f"Every test on {found.flavour} was skipped. {found}", red=True)


def skip_reasons(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """How many tests were skipped for each reason."""
    reasons: Counter[str] = Counter()
    for report in reports:
        if report.skipped and isinstance(report.longrepr, tuple):
            reasons[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    return reasons
