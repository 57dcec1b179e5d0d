"""A private ``sshd`` on loopback: its own host key, its own configuration, one key and one forced command for each client.

It runs as whoever we are. An ordinary user's lets in that user only, root's lets in root by forced commands only; nobody else has a key.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shlex
import socket
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.context import Context
from seatrial.errors import TargetError, UsageError
from seatrial.targets.borg.configuration import path_word, quoted
from seatrial.targets.borg.keys import fingerprint_of, new_key
from seatrial.targets.private import make_private_directory, write_private
from seatrial.targets.programs.program import Found
from seatrial.targets.programs.served import ServedProcess
from seatrial.targets.protocols import Surroundings

HOST = "127.0.0.1"
SESSION_VARIABLE = "SEATRIAL_SSHD"
"""In the environment of all that a client's connection starts: which start of which server it belongs to."""
CLIENT_VARIABLE = "SEATRIAL_CLIENT"
"""Whose connection it is; stands in the log where a session begins."""
_NO_SHELLS = frozenset({"nologin", "false"})
_STOP_GRACE_S = 2.0
_SESSIONS_S = 5.0
_CHECK_S = 20.0
_PENALTIES_SINCE = (9, 8)
"""From there on a refused client would lock out everybody else who comes from the same address."""
_NO_PRIVSEP = re.compile(r"Missing privilege separation directory: (/\S+)")


def user_name() -> str:
    """Whose login it is. ``UsageError`` where sshd would let us in under no name: there is none, or its shell is none."""
    number = os.geteuid()
    try:
        entry = pwd.getpwuid(number)
    except KeyError:
        raise UsageError(
            f"user {number} has no name on this system, and sshd lets in nobody without one",
            where="borg target",
            remedy="run as a user who stands in /etc/passwd",
        ) from None
    shell = Path(entry.pw_shell or "/bin/sh")
    if shell.name in _NO_SHELLS or not os.access(shell, os.X_OK):
        raise UsageError(
            f"{entry.pw_name} may not log in, its shell is {shell}, and sshd runs what it runs by the shell",
            where="borg target",
            remedy="run as a user with a shell",
        )
    return entry.pw_name


class Sshd:
    """One ssh server, which may be started again on the same port.

    Threading: any thread; ``_lock`` guards the clients' keys and the file that sshd reads them from at every connection. Starts are for
    one thread at a time.
    """

    def __init__(
        self, around: Surroundings, program: Found, home: Path, variables: Mapping[str, str], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``variables`` are set for whatever the clients' commands start."""
        self._around, self._program, self._home, self._variables, self._clock = around, program, home, dict(variables), clock
        self.process = ServedProcess(around, "ssh server", clock=clock)
        self._host_key = new_key()
        self._lock = threading.Lock()
        self._keys: dict[str, str] = {}
        self._reserved: socket.socket | None = None
        self.port = 0

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self._host_key.public)

    @property
    def known_host(self) -> str:
        """The host key as a line of ``known_hosts``."""
        return f"[{HOST}]:{self.port} {self._host_key.public}"

    def start(self) -> None:
        """Start it, or start it again; returns once it listens. Raises ``TargetError``, ``UsageError``."""
        make_private_directory(self._home)
        if not self.port:
            self._reserve()
        write_private(self._home / "host_key", self._host_key.private.encode())
        self._write_keys()
        token = uuid.uuid4().hex
        write_private(self._home / "sshd_config", self._configuration(token).encode())
        argv = [str(self._program.path), "-D", "-e", "-f", str(self._home / "sshd_config")]
        self._check(argv)
        line = f"Server listening on {HOST} port {self.port}.".encode()
        log = self._around.server_log
        offset = log.stat().st_size if log.exists() else 0

        def is_ready() -> str:
            with log.open("rb") as file:
                file.seek(offset)
                return f"ssh://{HOST}:{self.port}" if line in file.read() else ""

        self.process.start(argv, is_ready=is_ready, where=f"port {self.port}")
        # Connections outlive the listener that took them: a server that is gone has none.
        self.process.gone.on_cancel(lambda: _end_sessions(token))

    def authorize(self, user: str, public_key: str, command: Sequence[str]) -> None:
        """Let whoever has the key run this command, and nothing else. In force when this returns."""
        told = shlex.join(["env", f"{CLIENT_VARIABLE}={user}", *command]).replace('"', '\\"')
        with self._lock:
            self._write_keys_locked(self._keys | {user: f'command="{told}",restrict {public_key} {user}\n'})

    def remove(self, user: str) -> None:
        """Let the user in no more; connections that are open stay so. An unknown user is fine."""
        with self._lock:
            if user in self._keys:
                self._write_keys_locked({name: line for name, line in self._keys.items() if name != user})

    def connections(self) -> int:
        """How many connections there are now."""
        child = self.process.child
        if child is None or child.returncode is not None:
            return 0
        try:
            return len(psutil.Process(child.pid).children())
        except psutil.Error:
            return 0

    def stop(self) -> None:
        """End it and all its connections. Idempotent."""
        self.process.stop(_STOP_GRACE_S)
        if self._reserved is not None:
            self._reserved.close()

    def _reserve(self) -> None:
        """Have the kernel choose a port, and keep it: a socket that is bound and does not listen leaves it to sshd, and to nobody else."""
        self._reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, 0))
        self.port = self._reserved.getsockname()[1]
        if sys.platform != "linux":  # elsewhere a bound socket is in sshd's way
            self._reserved.close()

    def _configuration(self, token: str) -> str:
        variables = self._variables | {SESSION_VARIABLE: token}
        lines = [
            "AddressFamily inet",
            f"ListenAddress {HOST}",
            f"Port {self.port}",
            f"HostKey {quoted(str(self._home / 'host_key'))}",
            f"AuthorizedKeysFile {path_word(self._home / 'authorized_keys')}",
            "AuthenticationMethods publickey",
            "PasswordAuthentication no",
            "PermitRootLogin forced-commands-only",
            "StrictModes no",  # the directories above are the user's business; those of ours are private
            "UsePAM no",
            "DisableForwarding yes",
            "PermitTTY no",
            "PermitUserRC no",
            "PrintMotd no",
            "UseDNS no",
            "PidFile none",
            "MaxStartups 10000",
            "LogLevel VERBOSE",
            "SetEnv " + " ".join(quoted(f"{name}={value}") for name, value in sorted(variables.items())),
        ]
        if self._program.numbers >= _PENALTIES_SINCE:
            lines.append("PerSourcePenalties no")
        return "\n".join(lines) + "\n"

    def _check(self, argv: Sequence[str]) -> None:
        """Whether sshd takes its configuration; as root it also wants a directory that the system makes when its own sshd starts."""
        said = self._test(argv)
        if missing := _NO_PRIVSEP.search(said):
            try:
                Path(missing[1]).mkdir(mode=0o755, parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"sshd needs this directory when root starts it, and it cannot be made: {error.strerror}",
                    where=missing[1],
                    remedy="make it (owner root, mode 0755), or run seatrial as an ordinary user",
                ) from error
            said = self._test(argv)
        if said:
            raise TargetError(f"sshd refuses its configuration:\n{said}", where=str(self._program.path))

    def _test(self, argv: Sequence[str]) -> str:
        """What it says against it; empty where it is fine."""
        done = self._around.children.run([*argv, "-t"], scratch=self._home, ctx=Context(clock=self._clock).within(_CHECK_S))
        return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"

    def _write_keys(self) -> None:
        with self._lock:
            self._write_keys_locked(self._keys)

    def _write_keys_locked(self, keys: dict[str, str]) -> None:
        """Caller holds ``_lock``. Whole or not at all: sshd may be reading it. What could not be written is not what we have."""
        write_private(self._home / "authorized_keys", "".join(keys.values()).encode())
        self._keys = keys


def _end_sessions(token: str) -> None:
    """Kill what the connections of one server have started; the connections end with it."""
    ended = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(SESSION_VARIABLE) == token:
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=_SESSIONS_S)
