"""Configuration files in YAML, read once and checked whole.

In: the path of a file with one list under a key, as `SENTINODE_ROUTES`, `SENTINODE_PEERS`,
`SENTINODE_PRIORS` and `SENTINODE_DESTINATIONS` name them, or of any mapping (`SENTINODE_CONFIG`).
Out: the list's entries, the mapping. What must hold: whoever reads the error knows which entry and
field to change; the value of a wrong field, which may be a secret, is never told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from node.errors import ConfigurationError

Entry = TypeVar("Entry", bound=BaseModel)

_QUOTES = "a value that begins with one of *!&%@`'\"[{ or holds a colon and a space wants quotes"


def read_entries(path: Path, key: str, kind: type[Entry]) -> tuple[Entry, ...]:
    """The list under `key`, in order.

    Raises ConfigurationError naming the file, the entry and the field.
    """
    path = path.absolute()  # a relative one does not say against which folder it was read
    document = _read(path, f"{key} file {path}")
    entries = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ConfigurationError(f"{key} file {path}: expected a list under the key `{key}`")
    return tuple(
        _checked(entry, kind, f"{key} file {path}, entry {number}")
        for number, entry in enumerate(entries, start=1)
    )


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """The whole document, names and values; of an empty file none.

    what: whose file it is, for errors. Raises ConfigurationError.
    """
    document = _read(path, f"{what} {path}")
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"{what} {path}: expected lines of the form `name: value`")
    return {str(name): value for name, value in document.items()}


def refuse_repeats(path: Path, key: str, what: str, values: Sequence[str]) -> None:
    """Raise ConfigurationError where two entries have the same `what`."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ConfigurationError(f"{key} file {path}: {what} {', '.join(twice)} is used twice")


def _read(path: Path, where: str) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where} is not text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        # Its text quotes the line, and "undefined alias" even a password that begins with *.
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{where}{line}: not YAML; {_QUOTES}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where}: not YAML ({type(error).__name__})") from error


def _checked(entry: Any, kind: type[Entry], where: str) -> Entry:
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        name = entry.get("name") if isinstance(entry, dict) else None
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'entry'}: {item['msg']}"
            for item in error.errors(include_input=False)
        )
        raise ConfigurationError(f"{where}{f' ({name})' if name else ''}: {wrong}") from error
