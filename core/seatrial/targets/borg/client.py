"""borg's client: one program for each action, over ssh with a key of its own."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from seatrial.children import Completed
from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.history.frames import CacheFrame
from seatrial.observe.directories import measure
from seatrial.targets.borg.command import PREFIX, USERS_SETTINGS, archive_name, list_archives, own_places, surroundings, waiting
from seatrial.targets.borg.configuration import path_word
from seatrial.targets.borg.outcomes import TABLE
from seatrial.targets.private import make_private_directory, write_private
from seatrial.targets.programs.commands import Commands, decoded
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import OPERATION_TAG, Access, CreateStats, ListedSnapshot, Surroundings
from seatrial.verdicts import Outcome

_CONNECT_S = 20


class _Stats(msgspec.Struct, frozen=True, kw_only=True):
    nfiles: int
    original_size: int
    deduplicated_size: int


class _Archive(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stats: _Stats


class _Created(msgspec.Struct, frozen=True, kw_only=True):
    archive: _Archive


class OverSsh(Commands):
    """borg over an ssh that writes into ``ssh_log`` what it has to say: borg itself passes that on only where it comes to read it before it
    sees the connection closed, and without it nobody knows a refusal from a broken line. Threading: one thread at a time."""

    def __init__(self, *how: Any, ssh_log: Path, **more: Any) -> None:
        super().__init__(*how, **more)
        self._ssh_log = ssh_log

    def attempt(
        self, ctx: Context, operation: str, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Completed:
        self._ssh_log.unlink(missing_ok=True)
        done = super().attempt(ctx, operation, *arguments, cwd=cwd, env=env)
        if done.returncode == 0 or not self._ssh_log.exists():
            return done
        return replace(done, stderr=self._ssh_log.read_text(errors="replace") + done.stderr)


class BorgClient:
    """``targets.protocols.TargetClient``: ``borg create``, ``extract``, ``delete`` and ``list``, one command for each.

    Owns its directory: key, ssh configuration, cache, and what borg remembers of repositories. Threading: one thread at a time;
    ``cache_info`` may be called by any.
    """

    def __init__(self, around: Surroundings, directory: Path, borg: Found, ssh: Found) -> None:
        self._around, self._home = around, directory / "borg"
        self._ssh_log = self._home / "ssh.log"
        self._found_borg, self._found_ssh = borg, ssh
        self._owner = directory.name
        self._borg: Commands | None = None

    def connect(self, ctx: Context, access: Access) -> None:
        """borg has no connection that stays open: what can be proved is that the server takes the key and starts the forced command.

        A server that is there already has been tried once for all when the run began.
        """
        self.disconnect()
        self._owner = access.user
        make_private_directory(self._home)
        if not access.server_key:
            self._borg = self._as_the_user(access)
            return
        environment, config = self._with_own_key(access)
        host, _, port = access.url.removeprefix("ssh://").split("/", 1)[0].rpartition(":")
        ssh = Commands(
            self._found_ssh,
            TABLE,
            self._around.children,
            scratch=self._home / "tmp",
            env=environment,
            without=USERS_SETTINGS,
            prefix=("-F", config),
        )
        ssh.run(ctx, "connect", "-p", port, host, "true")
        self._borg = OverSsh(
            self._found_borg,
            TABLE,
            self._around.children,
            scratch=self._home / "tmp",
            env=environment,
            without=USERS_SETTINGS,
            prefix=PREFIX,
            ssh_log=self._ssh_log,
        )

    def disconnect(self) -> None:
        self._borg = None

    def create(self, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
        ctx.progress.start("upload")
        name = archive_name(op)
        arguments = ["create", "--json", "--numeric-ids", "--comment", f"{OPERATION_TAG}={op}", f"::{name}", "."]
        done = self._connected().run(ctx, "create", *waiting(), *arguments, cwd=source_dir)
        made = decoded(done, _Created, operation="create", where="borg").archive
        stats = CreateStats(files=made.stats.nfiles, bytes_read=made.stats.original_size, bytes_added=made.stats.deduplicated_size)
        return made.name, stats

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        ctx.progress.start("restore")
        # Sparse: a hole that was one comes back as one, instead of filling the disk.
        arguments = ["extract", "--numeric-ids", "--sparse", f"::{snapshot_id}"]
        self._connected().run(ctx, "restore", *waiting(), *arguments, cwd=into)

    def delete(self, ctx: Context, snapshot_id: str) -> None:
        self._connected().run(ctx, "delete", *waiting(), "delete", f"::{snapshot_id}")

    def list(self, ctx: Context) -> list[ListedSnapshot]:
        return list_archives(ctx, self._connected())

    def cache_info(self) -> CacheFrame:
        cache = self._home / "cache"
        if not cache.exists():
            return CacheFrame(owner=self._owner, path=str(cache))
        measured = measure(cache)
        return CacheFrame(owner=self._owner, path=str(cache), size_bytes=measured.size_bytes, files=measured.files)

    def drop_caches(self) -> None:
        shutil.rmtree(self._home / "cache", ignore_errors=True)

    def cleanup(self) -> None:
        self.disconnect()
        shutil.rmtree(self._home, ignore_errors=True)

    def _connected(self) -> Commands:
        if self._borg is None:
            raise OperationError("not connected", cause="disconnected", outcome=Outcome.FAILED, where=self._owner)
        return self._borg

    def _with_own_key(self, access: Access) -> tuple[dict[str, str], str]:
        """The environment for borg, and ssh's configuration file: one key, one host, nothing of the user's."""
        key, known, config = (self._home / name for name in ("key", "known_hosts", "ssh_config"))
        write_private(key, access.password.encode())
        write_private(known, f"{access.server_key}\n".encode())
        lines = [
            "Host *",
            "BatchMode yes",
            "StrictHostKeyChecking yes",
            "GlobalKnownHostsFile /dev/null",
            f"UserKnownHostsFile {path_word(known)}",
            f"IdentityFile {path_word(key)}",
            "IdentitiesOnly yes",
            "IdentityAgent none",
            "LogLevel ERROR",
            f"ConnectTimeout {_CONNECT_S}",
        ]
        write_private(config, ("\n".join(lines) + "\n").encode())
        rsh = shlex.join([str(self._found_ssh.path), "-F", str(config), "-E", str(self._ssh_log)])
        more = {"BORG_RSH": rsh, "BORG_PASSPHRASE": access.repository_password}
        return surroundings(self._home, access.url, more), str(config)

    def _as_the_user(self, access: Access) -> Commands:
        """With the user's own ssh and passphrase; only cache and memory are the client's own."""
        environment = own_places(self._home, access.url)
        return Commands(self._found_borg, TABLE, self._around.children, scratch=self._home / "tmp", env=environment, prefix=PREFIX)
