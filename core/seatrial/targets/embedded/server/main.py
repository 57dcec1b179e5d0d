"""The server process: configuration from standard input, log to standard output, SIGTERM ends it cleanly."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.errors import SeatrialError, UsageError
from seatrial.resources import refusal_of
from seatrial.targets.embedded.server import certificate
from seatrial.targets.embedded.server.config import ServerConfig
from seatrial.targets.embedded.server.filestore import FileStore
from seatrial.targets.embedded.server.listener import Listener, bind
from seatrial.targets.embedded.server.log import AccessLog, ServerLog
from seatrial.targets.embedded.server.peers import Peers
from seatrial.targets.embedded.server.routes import Routes
from seatrial.targets.embedded.server.service import Service
from seatrial.targets.embedded.server.store import BlobStore, Nodes
from seatrial.targets.embedded.server.tally import Tally
from seatrial.targets.embedded.server.users import Users
from seatrial.targets.private import make_private_directory, write_private
from seatrial.verdicts import ExitCode

_LONGEST_CONFIG = 1 << 20
_SWITCH_INTERVAL_S = 0.001
"""How long one thread may keep the interpreter from the others; the default of 5 ms is felt by whoever shares the server with a flood."""
_FILES_PER_CONNECTION = 2
_PREDECESSOR_S = 3.0
"""For the server of a run that was killed a moment ago: its guard gives it 0.8 s to end well."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the ready file says."""

    pid: int
    url: str
    """Of the repository, with the slash at its end."""
    fingerprint: str


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. ``argv`` must be empty: everything comes by standard input."""
    log = ServerLog(sys.stdout.buffer, SYSTEM_CLOCK)
    try:
        if argv:
            raise UsageError("serve takes no arguments", remedy="give the configuration on standard input")
        serve(_read_config(), log, SYSTEM_CLOCK)
    except SeatrialError as error:
        return _failed(log, str(error), error.exit_code)
    except OSError as error:
        return _failed(log, str(refusal_of(error) or error), ExitCode.BROKEN)
    return ExitCode.PASS


def serve(config: ServerConfig, log: ServerLog, clock: Clock) -> None:
    """Serve until a signal. Raises ``SeatrialError`` or ``OSError`` when it cannot start; once ready, only the signal ends it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    _raise_file_limit(config.limits.connections * _FILES_PER_CONNECTION)
    log.info("start", pid=os.getpid(), repository=config.repository, fsync=config.fsync, quota_bytes=config.quota_bytes)
    state = Path(config.state_directory)
    make_private_directory(state)
    with ExitStack() as stack:
        listening = stack.enter_context(bind(config.host, config.port, config.bind_retry_s, clock))  # first: a port in use is told at once
        store, nodes = _open_store(config, log, clock)
        stack.callback(store.close)
        access = AccessLog(Path(config.access_log), config.limits.access_log_bytes, clock)
        stack.callback(access.close)
        identity = certificate.make_or_load(state, clock)
        users = Users(config.admin, state / "users.json")
        ready = Ready(pid=os.getpid(), url=_url(listening, config.name), fingerprint=identity.fingerprint)
        peers, tally = Peers(config.limits, log, clock), Tally()
        service = Service(
            store=store,
            nodes=nodes,
            users=users,
            routes=Routes(config.name),
            peers=peers,
            tally=tally,
            limits=config.limits,
            log=log,
            clock=clock,
            append_only=config.append_only,
        )
        listener = Listener(
            listening=listening,
            tls=identity.context(),
            service=service,
            peers=peers,
            tally=tally,
            access=access,
            limits=config.limits,
            log=log,
            clock=clock,
        )
        peers.start()
        accepting = threading.Thread(target=listener.serve, name="accept", daemon=True)
        accepting.start()
        write_private(Path(config.ready_file), msgspec.json.encode(ready))
        log.info("ready", url=ready.url, fingerprint=ready.fingerprint, users=len(users), stored_bytes=store.stats().stored_bytes)
        stop.wait()
        listener.stop()
        accepting.join()
        overdue = peers.stop(config.limits.drain_s)
        for number in (signal.SIGTERM, signal.SIGINT):
            # The interpreter's end would restore the default, and a second TERM spoil the exit code.
            signal.signal(number, signal.SIG_IGN)
        log.info("stop", requests=sum(tally.counts().values()), cut_off=overdue, access_lines_dropped=access.dropped)


def _open_store(config: ServerConfig, log: ServerLog, clock: Clock) -> tuple[BlobStore, Nodes | None]:
    """The store, and its nodes where it has any."""
    if config.cluster is not None:
        from seatrial.targets.embedded.server.clusternodes import ClusterNodes  # noqa: PLC0415 (the cluster loads where it is wanted)
        from seatrial.targets.embedded.server.clusterstore import ClusterStore  # noqa: PLC0415 (the same)

        store = ClusterStore(ClusterNodes(config.cluster, log, clock), quota_bytes=config.quota_bytes)
        return store, store
    files = FileStore(Path(config.repository), fsync=config.fsync, quota_bytes=config.quota_bytes, patience_s=_PREDECESSOR_S, clock=clock)
    if files.leftovers:
        log.warn("leftovers-removed", files=files.leftovers)
    return files, None


def _url(listening: socket.socket, name: str) -> str:
    host, port = listening.getsockname()[:2]
    return f"https://[{host}]:{port}/{name}/" if ":" in host else f"https://{host}:{port}/{name}/"


def _read_config() -> ServerConfig:
    try:
        return msgspec.json.decode(sys.stdin.buffer.read(_LONGEST_CONFIG), type=ServerConfig)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the configuration is wrong: {error}", where="standard input") from error


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = wanted + 64 if hard == resource.RLIM_INFINITY else min(hard, wanted + 64)
    if highest > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))


def _failed(log: ServerLog, message: str, code: ExitCode) -> int:
    log.error("failed", message=message, exit_code=int(code))
    return code
