"""Trained weights on disk: half precision, in parts small enough to be copied anywhere.

In: a module. Out: `weights.000.pt`, `weights.001.pt`, ... (each a state dict, together the whole),
and back. Half precision halves the files; `load` returns to the module's own type. What must hold:
a parameter that half precision cannot hold (above 65504, or not finite) is an error, not an Inf.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models.training.checkpoint import DAMAGE, save_as
from models.training.config import ConfigError


class DamagedWeightsError(ValueError):
    """A file of weights cannot be read."""


class OtherNetworkError(RuntimeError):
    """Weights whose names or shapes are not the network's; the text tells the first difference."""


_SHOWN = 200  # characters of a difference, which may name hundreds of tensors

PART_BYTES = 15 * 1024 * 1024


def save(module: nn.Module, directory: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write the weights of `module` in parts of at most `part_bytes` of tensor data each.

    A single tensor larger than that stays whole. Parts of an earlier run are removed once all of
    these are on disk: a full one does not cost both.
    Returns the paths in order. Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, Tensor]] = [{}]
    filled_bytes = 0
    for name, tensor in module.state_dict().items():
        stored = _half(name, tensor)
        size_bytes = stored.numel() * stored.element_size()
        if parts[-1] and filled_bytes + size_bytes > part_bytes:
            parts.append({})
            filled_bytes = 0
        parts[-1][name] = stored
        filled_bytes += size_bytes
    paths = [directory / f"weights.{number:03d}.pt" for number in range(len(parts))]
    drafts = [path.with_suffix(".partial") for path in paths]
    try:
        for draft, part in zip(drafts, parts, strict=True):
            save_as(draft, part)
        for stale in directory.glob("weights.*.pt"):
            stale.unlink()
        for draft, path in zip(drafts, paths, strict=True):
            draft.rename(path)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    return paths


def load(module: nn.Module, directory: Path) -> None:
    """Read every part in `directory` into `module`.

    Raises FileNotFoundError without parts, DamagedWeightsError, OtherNetworkError.
    """
    paths = sorted(directory.glob("weights.*.pt"))
    if not paths:
        raise FileNotFoundError(f"no weights.*.pt in {directory}")
    state: dict[str, Tensor] = {}
    for path in paths:
        try:
            state.update(torch.load(path, map_location="cpu", weights_only=True))
        except DAMAGE as error:
            raise DamagedWeightsError(f"{path} is damaged, or holds no weights") from error
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        details = str(error).splitlines()
        difference = (details[1] if len(details) > 1 else details[0]).strip()
        raise OtherNetworkError(
            f"{directory} holds the weights of another network: {difference[:_SHOWN]}"
        ) from error


def start(module: nn.Module, initial: Path | None) -> None:
    """`load` what a setting `initial` names, if it does. Raises ConfigError."""
    if initial is None:
        return
    try:
        load(module, initial)
    except FileNotFoundError as error:
        raise ConfigError(f"initial: {error}; name the --out of a run that has ended") from error
    except DamagedWeightsError as error:
        raise ConfigError(f"initial: {error}") from error
    except OtherNetworkError as error:
        raise ConfigError(
            f"initial: {initial} holds the weights of another network; train with the settings "
            "under network that it was trained with"
        ) from error


def _half(name: str, tensor: Tensor) -> Tensor:
    # clone: a view would drag its whole storage into the file.
    stored = tensor.detach().cpu().clone()
    if stored.is_floating_point():
        stored = stored.half()
        if not bool(torch.isfinite(stored).all()):
            raise ValueError(f"{name} does not fit into half precision")
    return stored.contiguous()
