"""The private ssh server, spoken to with the real ssh."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seatrial.children import Children
from seatrial.config.model import Preset
from seatrial.errors import TargetError, UsageError
from seatrial.history.events import Event, ServerEvent
from seatrial.targets.borg import sshd as module
from seatrial.targets.borg.keys import KeyPair, fingerprint_of, new_key
from seatrial.targets.borg.sshd import HOST, SESSION_VARIABLE, Sshd, user_name
from seatrial.targets.borg.target import SSHD
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import Surroundings
from tests.support.processes import alive
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs_program("sshd")
SSH_S = 60
ODD_NAME = 'with space, 100% "odd"'


class Bench:
    """An ssh server in a directory whose name needs quoting, and one client's key."""

    def __init__(self, place: Path) -> None:
        self.place, self.events = place, list[Event]()
        self.children = Children()
        self.around = Surroundings(
            preset=Preset(),
            repository=place,
            base=place,
            server_log=place / "server.log",
            children=self.children,
            emit=self.events.append,
        )
        self.sshd = Sshd(self.around, SSHD.find(), place / ODD_NAME, {"HOME": str(place / ODD_NAME)})
        self.key = new_key()
        self.known = place / "known"

    def ssh(self, key: KeyPair | None = None, *command: str, known: str = "") -> list[str]:
        """The command line for ssh."""
        identity = self.place / "identity"
        identity.touch(0o600)
        identity.write_text((key or self.key).private)
        self.known.write_text(f"{known or self.sshd.known_host}\n")
        options = {"BatchMode": "yes", "UserKnownHostsFile": self.known, "IdentitiesOnly": "yes", "IdentityAgent": "none"}
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "/dev/null", *flags, "-i", str(identity), "-p", str(self.sshd.port), f"{user_name()}@{HOST}", *command]

    def said(self, *command: str, key: KeyPair | None = None, known: str = "") -> tuple[int, str]:
        done = subprocess.run(
            self.ssh(key, *command, known=known), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SSH_S, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def log(self) -> str:
        return self.around.server_log.read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.sshd.stop()
        made.children.close()


def test_a_key_runs_its_forced_command_and_nothing_else(bench: Bench) -> None:
    bench.sshd.start()
    bench.sshd.authorize("brave-otter", bench.key.public, ["sh", "-c", 'echo "forced for $SEATRIAL_CLIENT at $HOME"'])
    code, said = bench.said("echo", "my own")
    assert (code, said) == (0, f"forced for brave-otter at {bench.place / ODD_NAME}\n")
    assert "SEATRIAL_CLIENT=brave-otter" in bench.log()
    code, said = bench.said("true", key=new_key())
    assert code == 255
    assert "Permission denied (publickey" in said


def test_a_key_that_was_taken_away_is_refused_from_then_on(bench: Bench) -> None:
    bench.sshd.start()
    other = new_key()
    bench.sshd.authorize("brave-otter", bench.key.public, ["true"])
    bench.sshd.authorize("calm-heron", other.public, ["true"])
    bench.sshd.remove("brave-otter")
    bench.sshd.remove("nobody-known")
    assert bench.said("true")[0] == 255
    assert bench.said("true", key=other)[0] == 0


def test_a_key_that_could_not_be_written_can_be_written_or_taken_away_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = bench.place / ODD_NAME / "authorized_keys"
    keys.parent.mkdir()

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_private", full)
        with pytest.raises(OSError, match="No space left"):
            bench.sshd.authorize("late", bench.key.public, ["true"])
    bench.sshd.remove("nobody")
    bench.sshd.authorize("other", new_key().public, ["true"])
    assert "late" not in keys.read_text(), "who was told so will ask again"
    bench.sshd.authorize("late", bench.key.public, ["true"])
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_private", full)
        with pytest.raises(OSError, match="No space left"):
            bench.sshd.remove("late")
    bench.sshd.remove("late")
    bench.sshd.remove("other")
    assert "late" not in keys.read_text()


def test_the_host_key_is_pinned_and_its_fingerprint_is_what_it_shows(bench: Bench) -> None:
    bench.sshd.start()
    bench.sshd.authorize("brave-otter", bench.key.public, ["true"])
    assert bench.said("true")[0] == 0
    assert bench.sshd.fingerprint == fingerprint_of(bench.sshd.known_host.split(" ", 1)[1])
    address = bench.sshd.known_host.split()[0]
    code, said = bench.said("true", known=f"{address} {new_key().public}")
    assert code == 255
    assert "Host key verification failed" in said


def test_secrets_are_for_their_owner_only(bench: Bench) -> None:
    bench.sshd.start()
    home = bench.place / ODD_NAME
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {
        "host_key": 0o600,
        "authorized_keys": 0o600,
        "sshd_config": 0o600,
    }


def test_it_comes_back_on_the_same_port_with_the_same_key_and_clients(bench: Bench) -> None:
    bench.sshd.start()
    bench.sshd.authorize("brave-otter", bench.key.public, ["true"])
    known, child = bench.sshd.known_host, bench.sshd.process.child
    assert child is not None
    child.kill()
    assert bench.said("true")[0] == 255
    # Nobody else can have taken the port meanwhile.
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, bench.sshd.port))
    bench.sshd.start()
    assert bench.sshd.known_host == known
    assert bench.said("true")[0] == 0
    assert bench.sshd.process.restarts == 1
    states = [event.state for event in bench.events if isinstance(event, ServerEvent)]
    assert states == ["starting", "ready", "died", "starting", "ready"]


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_what_its_connections_run_ends_with_it(end: str, bench: Bench) -> None:
    bench.sshd.start()
    bench.sshd.authorize("brave-otter", bench.key.public, ["sh", "-c", "echo $$; exec sleep 600"])
    with subprocess.Popen(bench.ssh(None, "x"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True) as ssh:
        assert ssh.stdout is not None
        session = int(ssh.stdout.readline())
        assert SESSION_VARIABLE in psutil.Process(session).environ()
        assert bench.sshd.connections() >= 1
        if end == "stopped":
            bench.sshd.stop()
        else:
            assert bench.sshd.process.child is not None
            bench.sshd.process.child.kill()
        assert eventually(lambda: not alive(session))
        assert ssh.wait(SSH_S) != 0
    assert bench.sshd.connections() == 0


def test_a_configuration_that_sshd_refuses_is_told_in_its_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Sshd, "_configuration", lambda *_: "NoSuchOption yes\n")
    with pytest.raises(TargetError, match="NoSuchOption"):
        bench.sshd.start()
    assert bench.events == []


def test_one_that_ends_at_once_is_told_with_the_last_lines_of_its_log(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "sshd"
    program.write_text('#!/bin/sh\nfor last; do :; done\n[ "$last" = -t ] && exit 0\necho cannot do that >&2\nexit 3\n')
    program.chmod(0o755)
    other = Sshd(bench.around, Found(path=program, version="9.2"), tmp_path / "other", {})
    with pytest.raises(TargetError, match="exit code 3\ncannot do that"):
        other.start()
    other.stop()


def test_the_directory_that_root_needs_is_made(bench: Bench, tmp_path: Path) -> None:
    missing = tmp_path / "run" / "sshd"
    program = tmp_path / "sshd"
    program.write_text(
        f'#!/bin/sh\n[ -d {missing} ] || {{ echo "Missing privilege separation directory: {missing}" >&2; exit 255; }}\nexit 4\n'
    )
    program.chmod(0o755)
    other = Sshd(bench.around, Found(path=program, version="9.2"), tmp_path / "other", {})
    with pytest.raises(TargetError, match="exit code 4"):
        other.start()
    assert missing.is_dir()
    other.stop()


def test_newer_servers_do_not_punish_a_whole_address_for_one_refusal(bench: Bench) -> None:
    newer = Sshd(bench.around, Found(path=SSHD.find().path, version="9.8p1"), bench.place, {})
    assert "PerSourcePenalties no" in newer._configuration("token")
    older = Sshd(bench.around, Found(path=SSHD.find().path, version="9.2p1"), bench.place, {})
    assert "PerSourcePenalties" not in older._configuration("token")


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false", "/no/such/shell"])
def test_a_user_who_may_not_log_in_is_told(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("daemon", "x", os.geteuid(), 1, "", "/", shell))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    with pytest.raises(UsageError, match=f"daemon may not log in, its shell is {shell}"):
        user_name()


def test_a_user_without_a_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(UsageError, match="user 54321 has no name"):
        user_name()


def test_a_signal_that_ends_it_is_in_the_journal(bench: Bench) -> None:
    bench.sshd.start()
    child = bench.sshd.process.child
    assert child is not None
    psutil.Process(child.pid).send_signal(signal.SIGKILL)
    assert eventually(lambda: isinstance(bench.events[-1], ServerEvent) and bench.events[-1].state == "died")
    assert bench.sshd.process.gone.cancelled
