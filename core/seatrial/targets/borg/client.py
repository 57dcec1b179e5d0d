"""borg's client: one program for each action, over ssh with a key of its own."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import msgspec

from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.history.frames import CacheFrame
from seatrial.observe.directories import measure
from seatrial.targets.borg.command import USERS_SETTINGS, archive_name, commands, list_archives, surroundings, users_commands, waiting
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
            self._borg = users_commands(self._found_borg, self._around.children, self._home, access.url)
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
        self._borg = commands(self._found_borg, self._around.children, self._home, environment, ssh_log=self._ssh_log)

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
