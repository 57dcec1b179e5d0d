"""One kopia client: each operation is one ``kopia`` command over a connection that lives in a configuration file of the client's own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from seatrial.clock import SYSTEM_CLOCK, Clock
from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.history.frames import CacheFrame
from seatrial.targets.kopia.output import created, damaged_path, snapshots
from seatrial.targets.kopia.program import HOST, commands, environment, without_cache
from seatrial.targets.private import write_private
from seatrial.targets.programs.caches import CacheGauge
from seatrial.targets.programs.commands import Commands
from seatrial.targets.programs.program import Found
from seatrial.targets.protocols import OPERATION_TAG, Access, CreateStats, ListedSnapshot, Surroundings
from seatrial.verdicts import Outcome

_PARALLEL = "8"
_MIB = 1 << 20
"""What kopia's MB are where it connects."""


class KopiaClient:
    """``targets.protocols.TargetClient``.

    Owns its configuration, its cache directory and a home for the program. Threading: one thread at a time; ``cache_info`` from any.
    """

    def __init__(self, around: Surroundings, found: Found, directory: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._around, self._found = around, found
        self._limits = around.preset.cache
        self._config, self._home = directory / "kopia.config", directory / "home"
        self._cache = CacheGauge(directory.name, directory / "cache", limit_bytes=self._limits.content_limit_bytes, clock=clock)
        # After each create kopia expires what the policy does not keep. Ours keeps all; what somebody else's keeps is not ours to say.
        self._pin = ("--pin", "seatrial") if around.preset.server else ()
        self._kopia: Commands | None = None

    def connect(self, ctx: Context, access: Access) -> None:
        """``repository connect server``: the configuration file is the connection, each command opens a session of its own over it."""
        self.disconnect()
        env = environment(self._home, {"KOPIA_PASSWORD": access.password})
        kopia = commands(
            self._found,
            self._around.children,
            config=self._config,
            env=self._around.environment | env,
            scratch=self._home / "tmp",
        )
        self._cache.belongs_to(access.user)
        kopia.run(ctx, "connect", *connect_arguments(access), *self._cache_arguments())
        self._kopia = kopia

    def disconnect(self) -> None:
        """What ``repository disconnect`` does, without a process: the configuration goes."""
        self._kopia = None
        self._config.unlink(missing_ok=True)

    def create(self, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
        tags = ("--tags", f"{OPERATION_TAG}:{op}", *self._pin)
        done = self._connected().run(ctx, "create", "snapshot", "create", "--json", "--parallel", _PARALLEL, *tags, str(source_dir))
        return created(done)

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        try:
            self._connected().run(ctx, "restore", "snapshot", "restore", "--parallel", _PARALLEL, snapshot_id, str(into))
        except OperationError as error:
            error.path = damaged_path(error.what, into)
            raise

    def delete(self, ctx: Context, snapshot_id: str) -> None:
        self._connected().run(ctx, "delete", "snapshot", "delete", snapshot_id, "--delete")  # without --delete it does nothing and exits 0

    def list(self, ctx: Context) -> list[ListedSnapshot]:
        return list_snapshots(ctx, self._connected())

    def cache_info(self) -> CacheFrame:
        return self._cache.frame()

    def drop_caches(self) -> None:
        """And keep none until it connects again: what a client that begins cold would cache, it would read no second time."""
        # No command of this client runs now, so nobody holds it. Put aside, because a file for each content takes long to remove.
        if self._cache.directory.exists():
            dropped = Path(tempfile.mkdtemp(prefix="dropped-", dir=self._around.base))
            self._around.discard(self._cache.directory.rename(dropped))
        if self._kopia is not None:
            write_private(self._config, without_cache(self._config.read_bytes()))

    def cleanup(self) -> None:
        self.disconnect()
        for directory in (self._cache.directory, self._home):
            shutil.rmtree(directory, ignore_errors=True)

    def _connected(self) -> Commands:
        if self._kopia is None:
            raise OperationError("not connected", cause="disconnected", outcome=Outcome.FAILED, where=self._config.parent.name)
        return self._kopia

    def _cache_arguments(self) -> tuple[str, ...]:
        limits = (("content", self._limits.content_limit_bytes), ("metadata", self._limits.metadata_limit_bytes))
        sizes = (f"--{name}-cache-size-mb={max(1, size_bytes // _MIB)}" for name, size_bytes in limits)
        return (f"--cache-directory={self._cache.directory}", *sizes)


def connect_arguments(access: Access) -> tuple[str, ...]:
    """Of ``repository connect server``. A user without ``@`` is on ``HOST``."""
    user, _, host = access.user.partition("@")
    pin = (f"--server-cert-fingerprint={access.fingerprint}",) if access.fingerprint else ()
    return (
        "repository",
        "connect",
        "server",
        f"--url={access.url}",
        *pin,
        f"--override-username={user}",
        f"--override-hostname={host or HOST}",
    )


def list_snapshots(ctx: Context, kopia: Commands) -> list[ListedSnapshot]:
    """All complete snapshots, whoever made them."""
    return snapshots(kopia.run(ctx, "list", "snapshot", "list", "--all", "--json", "--manifest-id", "--show-identical"))
