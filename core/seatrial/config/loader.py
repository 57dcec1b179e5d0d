"""From files, environment and command line to a ``Config``, and where each of its values came from.

Lowest first, each laid over the one before: what is built in (``config.toml`` of the checkout or of the installed package), the
user's file (``config.toml`` in the user's configuration directory), ``./config.toml`` or the file given by ``--config``, the
environment (``config/layers.py`` names the variables), ``--set key=value``. Tables merge key by key; anything else replaces. A preset
may say ``extends = "other"``: it then begins as that one, with whatever higher layers changed in it.

Each mistake is one ``UsageError`` (exit code 2) that names file and line, key, value, and the nearest valid one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

import msgspec
import platformdirs

from seatrial.config.check import Checker, dotted
from seatrial.config.data import builtin
from seatrial.config.layers import Layer, merge, nearest, read_environment, read_file, read_settings
from seatrial.config.model import Config, Misfit, Preset
from seatrial.config.origin import BUILT_IN, DEFAULT, Origin, Path, Table, leaves
from seatrial.errors import UsageError

FILE_NAME = "config.toml"
ROOTS = tuple(field.encode_name for field in msgspec.structs.fields(Config))
"""Keys of the outermost table; any other key of a setting belongs to a preset."""
EXTENDS_MAX = 16
"""Presets in one chain of ``extends``."""
Row = tuple[str, object, str]
"""Dotted key, value as TOML has it, origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A checked configuration that remembers where its values came from."""

    config: Config
    origins: Mapping[Path, Origin]
    """Of the values that any layer gave."""
    notes: tuple[str, ...] = ()
    """What was left out and why, for a person."""

    def preset(self, name: str | None = None) -> Preset:
        """A preset by name, or the default one. ``UsageError`` for an unknown name."""
        wanted = self.config.default_preset if name is None else name
        if wanted not in self.config.presets:
            names = list(self.config.presets)
            near = nearest(wanted, names)
            raise UsageError(
                f"no such preset: {wanted!r}" if name is not None else f"default_preset = {wanted!r}: no such preset",
                where="" if name is not None else self._origin(("default_preset",)).where,
                remedy=f"{near} There are: {', '.join(names)}" if near.startswith("did") else near,
            )
        return self.config.presets[wanted]

    def preset_to_run(self, name: str) -> Preset:
        """``preset``, and a ``UsageError`` too where it cannot be run on its targets."""
        preset = self.preset(name)
        try:
            preset.check_nodes()
        except Misfit as error:
            Checker(self._origin).refuse(("presets", name, *error.path), error.value, error.what, error.remedy)
        return preset

    def origin(self, dotted_key: str) -> str:
        """Where a value came from: ``built in``, ``<file>:<line>``, ``environment SEATRIAL_X``, ``--set``, or ``default``."""
        return next((label for key, _, label in self.rows(defaults=True) if key == dotted_key), DEFAULT.label)

    def rows(self, *, defaults: bool = False) -> list[Row]:
        """Each value that a layer gave; with ``defaults`` also each that none did. In the order of the records."""
        everything = ((path, value, self._origin(path)) for path, value in _values(self.config))
        return [(dotted(path), value, origin.label) for path, value, origin in everything if defaults or origin is not DEFAULT]

    def _origin(self, path: Path) -> Origin:
        return self.origins.get(path, DEFAULT)


def load_config(
    *,
    config_file: FilePath | None = None,
    sets: Sequence[str] = (),
    preset: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """All layers, checked.

    ``config_file`` stands in for ``./config.toml`` and must be there. A key of ``sets`` (and of ``SEATRIAL_SET``) that is not one of
    the outermost table is a key of ``preset``, or of the default preset where None. ``environ`` stands in for the process's.
    Threading: none; reads files. Errors: ``UsageError``.
    """
    environ = os.environ if environ is None else environ
    whole, notes = _files(config_file)
    name = preset or environ.get("SEATRIAL_PRESET") or whole.tree.get("default_preset") or Config().default_preset
    bare = ("presets", str(name))
    for layer in (read_environment(environ, bare, ROOTS), read_settings(sets, bare, ROOTS)):
        _refuse_new_presets(layer, whole)
        whole.add(layer)
    _extend_presets(whole)
    config: Config = Checker(whole.origin).record(Config, whole.tree, ())
    loaded = LoadedConfig(config=config, origins=whole.origins, notes=notes)
    loaded.preset()
    return loaded


def user_shell(environ: Mapping[str, str] = os.environ) -> str:
    """The user's shell; empty where none is known."""
    return environ.get("SHELL", "")


def program_variable(program: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The variable that names another build of ``program`` (``REST_SERVER_EXE`` for ``rest-server``), and what it says."""
    variable = f"{program.upper().replace('-', '_')}_EXE"
    return variable, environ.get(variable, "")


def other_variable(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """What a variable says that is not seatrial's own, but a target's or a store's (``AWS_ENDPOINT_URL``); empty where it is not set."""
    return environ.get(name, "")


def place(configured: str) -> FilePath | None:
    """A directory out of the configuration; None where it is not given."""
    if not configured:
        return None
    try:
        return FilePath(configured).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError("there is no home directory to stand for ~", where=configured, remedy="give the whole path") from error


def _files(config_file: FilePath | None) -> tuple[Layer, tuple[str, ...]]:
    """The layers that are files, merged, and notes."""
    whole, notes = Layer(), []
    built_in = builtin(FILE_NAME)
    try:
        user = platformdirs.user_config_path("seatrial") / FILE_NAME
    except RuntimeError:  # newer versions raise where older ones return a path that begins with ~
        user = FilePath("~") / FILE_NAME
    local = config_file or FilePath(FILE_NAME)
    if layer := read_file(built_in, label=BUILT_IN):
        whole.add(layer)
    if not user.is_absolute():
        notes.append("no home directory, so no configuration file of the user's")
    elif layer := read_file(user, optional=True):
        whole.add(layer)
    if not (config_file is None and _same(local, built_in)) and (layer := read_file(local, optional=config_file is None)):
        whole.add(layer)
    return whole, tuple(notes)


def _same(local: FilePath, built_in: object) -> bool:
    try:
        return isinstance(built_in, FilePath) and local.samefile(built_in)
    except OSError:
        return False


def _refuse_new_presets(settings: Layer, files: Layer) -> None:
    """A setting changes a preset; one that would make another is a slip of the pen."""
    presets = files.tree.get("presets")
    known = [*presets] if isinstance(presets, dict) else []
    for path, origin in settings.origins.items():
        if path[0] == "presets" and path[1:2] and path[1] not in known:
            raise UsageError(f"{dotted(path)}: no such preset: {path[1]!r}", where=origin.where, remedy=nearest(path[1], known))


def _extend_presets(whole: Layer) -> None:
    """Replace each ``extends`` by what it stands for, in place."""
    presets = whole.tree.get("presets")
    if not isinstance(presets, dict):
        return
    done: set[str] = set()
    for name in presets:
        _extend(whole, presets, name, done, ())


def _extend(whole: Layer, presets: Table, name: str, done: set[str], chain: tuple[str, ...]) -> None:
    own = presets[name]
    if name in done or not isinstance(own, dict) or "extends" not in own:
        return
    base = own.pop("extends")
    path = ("presets", name, "extends")
    origin = whole.origin(path) or DEFAULT
    text = f"{dotted(path)} = {base!r}"
    if not isinstance(base, str) or base not in presets:
        raise UsageError(f"{text}: no such preset", where=origin.where, remedy=nearest(str(base), [*presets]))
    if base in (*chain, name):
        raise UsageError(f"{text}: extends itself", where=origin.where, remedy=f"break the circle {' -> '.join((*chain, name, base))}")
    if len(chain) >= EXTENDS_MAX:
        raise UsageError(f"{text}: the {EXTENDS_MAX + 1}th preset of one chain", where=origin.where, remedy="let it extend one further up")
    _extend(whole, presets, base, done, (*chain, name))
    done.add(name)
    inherited = presets[base]
    if not isinstance(inherited, dict):
        return
    table: Table = {}
    merge(table, inherited)
    for below, _ in leaves(inherited):
        given = whole.origin(("presets", base, *below))
        if given:
            whole.origins.setdefault(("presets", name, *below), given)
    merge(table, own)
    presets[name] = table


def _values(config: Config) -> Iterator[tuple[Path, object]]:
    """Every value of the records, default or not, as TOML has it; None is left out."""
    for path, value in leaves(msgspec.to_builtins(config)):
        if value is not None and value != {}:
            yield path, list(value) if isinstance(value, tuple) else value
