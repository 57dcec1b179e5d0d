"""What the checker makes of a restore that came back wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seatrial.checker.checker import Checker
from seatrial.checker.findings import Findings
from seatrial.checker.mismatch import Damage, MismatchError
from seatrial.context import Context
from seatrial.history.events import Finding
from seatrial.history.ledger import SnapshotRow
from seatrial.verdicts import Verdict

ROW = SnapshotRow(id="s1", run_id="run", op="", owner="a", root="r", state="live", created_start_ns=1, created_end_ns=2)


class Wrong:
    """Restores ``a`` with another content."""

    def restore_snapshot_compare(self, ctx: Context, snapshot_id: str, restore_dir: Path, *_: object) -> None:
        (restore_dir / "a").write_bytes(b"other")
        raise MismatchError(snapshot_id, [Damage(path="a", kind="flipped")])


def found(evidence: Path, restored: Path) -> Finding:
    """The finding that a wrong restore becomes."""
    written: list[Any] = []
    ledger: Any = SimpleNamespace(node=None, snapshot=lambda _: ROW)
    wrong: Any = Wrong()
    nothing: Any = None
    checker = Checker(
        run_id="run",
        traits=nothing,
        ledger=ledger,
        snapshotter=wrong,
        verifier=nothing,
        emit=nothing,
        findings=Findings(written.append),
        evidence=evidence,
    )
    with pytest.raises(MismatchError) as raised:
        checker.restore_and_compare(Context(), ROW, restored, "0-1")
    checker.report(raised.value, action="restore-random-snapID", op="0-1", client="b", snapshot="s1")
    (finding,) = written
    assert isinstance(finding, Finding)
    assert (finding.group, finding.verdict, finding.path) == ("restore/flipped", Verdict.FAIL, "a")
    return finding


def test_where_its_evidence_lies_is_told_from_the_run_directory_on_which_may_move(tmp_path: Path) -> None:
    (tmp_path / "restored").mkdir()
    finding = found(tmp_path / "run/evidence", tmp_path / "restored")
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    assert (moved / finding.evidence / "restored/a").read_bytes() == b"other"
    assert finding.evidence == "evidence/0-1"


def test_it_is_a_finding_also_where_no_evidence_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "restored").mkdir()
    (tmp_path / "evidence").write_text("a file, where nothing can be put\n")
    assert found(tmp_path / "evidence", tmp_path / "restored").evidence == ""
