"""Table I on our data: `python -m models.mtu_net.table --data DIR --out DIR`.

In: folders of real mammograms; normal ones become backgrounds for inserted calcium, since no set at
hand has both kinds outlined. Out: `table.json` and `table.md`. Five folds by patient (Alghamdi
2024, section III.B), each method an equal budget. Each fold of each method is a file of its own,
written when it is done: a run that is stopped goes on where it was. Once `tiles.npz` is drawn, only
the sets' tables of labels are read: a machine with a GPU needs no images.
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
from models.mtu_net.data import tiles_of
from models.mtu_net.fold import Recipe, run
from models.mtu_net.insertion_samples import is_normal, with_calcium
from models.mtu_net.table_report import write

_SEED = 0x7AB1E


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    cases = [case for folder in options.data for case in read_folder(folder) if is_normal(case)]
    splits = k_folds(cases, options.folds)
    columns = _tiles(cases, options.variants, options.out / "tiles.npz")
    recipe = Recipe(**{name: getattr(options, name) for name in Recipe.__slots__})
    _check_recipe(recipe, options.out / "recipe.json")
    torch.set_num_threads(options.threads)
    for number, split in enumerate(splits):
        for name in METHODS:
            _one(name, number, split, columns, recipe, options.out)
            write(options.out, len(cases), options.variants, recipe)


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


def _tiles(cases: Sequence[Case], variants: int, path: Path) -> tuple[Tensor, Tensor]:
    """Tiles and truth uint8 (cases, variants, 6, 256, 256), made once and kept in `path`."""
    if not path.is_file():
        pairs = [[_sample(case, variant) for variant in range(variants)] for case in cases]
        made = [
            np.stack([np.stack([pair[column] for pair in row]) for row in pairs])
            for column in (0, 1)
        ]
        partial = path.with_name("partial.npz")
        np.savez_compressed(partial, tiles=made[0], truth=made[1])
        partial.replace(path)
    with np.load(path) as kept:
        tiles, truth = torch.from_numpy(kept["tiles"]), torch.from_numpy(kept["truth"])
    if tiles.shape[:2] != (len(cases), variants):
        raise SystemExit(f"{path} was made for other images; choose another --out")
    return tiles, truth


def _sample(case: Case, variant: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same for the same name and variant, whatever else is in the folder."""
    rng = np.random.default_rng([_SEED, variant, *case.name.encode()])
    try:
        image, masks = with_calcium(case.read(), rng)
    except ModelInputError as error:
        raise SystemExit(f"{case.name}: {error}") from error
    return tiles_of(image, masks, rng)


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
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    defaults = Recipe()
    for name in Recipe.__slots__:
        value = getattr(defaults, name)
        flag = "--" + name.removesuffix("_px").replace("_", "-")
        parser.add_argument(flag, dest=name, type=type(value), default=value)
    return parser


if __name__ == "__main__":
    main()
