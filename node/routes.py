"""Routing rules: which models look at which instance, or why none does.

A rule matches when every attribute it names has one of the listed values. Values are compared as
text, case-insensitively; `*` matches any present value, `null` an absent one. The first rule that
matches decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    model_validator,
)

from node.entries import read_entries

BUILT_IN = Path(__file__).with_name("routes.yaml")

# What a rule can ask for. The same attributes are kept with the instance's row; none identifies a
# patient.
ROUTABLE = (
    "Modality",
    "SOPClassUID",
    "PresentationIntentType",
    "BodyPartExamined",
    "AnatomicRegionCodeValue",
    "ImageLaterality",
    "Laterality",
    "ViewPosition",
    "ViewCodeValue",
    "ViewModifierCodeValue",
    "ImageType",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "QualityControlImage",
    "Manufacturer",
    "ManufacturerModelName",
    "CallingAETitle",
    "HasPixelData",
)


# Begins the reason of an image that is left out for a better one (`only_without`).
SUPERFLUOUS = "the same view is analysed as"
# Objects that this node fetched for comparison; no rule decides about them.
PRIOR_ROUTE = "prior"


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _known(conditions: dict[str, list[str | None]]) -> dict[str, list[str | None]]:
    unknown = set(conditions) - set(ROUTABLE)
    if unknown:
        raise ValueError(f"cannot match on {sorted(unknown)}; known: {', '.join(ROUTABLE)}")
    return conditions


# What the `match` of a rule holds: a keyword and the values that are wanted there.
Conditions = Annotated[
    dict[str, Annotated[list[str | None], BeforeValidator(_as_list)]], AfterValidator(_known)
]


def matches(conditions: Conditions, attributes: Mapping[str, Any]) -> bool:
    """Whether every condition holds."""
    return all(_one_of(attributes.get(keyword), wanted) for keyword, wanted in conditions.items())


# Decisions that are not worked out again.
_REMEMBERED = 256


class Rule(BaseModel):
    """One routing rule: `match`, then either `models` or `skip` with the reason.

    `only_without` names another rule: the models run only when the study has no image of that rule
    with the same laterality and view (a For Processing image beside its For Presentation twin).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    match: Conditions = {}
    models: tuple[str, ...] = ()
    skip: str | None = None
    only_without: str | None = None

    @model_validator(mode="after")
    def _decides(self) -> Rule:
        if bool(self.models) == bool(self.skip):
            raise ValueError("a rule has either `models` or `skip`")
        if self.name == PRIOR_ROUTE:
            raise ValueError(f"the name {PRIOR_ROUTE!r} is the node's own")
        return self


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules decided for one instance."""

    route: str
    models: tuple[str, ...]
    skip_reason: str | None
    # The models look at it only where a better image of its view does not come (`only_without`).
    stands_in: bool = False


class Routes:
    """All rules, in order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._keywords = sorted({keyword for rule in self.rules for keyword in rule.match})
        # The images of a series are alike to the rules.
        self._decisions: OrderedDict[tuple[Any, ...], Decision] = OrderedDict()

    def decide(self, attributes: Mapping[str, Any]) -> Decision:
        """The first rule that matches; without one the instance is kept and not analysed."""
        key = tuple(_hashable(attributes.get(keyword)) for keyword in self._keywords)
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._decisions[key] = self._decide(attributes)
            if len(self._decisions) > _REMEMBERED:
                self._decisions.popitem(last=False)
        return decision

    def _decide(self, attributes: Mapping[str, Any]) -> Decision:
        for rule in self.rules:
            if matches(rule.match, attributes):
                stands_in = rule.only_without is not None
                return Decision(rule.name, rule.models, rule.skip, stands_in)
        return Decision("none", (), "no routing rule matches this kind of object")

    def only_without(self, route: str) -> str | None:
        """The rule whose images make those of `route` superfluous."""
        return next((rule.only_without for rule in self.rules if rule.name == route), None)

    def models(self) -> tuple[str, ...]:
        """Every model that some rule names."""
        return tuple(sorted({model for rule in self.rules for model in rule.models}))


def is_superfluous(skip_reason: str | None) -> bool:
    """Whether an image is left out for a better one."""
    return skip_reason is not None and skip_reason.startswith(SUPERFLUOUS)


def load_routes(path: Path | None) -> Routes:
    """Read the rules. Raises ConfigurationError naming the file, the rule and the field."""
    return Routes(read_entries(path or BUILT_IN, "routes", Rule))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_of(value: Any, wanted: Sequence[str | None]) -> bool:
    if value is None or value == "":
        return None in wanted
    values = value if isinstance(value, list) else [value]
    texts = {str(item).strip().lower() for item in values}
    wishes = {want.strip().lower() for want in wanted if want is not None}
    return "*" in wishes or bool(wishes & texts)
