"""What a preset can say. Records only: where values come from is ``config/loader.py``, what they do is ``engine`` and ``harness``.

Settings are snake_case with their unit last. Action and option names are the reference framework's, with dashes.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seatrial.consistency import Consistency, required_acks

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

UNIT_BYTES, UNIT_SECONDS = "bytes", "seconds"
"""What a number counts, so that the loader may read ``64MiB`` and ``5m`` in its place."""

Count = Annotated[int, Meta(ge=0, le=10**9)]
Positive = Annotated[int, Meta(ge=1, le=10**9)]
Clients = Annotated[int, Meta(ge=1, le=10_000)]
"""One thread and one connection each."""
Bytes = Annotated[int, Meta(ge=0, le=1 << 60, extra={"unit": UNIT_BYTES})]
Seconds = Annotated[float, Meta(ge=0, le=366 * 86_400, extra={"unit": UNIT_SECONDS})]
Depth = Annotated[int, Meta(ge=0, le=100)]
"""Levels of directories; paths have to stay below the system's limit."""
Percent = Annotated[int, Meta(ge=0, le=100)]
Weight = Annotated[float, Meta(ge=0, le=10**6)]
PresetName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
"""Stands in names of runs and directories."""


class Misfit(ValueError):
    """Keys that do not go together. ``path``: below the record, the one to blame; ``what``: why; ``remedy``: what to do."""

    def __init__(self, path: tuple[str, ...], value: object, what: str, remedy: str) -> None:
        self.path, self.value, self.what, self.remedy = path, value, what, remedy
        self.named = f"{'.'.join(path)} = {value}: {what}"
        super().__init__(f"{self.named} ({remedy})")


def _ordered(low_name: str, low: int, high_name: str, high: int) -> None:
    if low > high:
        raise ValueError(f"{low_name} ({low}) is above {high_name} ({high})")


class ActionName(str, Enum):
    """The twelve actions."""

    SNAPSHOT = "snapshot-root"
    RESTORE = "restore-random-snapID"
    DELETE_SNAPSHOT = "delete-random-snapID"
    WRITE = "write-random-files"
    DELETE_SUBDIRECTORY = "delete-random-subdirectory"
    DELETE_FILES = "delete-files"
    RESTORE_INTO_DATA = "restore-into-data-dir"
    GC = "run-gc"
    LIST = "list-snapshots"
    VERIFY_REPOSITORY = "verify-repository"
    RECONNECT = "reconnect"
    REMOVE_CLIENT = "remove-client"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of the records that use snake_case keys."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Root of action options, whose keys are the reference's."""


class WriteOptions(Options, frozen=True, kw_only=True):
    """``write-random-files``. Defaults and formulas: the reference's; ours are marked."""

    max_dir_depth: Depth = 20
    min_num_files_per_write: Positive = 1
    max_num_files_per_write: Positive = 10_000
    min_file_size: Bytes = 4 * KIB
    max_file_size: Bytes = GIB
    min_dedupe_percent: Percent = 0
    max_dedupe_percent: Percent = 100
    dedupe_percent: Percent = 25
    """Step: the percentage drawn is a multiple of this; 0 draws the minimum."""
    io_limit_per_write: Bytes = 0
    """0 for none."""
    free_space_limit: Bytes = 100 * MIB
    oddities: bool = False
    """Ours: also empty files and directories, symlinks, hard links, sparse files, odd names and modes."""
    repeat: Positive = 1
    """Ours: so many writes in one action, each with draws of its own."""

    def __post_init__(self) -> None:
        _ordered("min-num-files-per-write", self.min_num_files_per_write, "max-num-files-per-write", self.max_num_files_per_write)
        _ordered("min-file-size", self.min_file_size, "max-file-size", self.max_file_size)
        _ordered("min-dedupe-percent", self.min_dedupe_percent, "max-dedupe-percent", self.max_dedupe_percent)


class DeleteSubdirectoryOptions(Options, frozen=True, kw_only=True):
    """``delete-random-subdirectory``."""

    max_dir_depth: Annotated[int, Meta(ge=1, le=100)] = 20


class DeleteFilesOptions(Options, frozen=True, kw_only=True):
    """``delete-files``."""

    max_dir_depth: Depth = 20
    delete_contents_percent: Percent = 20


class SnapshotOptions(Options, frozen=True, kw_only=True):
    """``snapshot-root``."""

    sub_path: str = ""
    """Below the client's data directory; empty for all of it."""


class RestoreOptions(Options, frozen=True, kw_only=True):
    """``restore-random-snapID``, ``restore-into-data-dir``, ``delete-random-snapID``."""

    snapshot_id: str = msgspec.field(default="", name="snapshot-ID")
    """A given snapshot instead of a random live one."""


class GcOptions(Options, frozen=True, kw_only=True):
    """``run-gc``."""

    mode: Literal["contend", "window"] = "window"
    """contend: take the exclusive lock against the clients, FAILED(contended) when refused; window: hold the gate, then run alone."""
    max_unused_percent: Percent = 0
    """Unused bytes left in packs after it."""
    retry_lock_s: Seconds = 5.0


class ActionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options by action; what a preset does not name keeps its default."""

    snapshot: SnapshotOptions = msgspec.field(default_factory=SnapshotOptions, name="snapshot-root")
    restore: RestoreOptions = msgspec.field(default_factory=RestoreOptions, name="restore-random-snapID")
    delete_snapshot: RestoreOptions = msgspec.field(default_factory=RestoreOptions, name="delete-random-snapID")
    write: WriteOptions = msgspec.field(default_factory=WriteOptions, name="write-random-files")
    delete_subdirectory: DeleteSubdirectoryOptions = msgspec.field(
        default_factory=DeleteSubdirectoryOptions, name="delete-random-subdirectory"
    )
    delete_files: DeleteFilesOptions = msgspec.field(default_factory=DeleteFilesOptions, name="delete-files")
    restore_into_data: RestoreOptions = msgspec.field(default_factory=RestoreOptions, name="restore-into-data-dir")
    gc: GcOptions = msgspec.field(default_factory=GcOptions, name="run-gc")


class VerifySettings(Settings, frozen=True, kw_only=True):
    """The verify phase."""

    budget_s: Seconds = 120.0
    """On expiry: "k of n" and INCONCLUSIVE."""
    liveness_s: Seconds = 60.0
    """After heal every client completes a snapshot and a restore within this."""
    repository: bool = True
    """Run the target's own repository verification too."""


class CacheSettings(Settings, frozen=True, kw_only=True):
    """Limits of a client's cache."""

    content_limit_bytes: Bytes = 500_000_000
    metadata_limit_bytes: Bytes = 500_000_000


ConsistencyName = Literal["one", "quorum", "all"]
"""How many of a key's owners have to acknowledge a write, or to answer a read."""
Nodes = Annotated[int, Meta(ge=1, le=32)]


class EmbeddedSettings(Settings, frozen=True, kw_only=True):
    """The embedded target's server."""

    store: Literal["files", "cluster"] = "files"
    """Where blobs lie. ``cluster``: in the memory of nodes, so that nodes can fail. Volatile: what it holds ends with the server."""
    nodes: Nodes = 5
    replication: Nodes = 3
    """How many nodes hold each blob."""
    write_consistency: ConsistencyName = "quorum"
    read_consistency: ConsistencyName = "quorum"
    node_memory_bytes: Bytes = 512 * MIB
    """Of one node's values; a blob that would take a node beyond it is refused with 507."""
    stop_nodes: Count = 0
    """So many nodes, one after the other, lose all they hold during the random actions, and come back empty."""
    drain_nodes: Count = 0
    """So many, one after the other, hand over what they hold, go, and come back empty."""
    split_nodes: Count = 0
    """So many at once, a minority, are cut off from the rest for a while, and come back with what they had."""
    outage_s: Seconds = 2.0
    """How long nodes are away; half of that passes before each of these, which the seed puts in order."""

    fsync: bool = True
    """Sync file and directory before an upload is acknowledged. Off loses that promise, and says so."""
    quota_bytes: Bytes = 0
    """Refuse uploads beyond this with 507; 0 for none."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0 lets the kernel choose."""

    @property
    def node_faults(self) -> dict[str, int]:
        """What is to be done to nodes, by key; only what is."""
        counts = {"stop_nodes": self.stop_nodes, "drain_nodes": self.drain_nodes, "split_nodes": self.split_nodes}
        return {key: count for key, count in counts.items() if count}

    @property
    def acks(self) -> int:
        """How many owners hold what was acknowledged."""
        return required_acks(self.replication, Consistency[self.write_consistency.upper()])

    def __post_init__(self) -> None:
        if self.store == "cluster":
            _ordered("replication", self.replication, "nodes", self.nodes)
        for key, count in self.node_faults.items():
            if self.store != "cluster":
                raise Misfit((key,), count, "there are no nodes to do that to", f'set store = "cluster", or {key} = 0')
            if count > self.nodes:
                raise Misfit((key,), count, f"there are {self.nodes} nodes", f"at most {self.nodes}, or more nodes")

    def check_faults(self) -> None:
        """Raise ``Misfit`` where the rest could not do without the nodes that are to be drained or split off."""
        if self.drain_nodes and self.replication == 1:
            raise Misfit(
                ("embedded", "drain_nodes"),
                self.drain_nodes,
                "with replication = 1 no other node is to hold what one hands over",
                "set replication = 2",
            )
        self._check_split()

    def _check_split(self) -> None:
        """The rest must be a majority, and go on: acknowledge writes, answer reads, and be sure of what is not there."""
        answers = required_acks(self.replication, Consistency[self.read_consistency.upper()])
        bearable = max(0, min((self.nodes - 1) // 2, self.replication - self.acks, self.replication - answers, self.acks - 1))
        if self.split_nodes > bearable:
            raise Misfit(
                ("embedded", "split_nodes"),
                self.split_nodes,
                f"with {self.nodes} nodes, replication = {self.replication}, write_consistency = {self.write_consistency!r} and "
                f"read_consistency = {self.read_consistency!r} the rest can do without {bearable or 'none'}",
                f"set {bearable}, or raise replication" if bearable else "set 0, or replication = 3 and both consistencies to quorum",
            )


class KopiaSettings(Settings, frozen=True, kw_only=True):
    """The kopia target."""

    repo: str = ""
    """Where the repository lies: empty for a directory below the prefix, or ``s3://bucket/prefix``."""
    safety: Literal["full", "none"] = "full"
    """Of ``run-gc``. ``full``: kopia's margins, so that nothing fresh goes, beside clients at work too. ``none``: what no snapshot needs
    goes at once, which kopia promises to be safe only while nobody writes (``run-gc.mode = window``)."""


class ResticSettings(Settings, frozen=True, kw_only=True):
    """The restic target."""

    server: Literal["auto", "rest-server", "rclone", "embedded"] = "auto"
    """Which program serves; ``auto`` takes the first of them that is installed."""
    append_only: bool = False
    """Clients may add, and delete nothing but locks."""
    clients: Literal["restic", "both"] = "restic"
    """``both``: every other client is seatrial's own, so that each restores what the other wrote."""


class BorgSettings(Settings, frozen=True, kw_only=True):
    """The borg target."""

    append_only: bool = False
    """``borg serve --append-only``: what a client deletes is marked, not removed."""


class SwarmSettings(Settings, frozen=True, kw_only=True):
    """Ranges out of which the seed draws a preset of its own; both ends included."""

    clients: tuple[Clients, Clients] = (2, 12)
    num_files: tuple[Positive, Positive] = (1, 400)
    file_size: tuple[Bytes, Bytes] = (0, 8 * MIB)
    dir_depth: tuple[Depth, Depth] = (0, 8)
    weight: tuple[Count, Count] = (0, 4)
    """Of each action in the mix."""

    def __post_init__(self) -> None:
        for name, (low, high) in msgspec.structs.asdict(self).items():
            _ordered(f"{name}, its low end", low, "its high end", high)
        if self.weight[1] == 0:
            raise ValueError("weight: with a high end of 0 no action could be drawn")


class Preset(Settings, frozen=True, kw_only=True):
    """One kind of run."""

    description: str = ""
    expect: Literal["pass", "fail"] = "pass"
    """``fail`` for a preset off contract: exit 0 when the expected loss was caught."""
    target: str = "embedded"
    targets: list[str] = []
    """Where given, in place of ``target``: one run on each, one after the other, with the same seed. One whose program is missing is
    told by name and leaves the whole inconclusive."""
    exe: str = ""
    """The target's program, where it is not the one that the environment (``KOPIA_EXE``) or PATH leads to."""
    server: str = ""
    """A server that is there already, spoken to and never started or stopped; empty to start one."""
    repo: str = ""
    """With ``server``: the address of a repository in which others keep snapshots too, which is refused unless it is named here."""
    writer: Literal["native", "fio"] = "native"
    clients: Clients = 4
    in_flight: Count = 0
    """Actions at a time; 0 for 8 x cores."""
    steps: list[ActionName] = []
    """What every client does first, in this order."""
    rounds: Positive = 1
    """How often the steps are done."""
    duration_s: Seconds = 0.0
    """Of random actions after the steps."""
    actions_per_client: Count = 0
    """Random actions after which a client is done; 0 for no limit but the duration."""
    mix: dict[ActionName, Weight] = {}
    """Weights of random actions; absent is 0, and no mix at all is 1 for each action but restore-into-data-dir, remove-client."""
    options: ActionOptions = msgspec.field(default_factory=ActionOptions)
    repeat_action: Positive = 1
    action_timeout_s: Seconds = 300.0
    throw_no_space_error: bool = False
    """Let a full disk fail the action instead of recovering from it."""
    verify: VerifySettings = msgspec.field(default_factory=VerifySettings)
    cache: CacheSettings = msgspec.field(default_factory=CacheSettings)
    embedded: EmbeddedSettings = msgspec.field(default_factory=EmbeddedSettings)
    kopia: KopiaSettings = msgspec.field(default_factory=KopiaSettings)
    restic: ResticSettings = msgspec.field(default_factory=ResticSettings)
    borg: BorgSettings = msgspec.field(default_factory=BorgSettings)
    swarm: SwarmSettings | None = None
    """Where given, the seed draws clients, mix and write options out of these ranges."""

    @property
    def all_targets(self) -> tuple[str, ...]:
        """What a run of it takes place on, each once."""
        return tuple(dict.fromkeys(self.targets)) or (self.target,)

    def __post_init__(self) -> None:
        if self.mix and (self.duration_s or self.actions_per_client) and not any(self.mix.values()):
            raise ValueError("mix: no action has a weight above 0")

    def check_nodes(self) -> None:
        """Raise ``Misfit`` where nodes are not the embedded server's, or what is done to them would lose what was acknowledged, unless that
        is the point. Of a preset that is to be run: one that extends another may get a target from it that is not its own."""
        if self.embedded.store != "cluster":
            return
        faults = self.embedded.node_faults
        key, value = next(iter(faults.items()), ("store", self.embedded.store))
        foreign = next((name for name in self.all_targets if name not in _WITH_NODES), "")
        why, remedy = "", ""
        if self.server:
            why, remedy = (
                f"the server {self.server!r} is not seatrial's, and its nodes, if it has any, are not either",
                "leave out --server",
            )
        elif foreign:
            why, remedy = f"the target {foreign!r} has a server without nodes", f"choose --target {' or '.join(_WITH_NODES)}"
        elif "restic" in self.all_targets and self.restic.server != "embedded":
            why = f"with restic.server = {self.restic.server!r} the server is a program without nodes"
            if self.restic.server == "auto":
                why = "with restic.server = 'auto' the server may be a program without nodes"
            remedy = 'set restic.server = "embedded"'
        if why:
            raise Misfit(("embedded", key), value, why, f'{remedy}, or set embedded.store = "files" and no faults of nodes')
        self.embedded.check_faults()
        if self.embedded.stop_nodes and self.embedded.acks < 2 and self.expect == "pass":
            raise Misfit(
                ("embedded", "stop_nodes"),
                self.embedded.stop_nodes,
                "a node that loses all it holds may be the only one that holds what was acknowledged "
                f"(replication = {self.embedded.replication}, write_consistency = {self.embedded.write_consistency!r})",
                'raise them so that two nodes acknowledge a write, or set expect = "fail" where the loss is to be caught',
            )


_WITH_NODES = ("embedded", "restic")
"""Targets whose server can be the embedded one."""


class RunSettings(Settings, frozen=True, kw_only=True):
    """Where runs live; not part of a plan."""

    runs_dir: str = ""
    """Empty for the user's state directory."""
    repo_path_prefix: str = ""
    """Empty for a prefix of the run's own inside its run directory."""


class UiSettings(Settings, frozen=True, kw_only=True):
    """The dashboard; not part of a plan."""

    theme: str = "seatrial-dark"
    """Name of a theme, built in or of the user's."""
    refresh_hz: Annotated[float, Meta(ge=0.5, le=10)] = 4.0
    """How often the screen looks at the run."""
    keys: dict[str, str] = {}
    """Keys by name of a command, several with commas: ``pause = "p,space"``. ``?`` in the dashboard shows the names."""


class Config(Settings, frozen=True, kw_only=True):
    """All of ``config.toml``."""

    default_preset: str = "smoke"
    run: RunSettings = msgspec.field(default_factory=RunSettings)
    ui: UiSettings = msgspec.field(default_factory=UiSettings)
    presets: dict[PresetName, Preset] = {}
