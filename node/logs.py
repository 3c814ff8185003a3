"""Structured logs: one JSON object a line, ids only.

`log` is the one logger. Its `extra` values are DICOM UIDs, AE titles, counts and error texts made
here; never attribute values of a patient.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import UTC, datetime

import pydicom.config
import pynetdicom._config

log = logging.getLogger("sentinode")
# What the web server and the worker's framework have to say comes as our lines do.
_FRAMEWORKS = tuple(map(logging.getLogger, ("uvicorn", "celery", "kombu")))

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Renders time, level, message and the extras."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "process": record.processName,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def keep_libraries_quiet() -> None:
    """Values of a data set must not reach a log or a screen by way of a library's warnings."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    pynetdicom._config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom._config.LOG_RESPONSE_IDENTIFIERS = False
    # Its handlers put every message into words, for a logger that writes nowhere.
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"


def configure_logs(level: str) -> None:
    """Send this product's logs to standard error, and keep libraries from logging data sets."""
    keep_libraries_quiet()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    log.setLevel(level.upper())
    for logger in (log, *_FRAMEWORKS):
        logger.handlers[:] = [handler]
        logger.propagate = False
