"""The same targets led by coverage: `python -m tests.fuzz.guided TARGET [libFuzzer options]`.

Needs atheris (`.venv/bin/pip install atheris`), which the tests do not. The input is what comes
over the wire; what else is chosen at random follows from it.
"""

from __future__ import annotations

import logging
import sys
import warnings
import zlib
from random import Random

import atheris

with atheris.instrument_imports(include=["node", "pydicom", "pynetdicom", "python_multipart"]):
    from node.logs import configure_logs
    from tests.fuzz import layers

_TARGETS = {
    "stream": layers.stream,
    "commands": layers.commands,
    "header": layers.header,
    "provider": layers.provider,
    "multipart": layers.multipart,
}


def main() -> None:
    """Run one target until libFuzzer's options or a broken promise end it."""
    target = _TARGETS[sys.argv.pop(1)]
    configure_logs("CRITICAL")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, lambda content: target(Random(zlib.crc32(content)), content))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
