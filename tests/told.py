"""``python -m tests.told REPORT...``: what JUnit reports of pytest tell of the tests that did not pass; each is named.

With ``--few`` it says nothing, and exits with 0 only if all reports are there, tests failed in them, few, and none of them broke
while it was set up or cleaned up after (where leftovers are found, which another try would hide).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

FEW = 3


def told(reports: Iterable[Path], kind: str) -> Iterator[str]:
    """Each test that ended so, by name, with the first line of why."""
    for report in reports:
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest of this checkout has written it a moment ago
            for end in case.iter(kind):
                why = (end.get("message") or "").strip().splitlines()
                yield f"{case.get('classname')}::{case.get('name')}: {why[0][:300] if why else ''}"


def main(argv: Sequence[str]) -> int:
    """Exit 1 where a test was skipped that should not have been, or where ``--few`` finds that it is not so."""
    parser = argparse.ArgumentParser(prog="python -m tests.told", description=__doc__.splitlines()[0])
    parser.add_argument("--required", default="", metavar="PROGRAM,...", help="no test may have been skipped for want of these")
    parser.add_argument("--few", action="store_true")
    parser.add_argument("reports", nargs="+", metavar="REPORT", type=Path)
    options = parser.parse_args(argv)
    there = [report for report in options.reports if report.exists()]
    failures, errors, skipped = (list(told(there, kind)) for kind in ("failure", "error", "skipped"))
    if options.few:
        return not (there == options.reports and 0 < len(failures) <= FEW and not errors)
    required = re.compile(rf"\b(?:{options.required.replace(',', '|') or '(?!)'})\b")
    wrong = [line for line in skipped if required.search(line.split(": ", 1)[-1])]
    for line in (*failures, *errors):
        print(f"failed: {line}")
    for line in wrong:
        print(f"skipped although its program is installed: {line}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
