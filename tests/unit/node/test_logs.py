"""What a log line looks like, whoever writes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from node.logs import configure_logs

_NAMES = ("sentinode", "uvicorn", "celery", "kombu")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _NAMES]
    kept = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for each, handlers, level, propagate in kept:
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.mark.parametrize("name", ["sentinode", "uvicorn.error", "celery.worker"])
def test_a_failure_is_one_line_of_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The web server's words and Celery's too, with the traceback inside."""
    configure_logs("INFO")
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        logging.getLogger(name).exception("failed")
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "failed"
    assert "RuntimeError: first\nsecond" in line["traceback"]
