"""A model's training configuration: a dataclass, its defaults in TOML, changes by hand.

    config = read(Config, Path("models/mtu_net/train.toml"), ["fit.minutes=8", "batch=12"])

In: the dataclass that says which keys there are and of which type, TOML files (later ones win), and
`key=value` texts whose value is written as in TOML. Out: an instance. Tables of the file are
dataclasses in the dataclass. What must hold: a key that does not exist is an error that names the
nearest one that does, so that a typing error never trains a wrong model.
"""

from __future__ import annotations

import difflib
import math
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class ConfigError(ValueError):
    """The file or an override cannot be what was meant; the text says where and why."""


def read(kind: type[T], paths: Path | Iterable[Path], overrides: Sequence[str] = ()) -> T:
    """An instance of the dataclass `kind`. Raises ConfigError."""
    table: dict[str, Any] = {}
    for path in [paths] if isinstance(paths, Path) else paths:
        table = merged(table, _parsed(path))
    for override in overrides:
        table = merged(table, _override(override))
    return build(kind, table)


def build(kind: type[T], table: Mapping[str, Any], where: str = "") -> T:
    """The dataclass `kind` from a table as TOML gives it. Raises ConfigError."""
    hints = get_type_hints(kind)
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for key in table:
        if key not in names:
            raise ConfigError(f"{where}{key} is no setting{_hint(key, names)}")
    values = {key: _value(hints[key], value, where + key) for key, value in table.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where.rstrip('.') or 'the configuration'}: {error}") from error


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` says, table by table."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _override(text: str) -> dict[str, Any]:
    """`fit.minutes=8` as {"fit": {"minutes": 8}}; what is no TOML value is taken as a string."""
    key, separator, written = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"{text!r} is not of the form key=value")
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        value = written
    for name in reversed(key.strip().split(".")):
        value = {name: value}
    return dict(value)


def _value(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`. Raises ConfigError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, where + ".")
    if origin in (Union, types.UnionType):
        plain = [argument for argument in arguments if argument is not type(None)]
        return _value(plain[0], value, where)
    if origin is Literal:
        if value in arguments:
            return value
        known = ", ".join(map(str, arguments))
        raise ConfigError(f"{where} is {value!r}; known are {known}")
    if origin is tuple and isinstance(value, list):
        return tuple(_items(arguments, value, where))
    if hint is float and type(value) in (int, float):
        return _finite(value, where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is int and type(value) is int and value < 0:
        raise ConfigError(f"{where} is {value}; it cannot be below 0")
    if hint in (int, str, bool) and type(value) is hint:
        return value
    name = getattr(hint, "__name__", None) if origin is None else str(hint)
    raise ConfigError(f"{where} is {value!r}, which is no {name or hint}")


def _finite(value: float, where: str) -> float:
    """Raises ConfigError: a budget that is no number would never be spent."""
    if not math.isfinite(value):
        raise ConfigError(f"{where} is {value}, which is no finite number")
    return float(value)


def _items(arguments: tuple[Any, ...], values: Sequence[Any], where: str) -> Iterable[Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return [_value(arguments[0], value, f"{where}[{i}]") for i, value in enumerate(values)]
    if len(arguments) != len(values):
        raise ConfigError(f"{where} has {len(values)} values, expected {len(arguments)}")
    pairs = enumerate(zip(arguments, values, strict=True))
    return [_value(kind, value, f"{where}[{i}]") for i, (kind, value) in pairs]


def _hint(key: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"
