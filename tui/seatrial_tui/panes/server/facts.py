"""What there is to say about a server, each as a few toned words. Pure functions of a moment."""

from __future__ import annotations

from seatrial.history.frames import Frame, ProcessFrame, ServerFrame
from seatrial.history.view import RunView, ServerView
from seatrial.report.prose import duration, plural, size
from seatrial.verdicts import exit_status
from seatrial_tui.lines.sheet import Line, meter, packed
from seatrial_tui.lines.tones import Cell, Tone
from seatrial_tui.panes.server.requests import Requests
from seatrial_tui.source.moment import Moment

NOT_TOLD: Cell = ("not told by this target", Tone.FAINT)
NO_TELEMETRY: Cell = ("no telemetry yet", Tone.FAINT)
_STATES = {
    "": ("○", Tone.FAINT),
    "starting": ("◐", Tone.WARN),
    "ready": ("●", Tone.GOOD),
    "stopping": ("◐", Tone.WARN),
    "stopped": ("○", Tone.FAINT),
    "died": ("✗", Tone.BAD),
}


def state(shown: Moment) -> list[tuple[int, Line]]:
    """How it is, and how often it was otherwise: parts for ``packed``."""
    server = shown.view.server
    if not server.state:
        return [(0, [("○ no server yet", Tone.FAINT)])]
    sign, tone = _STATES[server.state]
    word = "DIED" if server.state == "died" else server.state
    since = duration(max(0, shown.now_ns - server.since_ns) / 1e9) if server.since_ns else ""
    how_long = f"up {since}" if server.state == "ready" else f"{since} ago" if server.state in {"died", "stopped"} else f"for {since}"
    told = shown.view.frame.server if shown.view.frame else None
    return [
        (0, [(f"{sign} {word}", tone)]),
        (0, [(exit_status(server.exit_code), tone)] if server.state in {"died", "stopped"} and server.exit_code is not None else []),
        (1, [how_long]),
        (2, [("pid ", Tone.FAINT), str(server.pid)] if server.pid else [("pid ", Tone.FAINT), NOT_TOLD]),
        (1, [(plural(server.restarts, "restart"), Tone.WARN if server.restarts else Tone.FAINT)]),
        (1, [(plural(server.deaths, "death"), Tone.BAD if server.deaths else Tone.FAINT)]),
        (3, [plural(told.connections, "connection")] if told else []),
    ]


def address(server: ServerView, width: int) -> Line:
    """Where it is; behind it, what it said of its state."""
    parts: list[tuple[int, Line]] = [(0, [server.address or ("no address", Tone.FAINT)])]
    if server.detail:
        parts.append((1, [(server.detail, Tone.BAD if server.state == "died" else Tone.FAINT)]))
    return packed(parts, width)


def process(frame: Frame | None, role: str) -> ProcessFrame | None:
    """As it was sampled last."""
    return frame.processes.get(role) if frame else None


def held(view: RunView, one: ProcessFrame | None) -> list[tuple[int, Line]]:
    """What else the server's process holds, or why nobody knows."""
    if one is not None:
        return _numbers(one)
    if view.server.state in {"died", "stopped"}:
        return [(0, [("no process now", Tone.FAINT)])]
    return [(0, [("not seen in the last sample", Tone.FAINT) if view.frame else NO_TELEMETRY])]


def _numbers(one: ProcessFrame) -> list[tuple[int, Line]]:
    return [(0, [plural(one.open_files, "open file")]), (1, [plural(one.threads, "thread")])]


def stored(told: ServerFrame | None) -> list[tuple[int, Line]]:
    """Bytes, and how much of the quota they are."""
    if told is None:
        return [(0, [NOT_TOLD])]
    if not told.quota_bytes:
        return [(0, [size(told.stored_bytes), (", no quota", Tone.FAINT)])]
    share = told.stored_bytes / told.quota_bytes
    tone = Tone.BAD if share >= 0.95 else Tone.WARN if share >= 0.8 else Tone.PLAIN
    return [
        (0, [f"{size(told.stored_bytes)} of {size(told.quota_bytes)}"]),
        (1, [(f"{meter(share, 10)} {share:4.0%}", tone)]),
    ]


def engine(frame: Frame | None) -> list[tuple[int, Line]]:
    """Our own process, in short: a tester that is busy itself measures nothing."""
    one = process(frame, "engine")
    if one is None:
        return [(0, [("not seen" if frame else "no telemetry yet", Tone.FAINT)])]
    return [
        (0, [("pid ", Tone.FAINT), str(one.pid)]),
        (0, [("CPU ", Tone.FAINT), f"{one.cpu_percent:.0f} %"]),
        (1, [("memory ", Tone.FAINT), size(one.rss_bytes)]),
        *((2 + rank, line) for rank, line in _numbers(one)),
    ]


def requests(told: ServerFrame | None, counted: Requests) -> list[tuple[int, Line]]:
    """All kinds together."""
    if told is None or not told.requests:
        return [(0, [("requests ", Tone.FAINT), NOT_TOLD])]
    rate = "" if counted.per_second is None else f", {counted.per_second:,.1f}/s"
    return [(0, [("requests ", Tone.FAINT), f"{counted.total:,}{rate}"])]
