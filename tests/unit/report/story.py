"""Runs that never happened, told through the real journal: what reports and lines are tested with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seatrial.clock import VirtualClock
from seatrial.history.events import (
    ClientJoined,
    ErrorInfo,
    Event,
    Finding,
    Invoke,
    Phase,
    PlanEvent,
    Record,
    Result,
    RunEnded,
    ServerEvent,
    StorageStats,
)
from seatrial.history.journal import Journal
from seatrial.verdicts import Outcome, Verdict

OTTER, FOX = "brave-otter-1", "calm-fox-2"
COMMAND = ["seatrial", "run", "smoke", "--seed", "42"]
EVIL = "data/\x1b[31mred\nfile_\u202e1"


class Story:
    """One run directory. A second passes before each event unless told otherwise."""

    def __init__(self, directory: Path, *, expect: str = "pass", preset: str = "smoke") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.clock = directory, VirtualClock()
        self.journal = Journal(directory, self.clock, ballast_bytes=0)
        self.op = 0
        self.say(
            PlanEvent(
                run_id=directory.name,
                preset=preset,
                seed=42,
                target="embedded",
                target_version="1.0",
                repo_path_prefix="/srv/prefix",
                settings={"clients": 2, "expect": expect, "description": "A story."},
                command=COMMAND,
                seatrial_version="0.1.0",
                python_version="3.11.7",
                platform="Linux-x",
            )
        )

    def subscribe(self, callback: Callable[[Record], object]) -> None:
        self.journal.subscribe(callback)

    def say(self, *events: Event, after_s: float = 1.0) -> None:
        for event in events:
            self.clock.advance(after_s)
            self.journal.append(event)

    def begin(self, client: str, action: str, snapshot: str = "") -> str:
        self.op += 1
        self.say(Invoke(op=str(self.op), client=client, action=action, index=0, mutates=True, snapshot=snapshot))
        return str(self.op)

    def end(self, op: str, client: str, action: str, outcome: Outcome = Outcome.OK, **fields: object) -> None:
        self.say(Result(op=op, client=client, action=action, outcome=outcome, service_s=0.25, **fields))  # type: ignore[arg-type]  # a double, or fields by name

    def did(self, client: str, action: str, outcome: Outcome = Outcome.OK, *, snapshot: str = "", **fields: object) -> None:
        chosen = "" if action == "snapshot-root" else snapshot
        self.end(self.begin(client, action, chosen), client, action, outcome, snapshot=snapshot, **fields)

    def set_up(self) -> None:
        self.say(
            Phase(name="setup", state="begin"),
            ServerEvent(state="ready", pid=77, address="https://127.0.0.1:4000"),
            StorageStats(when="before", directories={"/srv/prefix/robustness-data": 0}),
            ClientJoined(client=OTTER, index=0),
            ClientJoined(client=FOX, index=1),
            Phase(name="setup", state="end"),
            Phase(name="chaos", state="begin", planned_s=30),
        )

    def verify(self, total: int, restores: int) -> None:
        self.say(Phase(name="chaos", state="end"), Phase(name="verify", state="begin", planned_s=120, total=total))
        for _ in range(restores):
            self.did(FOX, "restore-random-snapID", snapshot="aa11", equal=True)
        self.say(Phase(name="verify", state="end"))

    def finish(self, verdict: Verdict = Verdict.PASS, exit_code: int = 0, reason: str = "", *, aborted: bool = False) -> None:
        self.say(
            StorageStats(when="after", directories={"/srv/prefix/robustness-data": 3 << 20}),
            ServerEvent(state="stopped"),
            RunEnded(verdict=verdict, exit_code=exit_code, reason=reason, aborted=aborted),
        )
        self.close()

    def close(self) -> None:
        self.journal.close()


def flipped(**changes: object) -> Finding:
    """What the checker says of a flipped byte, about a path that would drive a terminal."""
    fields: dict[str, object] = {
        "id": "f-1",
        "group": "restore:flipped",
        "check": "restore",
        "verdict": Verdict.FAIL,
        "message": "a restored file differs",
        "client": FOX,
        "owner": OTTER,
        "op": "5",
        "snapshot": "aa11",
        "path": EVIL,
        "damage": "flipped",
        "expected": "0x41",
        "actual": "0x40",
        "detail": ["at byte 4,097: 41 -> 40"],
        "evidence": "evidence/f-1",
        "server_log_offset": 1234,
        "remedy": "keep evidence/f-1",
    }
    return Finding(**{**fields, **changes})  # type: ignore[arg-type]  # a double, or fields by name


def clean_run(directory: Path) -> Path:
    """A run that passes: two clients, one snapshot, verified."""
    story = Story(directory)
    story.set_up()
    story.did(OTTER, "snapshot-root", snapshot="aa11", root="r1", files=3, bytes=4096)
    story.did(FOX, "delete-random-snapID", noop=True)
    story.did(FOX, "run-gc", Outcome.FAILED, error=ErrorInfo(cause="contended", message="locked"))
    story.verify(1, 1)
    story.finish()
    return directory


def damaged_run(directory: Path, *, expect: str = "pass", end: bool = True) -> Path:
    """A snapshot that was good, then a GC, then the same snapshot with a flipped byte, seen twice, while a snapshot is under way."""
    story = Story(directory, expect=expect)
    story.set_up()
    story.did(OTTER, "snapshot-root", snapshot="aa11", root="r1")
    story.did(FOX, "restore-random-snapID", snapshot="aa11", equal=True)
    story.did(OTTER, "run-gc", freed_bytes=2048)
    collecting = story.begin(OTTER, "run-gc")
    restore = story.begin(FOX, "restore-random-snapID", "aa11")
    story.say(flipped(op=restore))
    story.end(restore, FOX, "restore-random-snapID", snapshot="aa11", equal=False)
    story.end(collecting, OTTER, "run-gc")
    story.say(flipped(id="f-2", snapshot="bb22"))
    story.verify(1, 1)
    if end:
        story.finish(Verdict.FAIL, 1)
    story.close()
    return directory
