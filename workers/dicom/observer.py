"""Who observed what, and on which procedure: the context that every report begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from highdicom.sr import (
    CodeContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.sr.codedict import codes as dictionary

from workers.dicom import codes, equipment
from workers.dicom.equipment import ModelIdentity


def device_observer(models: Sequence[ModelIdentity]) -> ObserverContext:
    """The node with these models, no person (PS3.16 TID 1002, 1004)."""
    return ObserverContext(
        observer_type=dictionary.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=equipment.device_uid(models),
            name=f"{equipment.MANUFACTURER_MODEL_NAME} (research use only)",
            manufacturer_name=equipment.MANUFACTURER,
            model_name=equipment.MANUFACTURER_MODEL_NAME,
            serial_number=equipment.device_serial_number(models),
        ),
    )


def name_modalities(content: ContentSequence, modalities: Iterable[str]) -> None:
    """Say below Procedure Reported, which CID 100 has no finer code for, what it was made with.

    It is the imaging procedure that made the images, never the analysis of them.
    """
    procedure = next(item for item in content if item.name == dictionary.DCM.ProcedureReported)
    items = [
        CodeContentItem(
            codes.MODALITY, codes.MODALITIES[modality], RelationshipTypeValues.HAS_CONCEPT_MOD
        )
        for modality in dict.fromkeys(modalities)
        if modality in codes.MODALITIES
    ]
    if items:
        procedure.ContentSequence = ContentSequence(items)
