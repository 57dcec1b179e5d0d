"""A run directory as a large run leaves it, for measuring the dashboard: written at once, or growing at real speed.

What is in it is made up; how it gets there is not: the real ``Journal``, the real ``TelemetryWriter``, and ``server.log`` in the form
of the embedded server (whose own writer holds back lines that come this fast). Not a test and not a benchmark by itself::

    python -m tests.bench.dashboard_run DIRECTORY [clients [log lines/s [actions/s]]]

grows a run until its standard input ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock, VirtualClock, rfc3339
from seatrial.config.model import ActionName, Preset
from seatrial.engine.plan import Plan
from seatrial.history.events import (
    ClientJoined,
    ErrorInfo,
    Event,
    Fault,
    Finding,
    Invoke,
    Phase,
    PlanEvent,
    Result,
    RunEnded,
    ServerEvent,
)
from seatrial.history.frames import CacheFrame, ClientFrame, DirectoryFrame, Frame, ProcessFrame, ServerFrame
from seatrial.history.journal import Journal
from seatrial.history.telemetry import TelemetryWriter
from seatrial.seeds import new_client_id, stream
from seatrial.verdicts import Outcome, Verdict

SLICES = 10
"""Of a second: so often something is written."""
IN_FLIGHT = 16
SEED = 20_261_122
_ROOT = Path(__file__).parents[2]
_START_S = 30.0
_MIX = [
    ActionName.WRITE.value,
    ActionName.SNAPSHOT.value,
    ActionName.RESTORE.value,
    ActionName.SNAPSHOT.value,
    ActionName.LIST.value,
    ActionName.DELETE_SNAPSHOT.value,
]
_DAMAGE = ["flipped", "missing", "truncated", "stale", "zeroed"]
_MIB = 1 << 20


class Scripted:
    """What happens in the run, slice by slice. Threading: one owner."""

    def __init__(self, directory: Path, *, clients: int, log_lines_per_s: int, actions_per_s: int, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._log_lines, self._actions = log_lines_per_s // SLICES, max(1, actions_per_s // SLICES)
        self._draw = stream(SEED, "dashboard-run")
        self._ids = [new_client_id() for _ in range(clients)]
        self._idle = deque(self._ids)
        self._running: deque[Invoke] = deque()
        self._snapshots: deque[str] = deque(maxlen=5_000)
        self._number = self._slices = self._findings = 0
        self._undo = ExitStack()
        self._journal = Journal(directory, clock)
        self._undo.callback(self._journal.close)
        self._log: BinaryIO = self._undo.enter_context((directory / "server.log").open("wb", buffering=_MIB))

    def begin(self) -> None:
        """Up to the chaos phase."""
        plan = Plan.make("dashboard", Preset(description="a large run, made up", clients=len(self._ids)), SEED)
        put = self._journal.append
        put(
            PlanEvent(
                run_id=self._directory.name,
                preset="dashboard",
                seed=SEED,
                target="embedded",
                repo_path_prefix=str(self._directory / "repository"),
                settings=plan.settings(),
                command=["seatrial", "run"],
            )
        )
        put(Phase(name="setup", state="begin"))
        put(ServerEvent(state="ready", pid=4242, address="https://127.0.0.1:51515"))
        for index, client in enumerate(self._ids):
            put(
                ClientJoined(
                    client=client, index=index, data_directory=self._place(client, "data"), cache_directory=self._place(client, "cache")
                )
            )
        put(Phase(name="setup", state="end"))
        put(Phase(name="chaos", state="begin", planned_s=3600.0))

    def slice(self) -> Frame | None:
        """A tenth of a second: actions, log lines, now and then a finding and a fault; once a second the frame to write."""
        self._slices += 1
        for _ in range(self._actions):
            self._act()
        now = rfc3339(self._clock.now_ns())
        self._log.writelines(self._line(now) for _ in range(self._log_lines))
        self._log.flush()
        if self._slices % (5 * SLICES) == 0:
            self._journal.append(self._finding())
        if self._slices % (20 * SLICES) == 0:
            state: str = "begin" if self._slices % (40 * SLICES) else "end"
            self._journal.append(msgspec.convert({"kind": "fault", "fault": "slow-network", "state": state, "detail": "200 ms"}, Fault))
        return self._frame() if self._slices % SLICES == 0 else None

    def end(self) -> None:
        """The last event, and everything closed."""
        with self._undo:
            self._journal.append(Phase(name="chaos", state="end"))
            self._journal.append(RunEnded(verdict=Verdict.FAIL if self._findings else Verdict.PASS, exit_code=int(self._findings > 0)))

    def _act(self) -> None:
        if len(self._running) >= min(IN_FLIGHT, len(self._ids)):
            invoke = self._running.popleft()
            self._journal.append(self._result(invoke))
            self._idle.append(invoke.client)
        self._number += 1
        client, action = self._idle.popleft(), self._draw.choice(_MIX)
        snapshot = self._draw.choice(self._snapshots) if self._snapshots and action in (_MIX[2], _MIX[5]) else ""
        invoke = Invoke(
            op=str(self._number), client=client, action=action, index=self._number, mutates=action in (_MIX[1], _MIX[5]), snapshot=snapshot
        )
        self._journal.append(invoke)
        self._running.append(invoke)

    def _result(self, invoke: Invoke) -> Event:
        draw, snapshot = self._draw.random(), invoke.snapshot
        outcome = Outcome.OK if draw > 0.02 else Outcome.FAILED if draw > 0.005 else Outcome.UNKNOWN
        if invoke.action == ActionName.SNAPSHOT.value and outcome is Outcome.OK:
            snapshot = f"{self._draw.getrandbits(256):064x}"
            self._snapshots.append(snapshot)
        return Result(
            op=invoke.op,
            client=invoke.client,
            action=invoke.action,
            outcome=outcome,
            error=None if outcome is Outcome.OK else ErrorInfo(cause="contended", message="the repository is locked by [another] client"),
            snapshot=snapshot,
            equal=True if invoke.action == ActionName.RESTORE.value and outcome is Outcome.OK else None,
            files=self._draw.randrange(200),
            bytes=self._draw.randrange(20 * _MIB),
            service_s=self._draw.lognormvariate(-1.0, 0.8),
            queue_s=self._draw.random() / 10,
        )

    def _finding(self) -> Finding:
        self._findings += 1
        damage = self._draw.choice(_DAMAGE)
        return Finding(
            id=f"F{self._findings}",
            group=f"restore/{damage}",
            check="restore",
            verdict=Verdict.FAIL,
            message=f"dir_1/file_{self._findings} came back {damage}",
            client=self._draw.choice(self._ids),
            owner=self._draw.choice(self._ids),
            op=str(self._number),
            snapshot=self._snapshots[-1] if self._snapshots else "",
            path=f"dir_1/file_{self._findings}",
            damage=damage,
            detail=[f"0x{offset:08x} expected  9c 0b a5 d5 e9 5d ae b9 3e c7 a5 95 33 86 a1 bc" for offset in range(0, 256, 16)],
        )

    def _line(self, now: str) -> bytes:
        draw = self._draw.random()
        level = "INFO " if draw > 0.04 else "WARN " if draw > 0.01 else "ERROR"
        name, user = self._draw.getrandbits(128), self._draw.choice(self._ids)
        return (
            f"{now} {level} request method=GET path=/repository/data/{name:032x} status=200 "
            f"bytes={self._draw.randrange(_MIB)} ms={draw * 30:.3f} user={user}\n"
        ).encode()

    def _frame(self) -> Frame:
        draw, now_ns, grown = self._draw, self._clock.now_ns(), self._slices * 100_000
        running = {
            invoke.client: ClientFrame(
                state="running",
                action=invoke.action,
                op=invoke.op,
                since_s=0.5,
                stage="upload",
                done=draw.randrange(100),
                total=100,
                unit="files",
            )
            for invoke in self._running
        }
        return Frame(
            at_ns=now_ns,
            in_flight=len(self._running),
            waiting=max(0, len(self._ids) - len(self._running)) // 2,
            clients={**dict.fromkeys(self._idle, ClientFrame(state="idle")), **running},
            processes={
                role: ProcessFrame(
                    pid=4240 + number, name="python", cpu_percent=draw.random() * 90, rss_bytes=90 * _MIB + grown, open_files=40, threads=30
                )
                for number, role in enumerate(("engine", "server"))
            },
            directories=[
                DirectoryFrame(
                    path=str(self._directory / label),
                    label=label,
                    size_bytes=grown * (place + 1),
                    files=self._slices,
                    measured_at_ns=now_ns,
                )
                for place, label in enumerate(("data repository", "metadata", "base", "ledger", "logs", "evidence"))
            ],
            caches=[
                CacheFrame(
                    owner=client,
                    path=self._place(client, "cache"),
                    size_bytes=grown // (place + 1),
                    files=self._slices,
                    limit_bytes=500 * _MIB,
                    subdirectories={"contents": grown // (place + 2), "metadata": 4096},
                )
                for place, client in enumerate(self._ids)
            ],
            server=ServerFrame(
                requests={"GET": self._slices * 80, "POST": self._slices * 40},
                latency_ms_p95={"GET": draw.random() * 20, "POST": draw.random() * 60},
                stored_bytes=grown * 3,
                connections=len(self._ids),
            ),
            server_log_bytes=self._log.tell(),
        )

    def _place(self, client: str, what: str) -> str:
        return str(self._directory / "engine-data" / what / client)


def write_run(directory: Path, *, clients: int = 200, seconds: int = 60, log_lines_per_s: int = 1000, actions_per_s: int = 100) -> Path:
    """A finished run of so many seconds, written as fast as it can be; ``directory`` is made. Returns it."""
    directory.mkdir(parents=True)
    clock = VirtualClock(SYSTEM_CLOCK.now_ns() - seconds * 1_000_000_000)
    run = Scripted(directory, clients=clients, log_lines_per_s=log_lines_per_s, actions_per_s=actions_per_s, clock=clock)
    run.begin()
    for _ in range(seconds * SLICES):
        clock.advance(1 / SLICES)
        frame = run.slice()
        if frame is not None:
            # A writer drops what comes while it still writes; its end makes sure that it has written.
            writer = TelemetryWriter(directory, clock)
            writer.write(frame)
            writer.close()
    run.end()
    return directory


def grow(directory: Path, clients: int, log_lines_per_s: int, actions_per_s: int, stopped: threading.Event) -> None:
    """A run at real speed until ``stopped``, then its end."""
    clock = SYSTEM_CLOCK
    run = Scripted(directory, clients=clients, log_lines_per_s=log_lines_per_s, actions_per_s=actions_per_s, clock=clock)
    telemetry = TelemetryWriter(directory, clock)
    run.begin()
    next_s = clock.monotonic_s()
    while not clock.wait(stopped, next_s - clock.monotonic_s()):
        next_s += 1 / SLICES
        frame = run.slice()
        if frame is not None:
            telemetry.write(frame)
    telemetry.close()
    run.end()


class GrowingRun:
    """A run that another process writes at real speed, until ``stop`` (which ends the run) or ``kill`` (which does not).

    A context manager: leaving it stops it. The other process also stops when this one is gone. Threading: one owner.
    """

    def __init__(self, directory: Path, *, clients: int = 200, log_lines_per_s: int = 1000, actions_per_s: int = 100) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        arguments = [str(number) for number in (clients, log_lines_per_s, actions_per_s)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.dashboard_run", str(directory.absolute()), *arguments], stdin=subprocess.PIPE, cwd=_ROOT
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End the run as one that ends by itself. Idempotent."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.wait(_START_S):
            raise RuntimeError(f"the growing run ended with {self._process.returncode}")

    def kill(self) -> None:
        """As ``kill -9``: the journal has no end."""
        self._process.kill()
        self._process.wait(_START_S)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self.stop()
        elif self._process.stdin is not None:
            self._process.stdin.close()


def main(arguments: list[str]) -> None:
    """Grow a run until standard input ends."""
    stopped = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        stopped.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    clients, log_lines_per_s, actions_per_s = [int(text) for text in arguments[1:]] + [200, 1000, 100][len(arguments) - 1 :]
    grow(Path(arguments[0]), clients, log_lines_per_s, actions_per_s, stopped)


if __name__ == "__main__":
    main(sys.argv[1:])
