"""`sentinode phantom`: write synthetic studies with their truth."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from phantoms.mammography_object import Photometric, VoiFunction
from phantoms.study import VIEW_NAMES, StudyOptions, ViewName, count_images, write_study

# A study with something to find in each breast and one of every kind of lesion.
DEMO_SEED = 29


def _views(context: click.Context, parameter: click.Parameter, value: str) -> tuple[ViewName, ...]:
    """Read a comma-separated list of views."""
    names = [name.strip().upper() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in VIEW_NAMES]
    if unknown or not names:
        raise click.BadParameter(f"choose from {','.join(VIEW_NAMES)}", context, parameter)
    return tuple(view for view in VIEW_NAMES if view in names)


@click.command(short_help="Write synthetic studies as DICOM, with their truth.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to fill."
)
@click.option(
    "--seed",
    default=DEMO_SEED,
    show_default=True,
    type=click.IntRange(0, 999_999_999),
    help="Patient; the same seed writes the same bytes.",
)
@click.option(
    "--views", default="LCC,RCC,LMLO,RMLO", show_default=True, callback=_views, help="Also: US."
)
@click.option(
    "--size",
    default=1664,
    show_default=True,
    type=click.IntRange(256, 3328),
    help="Rows of a mammogram, px.",
)
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Studies of consecutive seeds, each in a folder of its own.",
)
@click.option(
    "--processing/--no-processing",
    default=True,
    show_default=True,
    help="Write For Processing mammograms as well.",
)
@click.option(
    "--photometric",
    default="MONOCHROME2",
    show_default=True,
    type=click.Choice(["MONOCHROME1", "MONOCHROME2"]),
    help="Of For Presentation mammograms.",
)
@click.option(
    "--voi",
    default="LINEAR",
    show_default=True,
    type=click.Choice(["LINEAR", "SIGMOID"]),
    help="VOI LUT function of For Presentation mammograms.",
)
def phantom(
    out: Path,
    seed: int,
    views: tuple[ViewName, ...],
    size: int,
    count: int,
    processing: bool,
    photometric: str,
    voi: str,
) -> None:
    """Write synthetic breast studies as DICOM, with the truth beside them."""
    options = StudyOptions(
        views, size, processing, cast(Photometric, photometric), cast(VoiFunction, voi)
    )
    with click.progressbar(length=count * count_images(options), label="Drawing") as bar:
        for i in range(count):
            directory = out if count == 1 else out / f"study-{i + 1:04d}"
            write_study(directory, seed + i, options, lambda: bar.update(1))
    click.echo(f"{count} {'study' if count == 1 else 'studies'} in {out}")
