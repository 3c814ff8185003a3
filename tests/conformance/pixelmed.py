"""The SR validator of the pixelmed toolkit (Debian: libpixelmed-java), one start for all files.

As a program, `python -m tests.conformance.pixelmed FILE...`, it prints what the validator says of
each file as JSON. A process of its own, because a Java machine cannot be ended and started again.

Its rules are style sheets. Java's own processor takes 8 s to compile them and refuses to from
version 17 on without being told otherwise; Saxon (libsaxonhe-java) needs 2 s.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_JARS = [Path("/usr/share/java") / name for name in ("pixelmed.jar", "Saxon-HE.jar")]
_TRANSFORMER = "javax.xml.transform.TransformerFactory=net.sf.saxon.TransformerFactoryImpl"
# Compiling the rules recurses deeply. The rest makes a short life cheap.
_OPTIONS = ("-Xss64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_SECONDS = 240


def sr_problems(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """What the validator calls errors, by file. Skips where it is not installed."""
    missing = [str(jar) for jar in _JARS if not jar.exists()]
    if missing or shutil.which("java") is None or importlib.util.find_spec("jpype") is None:
        packages = "default-jre-headless libpixelmed-java libsaxonhe-java"
        pytest.skip(f"no pixelmed, or no jpype: apt-get install {packages}; extra `dev`")
    argv = [sys.executable, "-m", "tests.conformance.pixelmed", *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    for text in said.values():
        assert "Found Root Template" in text, f"it did not know the template: {text}"
        assert "IOD validation complete" in text, text
    return {
        Path(path): [line for line in text.splitlines() if line.startswith("Error")]
        for path, text in said.items()
    }


def main(paths: Sequence[str]) -> None:
    """Validate every file and print a JSON object: text by path."""
    import jpype  # noqa: PLC0415  # only this process starts a Java machine

    jpype.startJVM(*_OPTIONS, f"-D{_TRANSFORMER}", classpath=[str(jar) for jar in _JARS])
    validator = jpype.JClass("com.pixelmed.validate.DicomSRValidator")()
    print(json.dumps({path: str(validator.validate(path)) for path in paths}))


if __name__ == "__main__":
    main(sys.argv[1:])
