"""One layer of configuration: a tree of values, and where each came from. Files, the environment, ``--set``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable

import tomli

from seatrial.config.origin import Origin, Path, Table, leaves, lines
from seatrial.errors import UsageError

FILE_BYTES_MAX = 1 << 20
"""A configuration that is larger is none."""
VARIABLES: Mapping[str, Path] = {
    "SEATRIAL_PRESET": ("default_preset",),
    "SEATRIAL_RUNS_DIR": ("run", "runs_dir"),
    "SEATRIAL_REPO_PATH_PREFIX": ("run", "repo_path_prefix"),
}
"""Environment variables that set one key each. ``SEATRIAL_SET`` holds ``key=value`` settings, one a line or separated by ``;``."""
SET_VARIABLE = "SEATRIAL_SET"


@dataclass(slots=True)
class Layer:
    """Values and their origins. One owner: whoever builds or merges it."""

    tree: Table = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)

    def put(self, path: Path, value: object, origin: Origin) -> None:
        """Set one key. ``ValueError`` where it lies too deep."""
        tree: Table = {}
        branch = tree
        for key in path[:-1]:
            branch[key] = branch = {}
        branch[path[-1]] = value
        self.add(Layer(tree, dict.fromkeys((path, *(leaf for leaf, _ in leaves(tree))), origin)))

    def add(self, other: Layer) -> None:
        """Lay a higher layer on top: tables merge, anything else replaces."""
        for replaced in merge(self.tree, other.tree):
            self.origins.pop(replaced, None)
        self.origins.update(other.origins)

    def origin(self, path: Path) -> Origin | None:
        """Of the key; of the last word on what lies below it; of the innermost table around it. None where no layer says anything."""
        if path in self.origins:
            return self.origins[path]
        below = (origin for key, origin in reversed(self.origins.items()) if key[: len(path)] == path)
        around = (self.origins[path[:n]] for n in range(len(path) - 1, 0, -1) if path[:n] in self.origins)
        return next(below, next(around, None))


def merge(below: Table, above: Mapping[str, object], path: Path = ()) -> list[Path]:
    """Put ``above`` into ``below``, in place; no table of ``above`` is shared. Returns where a table took another value's place."""
    replaced: list[Path] = []
    for key, value in above.items():
        if not isinstance(value, Mapping):
            below[key] = value
            continue
        kept = below.get(key)
        if not isinstance(kept, dict):
            replaced += [(*path, key)] if key in below else []
            below[key] = kept = {}
        replaced += merge(kept, value, (*path, key))
    return replaced


def read_file(file: Traversable, *, label: str = "", optional: bool = False) -> Layer | None:
    """A TOML file as a layer; None for an ``optional`` one that is not there. Each other trouble is a ``UsageError``."""
    name = str(file)
    try:
        with file.open("rb") as stream:
            data: bytes = stream.read(FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if optional:
            return None
        raise UsageError("no such configuration file", where=name, remedy="check the path given to --config") from error
    except OSError as error:
        raise UsageError(
            f"cannot read the configuration file: {error.strerror}", where=name, remedy="it must be a TOML file that you may read"
        ) from error
    return parse(data, name, label)


def parse(data: bytes, name: str, label: str = "") -> Layer:
    """The layer of a file's bytes; its values are labelled ``label``, or file and line."""
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"larger than {FILE_BYTES_MAX} bytes, so it is no configuration", where=name, remedy="name another file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad_line = data.count(b"\n", 0, error.start) + 1
        raise UsageError("not UTF-8 text", where=f"{name}:{bad_line}", remedy="save the file as UTF-8") from error
    layer = Layer()
    try:
        layer.tree = tomli.loads(text)
        paths = [path for path, _ in leaves(layer.tree)]
    except tomli.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error.msg}", where=f"{name}:{error.lineno}:{error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not usable TOML: {error}", where=name) from error
    at = lines(text)
    for path in (*at, *paths):
        line = next((f":{at[path[:n]]}" for n in range(len(path), 0, -1) if path[:n] in at), "")
        layer.origins[path] = Origin(label=label or f"{name}{line}", where=f"{name}{line}")
    return layer


def read_environment(environ: Mapping[str, str], bare: Path, roots: Iterable[str]) -> Layer:
    """The layer of the ``SEATRIAL_`` variables. A name that is nearly one of ours is an error; others belong to somebody else."""
    ours = (*VARIABLES, SET_VARIABLE)
    for name in sorted(environ.keys() - ours):
        prefix, _, word = name.partition("_")
        near = difflib.get_close_matches(word, [own.partition("_")[2] for own in ours], 1, 0.8) if prefix == "SEATRIAL" else []
        if near:
            raise UsageError(f"unknown variable {name}", where="environment", remedy=f"did you mean SEATRIAL_{near[0]}?")
    layer = Layer()
    for name, path in VARIABLES.items():
        if environ.get(name):
            origin = f"environment {name}"
            layer.put(path, environ[name], Origin(label=origin, where=origin, text=environ[name]))
    settings = [part.strip() for part in re.split(r"[;\n]", environ.get(SET_VARIABLE, ""))]
    layer.add(read_settings(filter(None, settings), bare, roots, f"environment {SET_VARIABLE}"))
    return layer


def read_settings(settings: Iterable[str], bare: Path, roots: Iterable[str], label: str = "--set") -> Layer:
    """The layer of ``key=value`` settings; a key that begins with none of ``roots`` lies below ``bare``."""
    layer, roots = Layer(), frozenset(roots)
    for setting in settings:
        left, equals, right = setting.partition("=")
        key = _key(left, label) if equals else ()
        if not key:
            raise UsageError(f"{setting!r} is not key=value", where=label, remedy="for example --set clients=8")
        path = key if key[0] in roots else bare + key
        origin = Origin(label=label, where=f"{label} {setting}", text=right.strip())
        try:
            layer.put(path, _value(right.strip()), origin)
        except ValueError as error:
            raise UsageError(f"{left.strip()!r}: {error}", where=label) from error
    return layer


def _key(text: str, label: str) -> Path:
    try:
        found = [path for path, _ in leaves(tomli.loads(f"{text.strip()} = 0"))]
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{text.strip()!r} is not a dotted key", where=label, remedy="for example --set verify.budget_s=60") from error
    return found[0] if len(found) == 1 else ()


def _value(text: str) -> object:
    """As TOML, otherwise the text itself."""
    try:
        found = tomli.loads(f"value = {text}")
        list(leaves(found))
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def nearest(word: str, valid: Sequence[str]) -> str:
    """For a remedy: the nearest valid word, or all of them where none is near."""
    near = difflib.get_close_matches(word, valid, 1, 0.6) or difflib.get_close_matches(word.lower(), valid, 1, 0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"valid: {', '.join(valid)}" if valid else "nothing is valid here"
