"""The rules of `SENTINODE_PRIORS`: which priors a study wants; read once and checked whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from node.entries import read_entries, refuse_repeats
from node.errors import ConfigurationError
from node.peers import Peer
from node.priors.storage import MOST_CONTEXTS, STORAGE_BY_MODALITY, storage_contexts
from node.routes import Conditions, matches

_LONGEST_NAME = 64  # what the table holds


class PriorRule(BaseModel):
    """One rule: a study with an instance that matches asks `source` for priors of its patient.

    `within_days` before the study's date, and `after_days` after it; of what is found, the newest
    `limit` studies; of these, the series of the wanted `modalities` only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
    match: Conditions = {}
    source: str  # AE title of a peer
    modalities: Annotated[tuple[str, ...], Field(min_length=1)]
    within_days: Annotated[int, Field(ge=0, le=36500)]
    after_days: Annotated[int, Field(ge=0, le=36500)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 1
    retrieve: Literal["c-get", "c-move"] = "c-move"

    @field_validator("modalities")
    @classmethod
    def _are_code_strings(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        # PS3.5 table 6.2-1, CS: also keeps wildcards out of the question.
        for value in values:
            if not 0 < len(value) <= 16 or not value.isascii() or not value.isalnum():
                raise ValueError(f"{value!r} is not a modality, e.g. MG")
        return tuple(dict.fromkeys(value.upper() for value in values))

    @model_validator(mode="after")
    def _can_be_got(self) -> PriorRule:
        if self.retrieve == "c-move":
            return self
        unknown = sorted(set(self.modalities) - set(STORAGE_BY_MODALITY))
        if unknown:
            known = ", ".join(STORAGE_BY_MODALITY)
            raise ValueError(f"c-get knows {known}, not {', '.join(unknown)}; use c-move")
        if len(storage_contexts(self.modalities)) > MOST_CONTEXTS:
            raise ValueError("too many modalities for one c-get; make two rules or use c-move")
        return self

    def wants(self, attributes: Mapping[str, Any]) -> bool:
        """Whether an instance with these attributes makes its study ask."""
        return matches(self.match, attributes)


def load_priors(path: Path | None, peers: Mapping[str, Peer]) -> tuple[PriorRule, ...]:
    """The rules, in order. Raises ConfigurationError naming the file, the entry and the field."""
    if path is None:
        return ()
    rules = read_entries(path, "priors", PriorRule)
    refuse_repeats(path, "priors", "name", [rule.name for rule in rules])
    for rule in rules:
        if rule.source not in peers:
            raise ConfigurationError(
                f"priors file {path}: source {rule.source} of {rule.name} is no AE title of the "
                f"peers file; known: {', '.join(peers) or 'none'}"
            )
    return rules
