"""The Mammography CAD SR object around a content tree (PS3.3 A.35.5).

In: headers of the evidence, the root of the tree, identity. Out: the SOP instance with the modules
of table A.35.5-1. highdicom has no class for it, and its base class for reports cannot hold
relationships by reference; this one stands beside that, on the base class of all of its objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import highdicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MammographyCADSRStorage

from workers.dicom import equipment
from workers.dicom.equipment import ModelIdentity


class MammographyCADSR(highdicom.SOPClass):
    """One Mammography CAD SR. Patient attributes are left to `inheritance.inherit`.

    `evidence`: plain headers of every image in the tree, all of one study.
    """

    def __init__(
        self,
        *,
        evidence: Sequence[Dataset],
        root: Dataset,
        series_instance_uid: str,
        series_number: int,
        sop_instance_uid: str,
        instance_number: int,
        models: Sequence[ModelIdentity],
        is_complete: bool,
        predecessor: Dataset | None,
        at: datetime,
    ) -> None:
        super().__init__(
            study_instance_uid=str(evidence[0].StudyInstanceUID),
            series_instance_uid=series_instance_uid,
            series_number=series_number,
            sop_instance_uid=sop_instance_uid,
            sop_class_uid=MammographyCADSRStorage,
            instance_number=instance_number,
            modality="SR",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            device_serial_number=equipment.device_serial_number(models),
            series_description="Mammography CAD, research use only",
            content_date=at.date(),
            content_time=at.time(),
        )
        # SR Document Series (C.17.1) and SR Document General (C.17.2): type 2, nothing to say.
        self.ReferencedPerformedProcedureStepSequence: list[Dataset] = []
        self.PerformedProcedureCodeSequence: list[Dataset] = []
        self.CompletionFlag = "COMPLETE" if is_complete else "PARTIAL"
        self.VerificationFlag = "UNVERIFIED"
        self.PreliminaryFlag = "PRELIMINARY"
        self.CurrentRequestedProcedureEvidenceSequence = _references(evidence)
        if predecessor is not None:
            self.PredecessorDocumentsSequence = _references([predecessor])
        # SR Document Content (C.17.3): the root's own elements.
        self.update(root)


def _references(instances: Iterable[Dataset]) -> list[Dataset]:
    """Hierarchical SOP Instance Reference macro (C.17.2.1): by study, series, instance."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = instance.SOPClassUID
        item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
        series = studies.setdefault(str(instance.StudyInstanceUID), {})
        series.setdefault(str(instance.SeriesInstanceUID), []).append(item)
    return [_study_item(study_uid, series) for study_uid, series in studies.items()]


def _study_item(study_uid: str, series: dict[str, list[Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = []
    for series_uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedSOPSequence = instances
        study.ReferencedSeriesSequence.append(item)
    return study
