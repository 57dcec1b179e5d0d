"""Journals made by hand, and what is true of one, found without the code under test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from seatrial.config.model import ActionName
from seatrial.history.events import ClientJoined, Event, Finding, Invoke, PlanEvent, Record, Result
from seatrial.history.fold import RunFold
from seatrial.history.frames import Frame
from seatrial.history.reader import read_journal
from seatrial.history.telemetry import FILE_NAME
from seatrial.history.view import RunView
from seatrial.verdicts import Outcome, Verdict

CREATE, RESTORE = ActionName.SNAPSHOT.value, ActionName.RESTORE.value
SECOND = 1_000_000_000
PLAN = PlanEvent(run_id="r", preset="smoke", seed=7, target="embedded", repo_path_prefix="/p", settings={"clients": 2})


def invoke(op: str, client: str = "c0", **fields: object) -> Invoke:
    return msgspec.structs.replace(Invoke(op=op, client=client, action=CREATE, index=0, mutates=True), **fields)


def result(op: str, client: str = "c0", **fields: object) -> Result:
    return msgspec.structs.replace(Result(op=op, client=client, action=CREATE, outcome=Outcome.OK), **fields)


def finding(number: int, group: str = "g", **fields: object) -> Finding:
    return msgspec.structs.replace(Finding(id=f"F{number}", group=group, check="restore", verdict=Verdict.FAIL, message="bad"), **fields)


def numbered(events: Iterable[Event], spacing_ns: int = SECOND) -> list[Record]:
    """As a journal would number them, evenly spaced."""
    return [Record(seq=seq, at_ns=seq * spacing_ns, event=event) for seq, event in enumerate(events, start=1)]


def creates(pairs: int, clients: int = 20) -> list[Event]:
    """A run of so many creates by so many clients in turn."""
    events: list[Event] = [PLAN, *(ClientJoined(client=f"c{index}", index=index) for index in range(clients))]
    for number in range(pairs):
        client = f"c{number % clients}"
        events += [invoke(str(number), client), result(str(number), client, snapshot=f"s{number}", bytes=10, service_s=0.001)]
    return events


def written(directory: Path, records: Iterable[Record], frames: Iterable[Frame] = ()) -> Path:
    """A run directory with these lines in it; nobody holds its lock."""
    directory.mkdir(parents=True, exist_ok=True)
    encode = msgspec.json.Encoder().encode
    (directory / "journal-000001.jsonl").write_bytes(b"".join(encode(record) + b"\n" for record in records))
    (directory / FILE_NAME).write_bytes(b"".join(encode(frame) + b"\n" for frame in frames))
    return directory


def frames_of(directory: Path) -> list[Frame]:
    lines = (directory / FILE_NAME).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Frame) for line in lines]


def truth(directory: Path, until_ns: int | None = None) -> RunView:
    """Everything up to a moment, folded in the order of time; records before frames of the same time."""
    fold, frames = RunFold(), frames_of(directory)
    for record in read_journal(directory):
        if until_ns is not None and record.at_ns > until_ns:
            break
        while frames and frames[0].at_ns < record.at_ns:
            fold.apply_frame(frames.pop(0))
        fold.apply(record)
    for frame in frames:
        if until_ns is None or frame.at_ns <= until_ns:
            fold.apply_frame(frame)
    return comparable(fold.view(force=True))


def comparable(view: RunView) -> RunView:
    """Without the count of how often it was looked at."""
    return msgspec.structs.replace(view, version=0)
