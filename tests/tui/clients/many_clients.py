"""A run of many clients, as records and frames: what the engine would have written, in any number and at any moment."""

from __future__ import annotations

from pathlib import Path

from seatrial.history.events import ClientJoined, ClientLeft, ErrorInfo, Event, Finding, Invoke, PlanEvent, Record, Result
from seatrial.history.fold import RunFold
from seatrial.history.frames import CacheFrame, ClientFrame, Frame
from seatrial.history.view import SnapshotView
from seatrial.verdicts import Outcome, Verdict
from seatrial_tui.source.moment import Moment, TimelineRow
from seatrial_tui.source.timelines import Timelines

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_780_000_000 * SECOND_NS
_UUID = "0b9e6c1e-5d1a-4f0e-9a55-{:012d}"
_NAMES = ("brave-otter", "calm-heron", "dusty-newt", "eager-lynx", "gentle-moth")


def client_id(number: int) -> str:
    """Of the client with that number."""
    return f"{_NAMES[number % len(_NAMES)]}-{number}-{_UUID.format(number)}"


class ManyClients:
    """Folds events as they are told, and is the source of what the screen asks for. Time stands still unless ``pass_time`` is called."""

    def __init__(self, clients: int = 0) -> None:
        self.directory = Path("20261122_020304-many")
        self.now_ns = BEGIN_NS
        self._fold, self._timelines = RunFold(), Timelines()
        self._seq = self._op = 0
        self.tell(
            PlanEvent(run_id="20261122_020304-many", preset="smoke", seed=7, target="embedded", repo_path_prefix="/repo", settings={})
        )
        for number in range(clients):
            self.join(number)

    def tell(self, event: Event) -> None:
        """One more fact."""
        self._seq += 1
        record = Record(seq=self._seq, at_ns=self.now_ns, event=event)
        self._fold.apply(record)
        self._timelines.apply(record)

    def pass_time(self, seconds: float) -> None:
        """From here on it is later."""
        self.now_ns += int(seconds * SECOND_NS)

    def join(self, number: int) -> None:
        """A client comes."""
        client = client_id(number)
        self.tell(ClientJoined(client=client, index=number, data_directory=f"/data/[{number}]", cache_directory=f"/cache/{number}"))

    def leave(self, number: int) -> None:
        """A client goes."""
        self.tell(ClientLeft(client=client_id(number)))

    def begin(self, number: int, action: str = "snapshot-root", snapshot: str = "") -> str:
        """An action begins; its operation."""
        self._op += 1
        op = f"op-{self._op}"
        self.tell(Invoke(op=op, client=client_id(number), action=action, index=self._op, mutates=True, snapshot=snapshot, queue_s=0.25))
        return op

    def act(
        self,
        number: int,
        action: str = "snapshot-root",
        outcome: Outcome = Outcome.OK,
        *,
        cause: str = "",
        message: str = "",
        noop: bool = False,
        snapshot: str = "",
        size_bytes: int = 1 << 20,
        service_s: float = 0.084,
    ) -> None:
        """A whole action."""
        op = self.begin(number, action)
        error = ErrorInfo(cause=cause, message=message) if cause else None
        made = snapshot or (f"snap-{self._op}" if action == "snapshot-root" and outcome is Outcome.OK else "")
        self.tell(
            Result(
                op=op,
                client=client_id(number),
                action=action,
                outcome=outcome,
                noop=noop,
                error=error,
                snapshot=made,
                bytes=size_bytes,
                files=3,
                service_s=service_s,
                queue_s=0.25,
            )
        )

    def find(self, number: int, damage: str = "flipped") -> None:
        """A client sees a defect."""
        finding = Finding(
            id=f"f-{self._seq}",
            group=f"g-{damage}",
            check="restore/equal",
            verdict=Verdict.FAIL,
            message=f"what came back is {damage}",
            client=client_id(number),
            damage=damage,
        )
        self.tell(finding)

    def frame(self, clients: dict[int, ClientFrame], caches: list[CacheFrame] | None = None) -> None:
        """What telemetry says."""
        told = {client_id(number): frame for number, frame in clients.items()}
        self._fold.apply_frame(Frame(at_ns=self.now_ns, clients=told, caches=caches or []))

    def moment(self) -> Moment:
        view = self._fold.view(force=True)
        return Moment(view=view, live=True, now_ns=self.now_ns, begin_ns=BEGIN_NS, end_ns=self.now_ns)

    def timeline(self, client: str) -> tuple[TimelineRow, ...]:
        return tuple(self._timelines.of(client))

    def snapshots(self, client: str) -> list[SnapshotView]:
        return self._fold.snapshots(owner=client)

    def findings(self, group: str) -> tuple[Finding, ...]:
        return ()

    def circumstances(self, group: str) -> None:
        return None

    def close(self) -> None:
        pass
