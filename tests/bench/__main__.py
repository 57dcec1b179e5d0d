"""Runs the benchmarks named on the command line, or all, and prints one table. Exit 1 where an aim is not met."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench.harness import Row

COLUMNS = ("name", "measured", "aim", "", "note")


def names() -> list[str]:
    """All benchmarks, by file name."""
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def cells(row: Row) -> tuple[str, ...]:
    """One row as text."""
    figure = "-" if row.measured is None else f"{row.measured:,.2f} {row.unit}"
    return row.name, figure, row.aim.text if row.aim else "-", row.verdict, row.note


def table(rows: Iterable[Row]) -> str:
    """Aligned columns, the note last and as long as it is."""
    lines = [COLUMNS, *map(cells, rows)]
    widths = [max(map(len, column)) for column in list(zip(*lines, strict=True))[:-1]] + [0]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main(wanted: Sequence[str]) -> int:
    """Run and print; 2 for an unknown name."""
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)} (there are: {', '.join(names())})", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in wanted or names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"tests.bench.bench_{name}").run()
    print(table(rows))
    return int(any(row.verdict == "NOT MET" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
