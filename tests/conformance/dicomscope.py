"""How DICOMscope, the reference viewer for presentation states, draws one (Debian: dicomscope).

DCMTK reads, checks and prints graphic annotations but draws none: `dcmp2pgm` gives the grey picture
alone. The drawing is in DICOMscope, by the same institute, on top of DCMTK.

As a program, `python -m tests.conformance.dicomscope IMAGE STATE FRAME PICTURE OUT ...`, it draws
the annotations of STATE on PICTURE (that frame of IMAGE, in any size) and writes OUT, for any
number of such five. A process of its own, because a Java machine cannot be ended and started again.
Of 2003, the viewer knows no recommended CIELab colours: all lines are red.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_JAR = Path("/usr/share/java/DICOMscope.jar")
_CONFIGURATION = Path("/etc/dcmtk/DICOMscope.cfg")
_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_SECONDS = 120


class Drawing(NamedTuple):
    """What to draw: image, presentation state, frame, that frame as PNG, and the PNG to write."""

    image: Path
    state: Path
    frame_number: int
    picture: Path
    out: Path


def draw(drawings: Sequence[Drawing]) -> None:
    """Draw annotations. Skips where DICOMscope is not installed."""
    if (
        not (_JAR.exists() and _CONFIGURATION.exists())
        or shutil.which("java") is None
        or importlib.util.find_spec("jpype") is None
    ):
        pytest.skip("no DICOMscope, or no jpype: apt-get install dicomscope; extra `dev`")
    arguments = [
        str(part.resolve() if isinstance(part, Path) else part)
        for drawing in drawings
        for part in drawing
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.dicomscope", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env={**os.environ, "LD_LIBRARY_PATH": _native_folders()},
    )
    assert done.returncode == 0, done.stderr


def _native_folders() -> str:
    """Where Debian keeps libraries that Java programs load."""
    return ":".join(str(path) for path in Path("/usr/lib").glob("*/jni"))


def main(arguments: Sequence[str]) -> None:
    """Draw; see above."""
    import jpype  # noqa: PLC0415  # only this process starts a Java machine

    jpype.startJVM(*_OPTIONS, classpath=[str(_JAR)])
    java = jpype.java
    # Its static part loads the native library for the classes of the viewer.
    java.lang.Class.forName("main.MainContext", True, java.lang.ClassLoader.getSystemClassLoader())
    viewer = jpype.JPackage("viewer").presentation
    viewer.PresentationStateTextObject.setTextAttributeMap(java.util.Hashtable())
    interface = jpype.JClass("J2Ci.jDVInterface")(str(_CONFIGURATION))
    for start in range(0, len(arguments), 5):
        image, state, frame_number, picture, out = arguments[start : start + 5]
        drawing = Drawing(Path(image), Path(state), int(frame_number), Path(picture), Path(out))
        _draw(java, viewer, interface, drawing)


def _draw(java: Any, viewer: Any, interface: Any, drawing: Drawing) -> None:
    files = java.io.File
    assert interface.loadPState(str(drawing.state), str(drawing.image)) == 0, drawing.state
    assert interface.getCurrentPState().selectImageFrameNumber(drawing.frame_number) == 0
    picture = _image_io().read(files(str(drawing.picture)))
    kind = java.awt.image.BufferedImage.TYPE_INT_RGB
    canvas = java.awt.image.BufferedImage(picture.getWidth(), picture.getHeight(), kind)
    canvas.createGraphics().drawImage(picture, 0, 0, None)
    handler = viewer.PresentationStateGraphicsHandler(interface)
    handler.setNewPresentationState(java.awt.Dimension(canvas.getWidth(), canvas.getHeight()))
    scale = java.awt.geom.AffineTransform.getScaleInstance(
        canvas.getWidth() / handler.getImageWidth(), canvas.getHeight() / handler.getImageHeight()
    )
    handler.drawPaintStructure(canvas, scale, scale, True, 0, False)
    _image_io().write(canvas, "png", files(str(drawing.out)))


def _image_io() -> Any:
    import jpype  # noqa: PLC0415

    return jpype.JClass("javax.imageio.ImageIO")


if __name__ == "__main__":
    main(sys.argv[1:])
