"""A server's process that is stopped while it is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seatrial.children import Child, Children
from seatrial.config.model import Preset
from seatrial.errors import HarnessError
from seatrial.history.events import Event, ServerEvent
from seatrial.targets.programs.served import ServedProcess
from seatrial.targets.protocols import Surroundings

FOR_LONG = ["sleep", "600"]


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children()
    try:
        yield made
    finally:
        made.close()


def served(place: Path, children: Children, events: list[Event]) -> ServedProcess:
    around = Surroundings(
        preset=Preset(), repository=place, base=place, server_log=place / "server.log", children=children, emit=events.append
    )
    return ServedProcess(around, "some server")


def test_one_that_was_stopped_is_not_started_again(tmp_path: Path, children: Children) -> None:
    process = served(tmp_path, children, [])
    process.start(FOR_LONG, is_ready=lambda: "here")
    process.stop(5.0)
    with pytest.raises(HarnessError, match="stopped for good"):
        process.start(FOR_LONG, is_ready=lambda: "here")
    assert process.child is not None
    assert process.child.returncode is not None


def test_one_that_is_stopped_while_it_is_started_does_not_stay(tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    process, spawned = served(tmp_path, children, events), []
    spawn = children.spawn

    def and_stop(*argv: Any, **how: Any) -> Child:
        spawned.append(spawn(*argv, **how))
        process.stop(5.0)
        return spawned[0]

    monkeypatch.setattr(children, "spawn", and_stop)
    with pytest.raises(HarnessError, match="stopped for good"):
        process.start(FOR_LONG, is_ready=lambda: "here")
    assert spawned[0].returncode is not None
    assert [event.state for event in events if isinstance(event, ServerEvent)] == [], "its end is no news"
