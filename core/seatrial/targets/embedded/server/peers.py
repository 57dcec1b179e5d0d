"""All connections: how many there may be, how long each may keep us waiting, and the one thread that cuts off those that overdo it.

A socket's own timeout limits a silence, not a trickle: whoever sends a byte now and then holds a thread for ever. Here each wait has a
deadline that bytes move only as far as the formula of ``Patience`` says, and one thread looks at all of them.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
from enum import Enum

from seatrial.clock import Clock
from seatrial.targets.embedded.server.config import Limits
from seatrial.targets.embedded.server.log import ServerLog

_OVERFLOW = 64
"""Connections beyond the limit that get a 503 at a time; the others are closed without a word."""
_CLEAN_UP_S = 1.0


class CoarseClock:
    """Seconds that pass while this process runs: at most two ticks count per tick.

    When the whole server was stopped (a fault of ours) or starved, no peer is to blame, so no deadline must pass meanwhile.
    Threading: one thread ticks; reading one float needs no lock.
    """

    def __init__(self, tick_s: float) -> None:
        self.now = 0.0
        self._tick_s = tick_s
        self._last: float | None = None

    def tick(self, monotonic_s: float) -> None:
        """Advance to ``monotonic_s``."""
        if self._last is not None:
            self.now += min(monotonic_s - self._last, 2 * self._tick_s)
        self._last = monotonic_s


class Waiting(str, Enum):
    """What we wait for from a peer; the value is for the log."""

    NOTHING = "nothing"
    HEADER = "header"
    IDLE = "idle"
    BODY = "body"
    READER = "reader"
    LINGER = "linger"


class Peer:
    """One connection. Threading: its thread owns it; ``deadline``, ``waiting`` and ``user`` are read by others, one attribute at a time."""

    __slots__ = ("address", "cut", "deadline", "refused", "since", "sock", "user", "waiting")

    def __init__(self, sock: ssl.SSLSocket, address: str, now: float) -> None:
        self.sock, self.address, self.since = sock, address, now
        self.deadline, self.waiting = math.inf, Waiting.NOTHING
        self.user = ""
        """Last user who gave a good password here."""
        self.refused = False
        """Over the limit: it gets a 503."""
        self.cut = ""
        """Why we cut it off."""

    def wait_for(self, what: Waiting, deadline: float) -> None:
        """From here on the peer keeps us waiting, until ``deadline`` of the coarse clock."""
        self.deadline, self.waiting = deadline, what

    def work(self) -> None:
        """It is our turn: no deadline of the peer's."""
        self.deadline, self.waiting = math.inf, Waiting.NOTHING


class Patience:
    """What a peer has left while one body moves: ``left = min(silence, left - waited + moved / rate)``, and ``total`` at most.

    Only waiting is charged, not our own work on disk. Threading: the connection's thread.
    """

    __slots__ = ("_began", "_clock", "_left", "_moved", "_peer", "_rate", "_silence", "_total", "_what")

    def __init__(self, peer: Peer, clock: CoarseClock, limits: Limits, what: Waiting) -> None:
        self._peer, self._clock, self._what = peer, clock, what
        self._silence = self._left = limits.body_silence_s
        self._rate, self._total = limits.body_rate_bytes_s, limits.body_s
        self._began = 0.0
        self._moved = 0

    def begin(self) -> None:
        """We are about to wait."""
        self._began, self._moved = self._clock.now, 0
        self._peer.wait_for(self._what, self._began + min(self._left, self._total))

    def moved(self, size: int) -> None:
        """``size`` bytes have moved, and we wait on."""
        self._moved += size
        if self._clock.now != self._began:  # within a tick no deadline is looked at
            self.end()
            self.begin()

    def end(self) -> None:
        """The wait is over."""
        self._peer.work()
        waited = self._clock.now - self._began
        self._total -= waited
        self._left = min(self._silence, self._left - waited + self._moved / self._rate)


class Peers:
    """All connections and the thread that cuts off.

    Threading: any thread. The lock guards ``_peers``, ``_unproven`` and each peer's membership: a socket is shut down only while its
    peer is a member, and a peer leaves before its socket is closed, so that a reused descriptor is never hit.
    """

    def __init__(self, limits: Limits, log: ServerLog, clock: Clock) -> None:
        self.coarse = CoarseClock(limits.tick_s)
        self._limits, self._log, self._clock = limits, log, clock
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self._peers: set[Peer] = set()
        self._unproven: dict[Peer, None] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self.stopping = False
        """Answers say ``Connection: close`` from now on."""

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def admit(self, sock: ssl.SSLSocket, address: str) -> Peer | None:
        """A member for this connection; marked ``refused`` over the limit, None far over it or while stopping."""
        peer = Peer(sock, address, self.coarse.now)
        with self._lock:
            if self.stopping or len(self._peers) >= self._limits.connections + _OVERFLOW:
                return None
            full = len(self._peers) >= self._limits.connections or len(self._unproven) >= self._limits.unproven
            peer.refused = full and not self._make_room()
            self._peers.add(peer)
            if not peer.refused:
                self._unproven[peer] = None
            peer.wait_for(Waiting.HEADER, self.coarse.now + (self._limits.linger_s if peer.refused else self._limits.header_s))
        return peer

    def proven(self, peer: Peer, user: str) -> None:
        """``peer`` has shown a good password of ``user``."""
        if peer.user == user:
            return
        with self._lock:
            self._unproven.pop(peer, None)
            peer.user = user

    def leave(self, peer: Peer) -> None:
        """No more a member; before its socket is closed."""
        with self._lock:
            self._peers.discard(peer)
            self._unproven.pop(peer, None)
            if not self._peers:
                self._empty.notify_all()

    def cut_user(self, user: str) -> None:
        """Cut off every connection that ``user`` has open."""
        with self._lock:
            for peer in [peer for peer in self._peers if peer.user == user]:
                self._cut(peer, "user removed")

    def stop(self, drain_s: float) -> int:
        """Cut off the idle ones now and the others after ``drain_s``; returns how many were still at work. Ends the thread."""
        with self._lock:
            self.stopping = True
            self._cut_waiting(Waiting.HEADER, Waiting.IDLE, Waiting.LINGER)
        give_up_at = self._clock.monotonic_s() + drain_s
        while (left_s := give_up_at - self._clock.monotonic_s()) > 0:
            with self._lock:
                if not self._peers:
                    break
                self._empty.wait(min(left_s, self._limits.tick_s))
                self._cut_waiting(Waiting.HEADER, Waiting.IDLE, Waiting.LINGER)  # a kept connection that has just answered
        with self._lock:
            overdue = len(self._peers)
            for peer in list(self._peers):
                self._cut(peer, "server stops")
            self._empty.wait_for(lambda: not self._peers, _CLEAN_UP_S)  # their threads take away what they had half uploaded
        self._ended.set()
        self._thread.join()
        return overdue

    def __len__(self) -> int:
        return len(self._peers)

    def _make_room(self) -> bool:
        oldest = next(iter(self._unproven), None)
        if oldest is None or self.coarse.now - oldest.since < self._limits.unproven_s:
            return False
        self._cut(oldest, "made room")
        return True

    def _cut_waiting(self, *kinds: Waiting) -> None:
        for peer in [peer for peer in self._peers if peer.waiting in kinds]:
            self._cut(peer, "server stops")

    def _cut(self, peer: Peer, why: str) -> None:
        """Wake its thread: reads end, writes fail. The lock is held."""
        peer.cut = peer.cut or why
        self._unproven.pop(peer, None)
        peer.deadline = math.inf
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: that forgets the TLS state under the feet of the connection's thread, which would go on in plain text.
            socket.socket.shutdown(peer.sock, socket.SHUT_RDWR)

    def _watch(self) -> None:
        self.coarse.tick(self._clock.monotonic_s())
        while not self._clock.wait(self._ended, self._limits.tick_s):
            self.coarse.tick(self._clock.monotonic_s())
            overdue = []
            with self._lock:
                for peer in self._peers:
                    if peer.deadline <= self.coarse.now:
                        overdue.append((peer.address, peer.user, peer.waiting))
                        self._cut(peer, f"kept us waiting for {peer.waiting.value}")
            for address, user, waiting in overdue:
                if waiting not in (Waiting.IDLE, Waiting.LINGER):
                    self._log.warn("cut-off", waiting_for=waiting.value, peer=address, user=user or "-")
