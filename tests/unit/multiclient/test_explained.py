"""Of many differences the gravest is said first: a finding is named after it."""

from __future__ import annotations

from pathlib import Path

from seatrial.checker.compare import DamageKind, Difference
from seatrial.multiclient.explained import explained


def test_what_was_left_out_comes_last_whatever_else_there_is(tmp_path: Path) -> None:
    mode = Difference(path="a", damage=DamageKind.MODE, expected="0600", actual="0644")
    lost = Difference(path="b", damage=DamageKind.MISSING, expected="file of 1 bytes")
    more = Difference(path="", damage=DamageKind.MORE, actual="and 3 more")
    assert [damage.kind for damage in explained([mode, more], tmp_path)] == ["mode", "more"]
    assert [damage.kind for damage in explained([mode, lost, more], tmp_path)] == ["missing", "mode", "more"]
