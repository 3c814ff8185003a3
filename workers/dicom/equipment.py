"""Who made a result: the device identity written into every result object.

In: the models (name and version) that contributed and the time of analysis. Out: values of the
Enhanced General Equipment Module (PS3.3 C.7.5.2) and items of the Contributing Equipment Sequence
(PS3.3 C.12.1), as IHE AI Results (AIR) asks. The device UID changes whenever a model, its version
or the software changes, so that results of different devices are never taken for one device's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.identifiers import derived_uid

MANUFACTURER: Final = "Sentinode"
MANUFACTURER_MODEL_NAME: Final = "Sentinode breast imaging AI"
RESEARCH_USE_ONLY: Final = "Research use only. Not a medical device."

# What a PACS knows the modality by; copied into the result as contributing equipment.
_ACQUISITION_KEYWORDS: Final = (
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "StationName",
)


class ModelIdentity(NamedTuple):
    """A model as results name it."""

    name: str
    version: str


@cache
def software_version() -> str:
    """The installed version; "source" for a checkout that was never installed."""
    try:
        return version("sentinode")
    except PackageNotFoundError:
        return "source"


def device_uid(models: Collection[ModelIdentity]) -> str:
    """The UID of the device that these models make together with this software version."""
    names = sorted(f"{model.name}:{model.version}" for model in set(models))
    return derived_uid("device", software_version(), *names)


def device_serial_number(models: Collection[ModelIdentity]) -> str:
    """Software has no serial plate: the number of the device UID serves (LO, 39 digits at most)."""
    return device_uid(models).removeprefix("2.25.")


def software_versions(models: Collection[ModelIdentity]) -> list[str]:
    """Values of Software Versions (0018,1020): the software first, then every model."""
    names = sorted(f"{model.name} {model.version}"[:64] for model in set(models))
    return [software_version(), *names]


def identify(
    result: Dataset, source: Dataset, models: Collection[ModelIdentity], content_at: datetime
) -> None:
    """Write into `result` which device, models and modality made it."""
    result.SoftwareVersions = software_versions(models)
    result.DeviceUID = device_uid(models)
    result.ContributingEquipmentSequence = contributing_equipment(source, models, content_at)


def contributing_equipment(
    source: Dataset, models: Collection[ModelIdentity], content_at: datetime
) -> list[Dataset]:
    """Items for the modality that made `source` (if it says so) and for every model."""
    items = [_processing_item(model, content_at) for model in sorted(set(models))]
    if source.get("Manufacturer"):
        items.insert(0, _acquisition_item(source))
    return items


def _acquisition_item(source: Dataset) -> Dataset:
    item = _equipment_item(codes.DCM.AcquisitionEquipment)
    for keyword in _ACQUISITION_KEYWORDS:
        if source.get(keyword):
            item.add(source[keyword])
    return item


def _processing_item(model: ModelIdentity, content_at: datetime) -> Dataset:
    item = _equipment_item(codes.DCM.ProcessingEquipment)
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = model.name[:64]
    item.SoftwareVersions = [model.version, software_version()]
    item.DeviceUID = device_uid([model])
    item.DeviceSerialNumber = device_serial_number([model])
    item.ContributionDateTime = content_at.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = RESEARCH_USE_ONLY
    return item


def _equipment_item(purpose: Code) -> Dataset:
    code = Dataset()
    code.CodeValue = purpose.value
    code.CodingSchemeDesignator = purpose.scheme_designator
    code.CodeMeaning = purpose.meaning
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code]
    return item
