"""Of many differences the gravest is said first: a finding is named after it."""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3

from seatrial.checker.compare import DamageKind, Difference
from seatrial.checker.nodes import ID_BYTES, Entry, Kind
from seatrial.multiclient.explained import explained
from seatrial.workload.blocks import Own, Stream


def test_what_was_left_out_comes_last_whatever_else_there_is(tmp_path: Path) -> None:
    mode = Difference(path="a", damage=DamageKind.MODE, expected="0600", actual="0644")
    lost = Difference(path="b", damage=DamageKind.MISSING, expected="file of 1 bytes")
    more = Difference(path="", damage=DamageKind.MORE, actual="and 3 more")
    assert [damage.kind for damage in explained([mode, more], tmp_path)] == ["mode", "more"]
    assert [damage.kind for damage in explained([mode, lost, more], tmp_path)] == ["missing", "mode", "more"]


def test_a_file_that_is_right_when_it_is_read_again_is_not_called_intact(tmp_path: Path) -> None:
    content = bytes(Stream(Own(client="c", path=b"file", generation=1)).content(0, 10_000))
    (tmp_path / "file").write_bytes(content)
    entry = Entry(b"file", Kind.FILE, 0o644, 0, 0, len(content), blake3(content).digest(ID_BYTES))
    (damage,) = explained([Difference(path="file", damage=DamageKind.CONTENT, entry=entry)], tmp_path)
    assert damage.kind == "content"
    assert damage.lines[-1].startswith("at the first reading it was not")
