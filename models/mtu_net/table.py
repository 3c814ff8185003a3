"""Table I on our data: `python -m models.mtu_net.table --data DIR --out DIR`.

In: folders of real mammograms; normal ones become backgrounds for inserted calcium, since no set at
hand has both kinds outlined. Out: `table.json` and `table.md`. Five folds by patient (Alghamdi
2024, section III.B), each method an equal budget. Each fold of each method is a file of its own,
written when it is done: a run that is stopped goes on where it was. `--whole` squeezes each
mammogram to one tile, as the paper does; without it tiles are those of service. Once `tiles.npz` is
drawn, only the sets' tables of labels are read: a machine with a GPU needs no images.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract import ModelInputError
from models.datasets.cases import Case
from models.datasets.folders import read_folder
from models.datasets.splits import Split, k_folds
from models.mtu_net.baselines import METHODS
from models.mtu_net.data import tiles_of, whole_of
from models.mtu_net.fold import Recipe, run
from models.mtu_net.insertion_samples import is_normal, with_calcium
from models.mtu_net.table_report import Drawing, write

_SEED = 0x7AB1E


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    cases = [case for folder in options.data for case in read_folder(folder) if is_normal(case)]
    drawing = Drawing(options.variants, options.whole)
    cases, columns = _tiles(cases, drawing, options.out / "tiles.npz")
    splits = k_folds(cases, options.folds)
    recipe = Recipe(**{name: getattr(options, name) for name in Recipe.__slots__})
    _check_recipe(recipe, options.out / "recipe.json")
    torch.set_num_threads(options.threads)
    for number, split in enumerate(splits):
        for name in METHODS:
            _one(name, number, split, columns, recipe, options.out)
            write(options.out, len(cases), drawing, recipe)


def _one(
    name: str,
    number: int,
    split: Split,
    columns: tuple[Tensor, Tensor],
    recipe: Recipe,
    out: Path,
) -> None:
    """Train and count one method on one fold, unless that is done."""
    path = out / f"{name}.fold_{number}.json"
    if path.is_file():
        return
    training, held_out = (
        (columns[0][rows].flatten(0, 1), columns[1][rows].flatten(0, 1))
        for rows in (split.training, split.validation)
    )
    tally = run(METHODS[name], training, held_out, recipe, out / f"{name}.fold_{number}")
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(tally.to_json()))
    partial.replace(path)


def _tiles(
    cases: Sequence[Case], drawing: Drawing, path: Path
) -> tuple[list[Case], tuple[Tensor, Tensor]]:
    """Tiles and truth uint8 (cases, variants, tiles, 256, 256) of the cases that are backgrounds.

    Made once and kept in `path`. An image without a breast is none, and is told.
    """
    if not path.is_file():
        _make_tiles(cases, drawing, path)
    with np.load(path) as kept:
        names = [str(name) for name in kept["names"]]
        tiles, truth = torch.from_numpy(kept["tiles"]), torch.from_numpy(kept["truth"])
    by_name = {case.name: case for case in cases}
    if tuple(tiles.shape[1:3]) != (drawing.variants, drawing.tiles) or not by_name.keys() >= set(
        names
    ):
        raise SystemExit(f"{path} was made for other images; choose another --out")
    return [by_name[name] for name in names], (tiles, truth)


def _make_tiles(cases: Sequence[Case], drawing: Drawing, path: Path) -> None:
    names, rows = [], []
    for case in cases:
        try:
            rows.append([_sample(case, n, drawing.whole) for n in range(drawing.variants)])
            names.append(case.name)
        except ModelInputError as error:
            print(f"left out: {case.name}: {error}")
    tiles, truth = (
        np.stack([np.stack([pair[column] for pair in row]) for row in rows]) for column in (0, 1)
    )
    partial = path.with_name("partial.npz")
    np.savez_compressed(partial, names=names, tiles=tiles, truth=truth)
    partial.replace(path)


def _sample(case: Case, variant: int, whole: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same for the same name and variant, whatever else is in the folder."""
    rng = np.random.default_rng([_SEED, variant, *case.name.encode()])
    image, masks = with_calcium(case.read(), rng)
    return whole_of(image, masks) if whole else tiles_of(image, masks, rng)


def _check_recipe(recipe: Recipe, path: Path) -> None:
    """Refuse to mix folds of different budgets in one table."""
    text = json.dumps({name: getattr(recipe, name) for name in Recipe.__slots__}, indent=2)
    if path.is_file() and path.read_text() != text:
        raise SystemExit(f"{path.parent} holds folds of another budget; choose another --out")
    path.write_text(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--variants", type=int, default=2, help="insertions per background")
    parser.add_argument("--whole", action="store_true", help="one tile: all of the mammogram")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    defaults = Recipe()
    for name in Recipe.__slots__:
        value = getattr(defaults, name)
        flag = "--" + name.removesuffix("_px").replace("_", "-")
        parser.add_argument(flag, dest=name, type=type(value), default=value)
    return parser


if __name__ == "__main__":
    main()
