"""The mutable counterparts of the rows of a view; owned by one ``RunFold`` and never seen outside it."""

from __future__ import annotations

from seatrial.history.events import ActionTotals, Invoke, Result
from seatrial.history.frames import CacheFrame, ClientFrame, ClientState
from seatrial.history.histogram import Histogram, bucket_of
from seatrial.history.view import ActionRow, ClientRow, Latency, Rates, SnapshotState, SnapshotView
from seatrial.verdicts import Outcome

_FRACTIONS = (0.5, 0.95, 0.99)
_P95 = (0.95,)


def latency(histogram: Histogram) -> Latency:
    """A histogram as its row."""
    if not histogram.count:
        return _NO_LATENCY
    p50, p95, p99 = histogram.percentiles(_FRACTIONS)
    return Latency(count=histogram.count, p50_s=p50, p95_s=p95, p99_s=p99, max_s=histogram.max_s, total_s=histogram.total_s)


_NO_LATENCY = Latency()


class Times:
    """The two durations of a result and their buckets, made once for the five histograms that count them."""

    __slots__ = ("queue_bucket", "queue_s", "service_bucket", "service_s")

    def __init__(self, result: Result) -> None:
        self.service_s = result.service_s if result.service_s > 0.0 else 0.0
        self.queue_s = result.queue_s if result.queue_s > 0.0 else 0.0
        self.service_bucket, self.queue_bucket = bucket_of(self.service_s), bucket_of(self.queue_s)


class ActionTally:
    """One action, of one client or of all."""

    __slots__ = ("action", "bytes", "client", "errors", "failed", "files", "noop", "ok", "queue", "row", "service", "unknown")

    def __init__(self, action: str, client: str) -> None:
        self.action, self.client = action, client
        self.ok = self.failed = self.unknown = self.noop = self.bytes = self.files = 0
        self.errors: dict[str, int] = {}
        self.service, self.queue = Histogram(), Histogram()
        self.row: ActionRow | None = None

    @classmethod
    def of(cls, totals: ActionTotals) -> ActionTally:
        """Begin with what earlier runs have counted; their causes of errors are not known."""
        tally = cls(totals.action, "")
        tally.ok, tally.failed, tally.unknown, tally.noop = totals.ok, totals.failed, totals.unknown, totals.noop
        tally.bytes = totals.bytes
        tally.service, tally.queue = Histogram.of(totals.service), Histogram.of(totals.queue)
        return tally

    def add(self, result: Result, times: Times) -> None:
        """Count one result."""
        self.row = None
        self.queue.record_in(times.queue_bucket, times.queue_s)
        self.bytes += result.bytes
        self.files += result.files
        if result.noop:
            self.noop += 1
            return
        self.service.record_in(times.service_bucket, times.service_s)
        if result.outcome is Outcome.OK:
            self.ok += 1
        elif result.outcome is Outcome.FAILED:
            self.failed += 1
        else:
            self.unknown += 1
        if result.error is not None:
            self.errors[result.error.cause] = self.errors.get(result.error.cause, 0) + 1

    def freeze(self) -> ActionRow:
        """The row; the same one until something was added."""
        if self.row is None:
            self.row = ActionRow(
                action=self.action,
                client=self.client,
                count=self.ok + self.failed + self.unknown + self.noop,
                ok=self.ok,
                failed=self.failed,
                unknown=self.unknown,
                noop=self.noop,
                errors=dict(self.errors),
                service=latency(self.service),
                queue=latency(self.queue),
                bytes=self.bytes,
                files=self.files,
            )
        return self.row


class ClientTally:
    """One client: what the journal says, overlaid by what newer telemetry says."""

    __slots__ = (
        "action",
        "actions",
        "bytes",
        "cache",
        "cache_directory",
        "data_directory",
        "done",
        "failed",
        "findings",
        "id",
        "index",
        "last",
        "last_ns",
        "name",
        "noop",
        "ok",
        "op",
        "row",
        "rows",
        "service",
        "since_ns",
        "snapshots_live",
        "stage",
        "state",
        "told_ns",
        "total",
        "unit",
        "unknown",
    )

    def __init__(self, client: str) -> None:
        self.id, self.name, self.index = client, pet_name(client), -1
        self.state: ClientState = "joining"
        self.action = self.op = self.stage = self.unit = self.data_directory = self.cache_directory = ""
        self.since_ns = self.told_ns = self.last_ns = 0
        self.done = self.total = self.ok = self.failed = self.unknown = self.noop = 0
        self.snapshots_live = self.bytes = self.findings = 0
        self.last: Result | None = None
        self.cache: CacheFrame | None = None
        self.service = Histogram()
        self.actions: dict[str, ActionTally] = {}
        self.row: ClientRow | None = None
        self.rows: tuple[ActionRow, ...] | None = None

    def enter(self, state: ClientState, at_ns: int, action: str = "", op: str = "") -> None:
        """A fact about its state."""
        self.row = None
        self.state, self.action, self.op = state, action, op
        self.stage, self.unit, self.done, self.total = "", "", 0, 0
        self.since_ns = self.told_ns = at_ns

    def invoked(self, invoke: Invoke, at_ns: int) -> None:
        """An action has begun."""
        self.enter("running", at_ns, invoke.action, invoke.op)

    def returned(self, result: Result, times: Times, at_ns: int) -> None:
        """An action has returned."""
        if result.noop:
            self.noop += 1
        else:
            self.service.record_in(times.service_bucket, times.service_s)
            if result.outcome is Outcome.OK:
                self.ok += 1
            elif result.outcome is Outcome.FAILED:
                self.failed += 1
            else:
                self.unknown += 1
        self.bytes += result.bytes
        self.last, self.last_ns = result, at_ns
        if self.state != "gone":
            self.enter("idle", at_ns)
        self.row = self.rows = None
        tally = self.actions.get(result.action)
        if tally is None:
            tally = self.actions[result.action] = ActionTally(result.action, self.id)
        tally.add(result, times)

    def told(self, frame: ClientFrame, at_ns: int) -> bool:
        """Telemetry about it; whether anything changed. A frame older than the last fact says nothing."""
        if at_ns < self.told_ns or self.state == "gone":
            return False
        now = (frame.state, frame.action, frame.op, frame.stage, frame.done, frame.total, frame.unit)
        if now == (self.state, self.action, self.op, self.stage, self.done, self.total, self.unit):
            return False
        if now[:3] != (self.state, self.action, self.op):
            # Only now: recomputed from every frame it would tremble and repaint a row in which nothing happened.
            self.since_ns = at_ns - int(frame.since_s * 1e9)
        self.state, self.action, self.op, self.stage, self.done, self.total, self.unit = now
        self.row = None
        return True

    def freeze(self) -> ClientRow:
        """The row; the same one until something changed."""
        if self.row is None:
            last = self.last
            self.row = ClientRow(
                id=self.id,
                name=self.name,
                index=self.index,
                state=self.state,
                action=self.action,
                op=self.op,
                since_ns=self.since_ns,
                stage=self.stage,
                done=self.done,
                total=self.total,
                unit=self.unit,
                last_action=last.action if last else "",
                last_outcome=last.outcome if last else None,
                last_noop=last.noop if last else False,
                last_cause=last.error.cause if last and last.error else "",
                last_ns=self.last_ns,
                ok=self.ok,
                failed=self.failed,
                unknown=self.unknown,
                noop=self.noop,
                service_s_p95=self.service.percentiles(_P95)[0],
                snapshots_live=self.snapshots_live,
                bytes=self.bytes,
                findings=self.findings,
                data_directory=self.data_directory,
                cache_directory=self.cache_directory,
                cache=self.cache,
            )
        return self.row

    def freeze_actions(self) -> tuple[ActionRow, ...]:
        """Its actions' rows; the same tuple until one changed."""
        if self.rows is None:
            self.rows = tuple(tally.freeze() for tally in self.actions.values())
        return self.rows


class SnapshotTally:
    """One snapshot."""

    __slots__ = ("created_ns", "deleted_ns", "id", "last_good_ns", "op", "owner", "root", "state")

    def __init__(self, snapshot: str) -> None:
        self.id, self.owner, self.op, self.root = snapshot, "", "", ""
        self.state: SnapshotState = "live"
        self.created_ns = self.last_good_ns = self.deleted_ns = 0

    @classmethod
    def of(cls, row: SnapshotView) -> SnapshotTally:
        """Go on from what ``freeze`` has returned."""
        tally = cls(row.id)
        tally.owner, tally.op, tally.state, tally.root = row.owner, row.op, row.state, row.root
        tally.created_ns, tally.last_good_ns, tally.deleted_ns = row.created_ns, row.last_good_ns, row.deleted_ns
        return tally

    def freeze(self) -> SnapshotView:
        """As it is now."""
        return SnapshotView(
            id=self.id,
            owner=self.owner,
            op=self.op,
            state=self.state,
            root=self.root,
            created_ns=self.created_ns,
            last_good_ns=self.last_good_ns,
            deleted_ns=self.deleted_ns,
        )


class RateTally:
    """Actions and bytes by second, for the last ``window_s`` seconds."""

    __slots__ = ("_first_ns", "_seconds", "_window_s")

    def __init__(self, window_s: int) -> None:
        self._window_s = window_s
        self._seconds: dict[int, list[int]] = {}
        self._first_ns = 0

    def add(self, at_ns: int, size: int) -> None:
        """One action that moved ``size`` bytes."""
        self._first_ns = self._first_ns or at_ns
        second = at_ns // 1_000_000_000
        counters = self._seconds.get(second)
        if counters is None:
            counters = self._seconds[second] = [0, 0]
            if len(self._seconds) > 2 * self._window_s:
                self._seconds = {key: value for key, value in self._seconds.items() if abs(second - key) <= self._window_s}
        counters[0] += 1
        counters[1] += size

    def freeze(self, at_ns: int) -> Rates:
        """Over the window that ends with ``at_ns``; a run younger than the window is measured over its own age."""
        second = at_ns // 1_000_000_000
        recent = [value for key, value in self._seconds.items() if second - self._window_s < key <= second]
        if not recent:
            return _NO_RATES
        span_s = min(float(self._window_s), max(1.0, (at_ns - self._first_ns) / 1e9))
        return Rates(
            actions_per_minute=sum(actions for actions, _ in recent) * 60 / span_s,
            bytes_per_second=sum(size for _, size in recent) / span_s,
        )


_NO_RATES = Rates()


def pet_name(client: str) -> str:
    """The words before the UUID; the whole id where there is none."""
    words = client.split("-")
    return "-".join(words[:-5]) if len(words) > 5 else client
