"""From a tree of values to the records of ``config/model.py``. What does not fit is one ``UsageError`` that names all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from seatrial.config.layers import nearest
from seatrial.config.model import UNIT_BYTES, UNIT_SECONDS, Misfit
from seatrial.config.origin import BUILT_IN, Origin, Path
from seatrial.config.quantities import duration_s, size_bytes
from seatrial.errors import UsageError

VALUE_WIDTH_MAX = 60
"""Characters of a value that an error shows."""
_UNITS: dict[str, tuple[Callable[[str], float], str, str]] = {
    UNIT_BYTES: (size_bytes, "a size in bytes", ', or a text such as "64MiB"'),
    UNIT_SECONDS: (duration_s, "a number of seconds", ', or a text such as "5m"'),
}
"""Unit -> what reads a text, what the number is, what the text looks like."""
_ELEMENT = re.compile(r"\[\d+\]$")
_BARE = re.compile(r"[A-Za-z0-9_-]+(\[\d+\])?")


class Checker:
    """Reads values by the annotations of the records. ``origin`` tells where the value of a path came from."""

    def __init__(self, origin: Callable[[Path], Origin | None]) -> None:
        self._origin = origin
        self._fields: dict[type[Any], Mapping[str, FieldInfo]] = {}
        """By record and key. There are as many records of a kind as there are presets, and its annotations take long to evaluate."""

    def record(self, kind: type[Any], raw: object, path: Path) -> Any:
        """A record of ``kind`` out of a table."""
        if kind not in self._fields:
            self._fields[kind] = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        fields = self._fields[kind]
        table = self._table(raw, path)
        for key, value in table.items():
            if key not in fields:
                self.refuse((*path, key), value, "unknown key", nearest(key, list(fields)))
        values = {fields[key].name: self.value(fields[key].type, value, (*path, key)) for key, value in table.items()}
        try:
            return kind(**values)
        except Misfit as error:
            self.refuse((*path, *error.path), error.value, error.what, error.remedy)
        except ValueError as error:  # two keys that do not go together: the one that was changed is to blame
            touched = [key for key in table if key in str(error)] or list(table)
            origins = [origin for key in touched if (origin := self._origin((*path, key)))]
            changed = [origin.where for origin in origins if origin.label != BUILT_IN] or [origin.where for origin in origins]
            raise UsageError(f"{dotted(path)}: {error}", where=changed[-1] if changed else "") from error

    def value(self, annotation: Any, raw: object, path: Path) -> Any:
        """A value of any annotation that the records use."""
        plain, meta = _unwrap(annotation)
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
            return self.record(plain, raw, path)
        kind, arguments = get_origin(plain), get_args(plain)
        if kind is dict:
            items = self._table(raw, path).items()
            return {self._key(arguments[0], path, key, value): self.value(arguments[1], value, (*path, key)) for key, value in items}
        if kind in (list, tuple):
            length = len(arguments) if kind is tuple else None
            if not isinstance(raw, list) or length not in (None, len(raw)):
                self.refuse(path, raw, f"must be an array{f' of {length}' if length else ''}")
            elements = zip(arguments if length else arguments * len(raw), raw, strict=True)
            return kind(self.value(item, value, (*path[:-1], f"{path[-1]}[{i}]")) for i, (item, value) in enumerate(elements))
        if valid := _choices(plain):
            if raw not in valid:
                self.refuse(path, raw, "not one of the valid values", nearest(str(raw), valid))
            return msgspec.convert(raw, plain)
        return self._scalar(plain, meta, raw, path)

    def _scalar(self, plain: Any, meta: msgspec.Meta | None, raw: object, path: Path) -> object:
        unit = (meta.extra or {}).get("unit", "") if meta else ""
        origin = self._origin(path)
        value = raw
        if plain is str and not isinstance(raw, str | dict | list) and origin and origin.text is not None:
            value = origin.text
        try:
            if unit and isinstance(raw, str):
                value = _UNITS[unit][0](raw)
            if plain is str and not isinstance(value, str):
                raise ValueError("not a string")
            return msgspec.convert(value, Annotated[plain, meta] if meta else plain)
        except (ValueError, msgspec.ValidationError):
            self.refuse(path, raw, f"must be {_expected(plain, meta, unit)}")

    def _table(self, raw: object, path: Path) -> Mapping[str, object]:
        if not isinstance(raw, Mapping):
            self.refuse(path, raw, "must be a table")
        return raw

    def _key(self, annotation: Any, path: Path, key: str, value: object) -> Any:
        plain, _ = _unwrap(annotation)
        if (valid := _choices(plain)) and key not in valid:
            self.refuse((*path, key), value, "unknown key", nearest(key, valid))
        try:
            return msgspec.convert(key, annotation)
        except msgspec.ValidationError:
            self.refuse((*path, key), value, "not a valid name", "letters, digits, '.', '_' and '-', at most 64 of them")

    def refuse(self, path: Path, value: object, what: str, remedy: str = "") -> NoReturn:
        """Raise the ``UsageError`` on the value of a path."""
        origin = self._origin((*path[:-1], _ELEMENT.sub("", path[-1]))) if path else None
        raise UsageError(f"{dotted(path)} = {_shown(value)}: {what}", where=origin.where if origin else "", remedy=remedy)


def dotted(path: Path) -> str:
    """A path as it is written in TOML: bare keys bare, others quoted."""
    return ".".join(key if _BARE.fullmatch(key) else json.dumps(key) for key in path)


def _unwrap(annotation: Any) -> tuple[Any, msgspec.Meta | None]:
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is Annotated:
        plain, meta = get_args(annotation)
        return plain, meta
    return annotation, None


def _choices(plain: Any) -> list[str]:
    if get_origin(plain) is Literal:
        return list(get_args(plain))
    return [member.value for member in plain] if isinstance(plain, type) and issubclass(plain, Enum) else []


def _expected(plain: Any, meta: msgspec.Meta | None, unit: str) -> str:
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}[plain]
    _, number, text = _UNITS.get(unit, (None, kind, ""))
    low, high = (meta.ge, meta.le) if meta else (None, None)
    reach = f" from {low} to {high}" if low is not None and high is not None else ""
    return f"{number}{reach}{text}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "{...}" if value else "{}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_WIDTH_MAX else f"{text[: VALUE_WIDTH_MAX - 3]}..."
