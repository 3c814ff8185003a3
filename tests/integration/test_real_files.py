"""Every real file, good or odd, sent as its bytes are: kept byte for byte, or refused for a reason.

Files stay as they are: the data set goes over the wire from where the File Meta Information ends,
under the SOP Class and Instance UID that it says itself, as a modality would send it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.integration.test_senders import Node, node
from tests.peers.pipelining import VERIFICATION, Sender

# The module's receiver is that of the senders.
__all__ = ["node"]

KEPT, KEPT_APART, CANNOT_UNDERSTAND = 0x0000, 0xB000, 0xC000
# The context was not accepted: not a storage SOP class.
NOT_STORAGE = -1
# There is nothing to send.
NO_INSTANCE = -2

_NO_STUDY = "no Study Instance UID"
_ODD = {
    "dcm4che_dcm4che__3gb-bulk-data-truncated": (CANNOT_UNDERSTAND, "UIDs are no UIDs; truncated"),
    "fo-dicom_fo-dicom__GH487.dcm": (CANNOT_UNDERSTAND, _NO_STUDY),
    "pydicom_pydicom-data__JLSL_16_15_1_1F.dcm": (CANNOT_UNDERSTAND, _NO_STUDY),
    "pydicom_pydicom__JPEGLSNearLossless_16.dcm": (CANNOT_UNDERSTAND, _NO_STUDY),
    "pydicom_pydicom__bad_sequence.dcm": (CANNOT_UNDERSTAND, "its UIDs are hexadecimal digests"),
    "fo-dicom_fo-dicom__GH220.dcm": (NOT_STORAGE, "a private SOP class"),
    "nroduit_weasis-dicom-tools__NeurosurgeryPlan.dcm": (NOT_STORAGE, "a hanging protocol"),
    "orthanc-mirrors_orthanc-tests__Issue111.dcm": (NOT_STORAGE, "a private SOP class"),
    "orthanc-mirrors_orthanc-tests__Issue195.dcm": (NOT_STORAGE, "a private SOP class"),
    "orthanc-mirrors_orthanc-tests__f04c19_Issue195-bis.dcm": (NOT_STORAGE, "a private SOP class"),
    "orthanc-mirrors_orthanc-tests__UnknownSopClassUid.dcm": (NOT_STORAGE, "a private SOP class"),
    "pydicom_pydicom__fall.dcm": (NOT_STORAGE, "a colour palette"),
    "pydicom_pydicom__hotiron.dcm": (NOT_STORAGE, "a colour palette"),
    "pydicom_pydicom__hotmetalblue.dcm": (NOT_STORAGE, "a colour palette"),
    "pydicom_pydicom__summer.dcm": (NOT_STORAGE, "a colour palette"),
    "pydicom_pydicom__winter.dcm": (NOT_STORAGE, "a colour palette"),
    "pydicom_pydicom__b7696c_DICOMDIR-reordered": (NO_INSTANCE, "a directory of media"),
    "pydicom_pydicom__eef945_DICOMDIR": (NO_INSTANCE, "a directory of media"),
    "wearemothership_dicom-test-files__DICOMDIR": (NO_INSTANCE, "a directory of media"),
    "orthanc-mirrors_orthanc-tests__ZeissOCT-cfind-query.dcm": (NO_INSTANCE, "a query"),
    "pydicom_pydicom__chrSQEncoding.dcm": (NO_INSTANCE, "no SOP Instance UID"),
    "pydicom_pydicom__meta_missing_tsyntax.dcm": (NO_INSTANCE, "no data set"),
}


@dataclass(frozen=True)
class Original:
    """What a file holds."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


def original(path: Path) -> Original:
    """Read a file, a Part 10 file or a bare data set."""
    with warnings.catch_warnings(), path.open("rb") as stream:
        warnings.simplefilter("ignore")
        offset, syntax = 0, ""
        if stream.read(132)[128:] == b"DICM":
            syntax = str(_read_file_meta_info(stream).get("TransferSyntaxUID", ""))
            offset = stream.tell()
        read = dcmread(path, force=True, stop_before_pixels=True)
        return Original(
            str(read.get("SOPClassUID") or ""),
            str(read.get("SOPInstanceUID") or ""),
            syntax or _guessed(read),
            path.read_bytes()[offset:],
        )


def _guessed(read: Dataset) -> str:
    implicit, little_endian = read.original_encoding
    if not little_endian:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def sent(node: Node, each: Original) -> int:
    """The status of one C-STORE over an association of its own."""
    if not each.sop_instance_uid:
        return NO_INSTANCE
    contexts = (
        (VERIFICATION, [str(ImplicitVRLittleEndian)]),
        (each.sop_class_uid, [each.transfer_syntax_uid]),
    )
    with Sender(node.port, contexts) as sender:
        if each.sop_class_uid not in sender.contexts:
            return NOT_STORAGE
        sender.store(1, each.sop_class_uid, each.sop_instance_uid, [each.data_set])
        status = sender.responses(1)[1]
        sender.release()
    return status


@pytest.mark.parametrize("folder", ["dicom_mg", "dicom_odd"])
def test_every_file_is_kept_or_rightly_refused(folder: str, node: Node, real_data: Path) -> None:
    """Each kept file's data set is on the disk as it was sent; each refusal is in the list."""
    contents_of: dict[str, set[bytes]] = {}
    wrong: list[str] = []
    paths = sorted(path for path in (real_data / folder).iterdir() if path.is_file())
    for path in paths:
        each = original(path)
        status = sent(node, each)
        known = contents_of.setdefault(each.sop_instance_uid, set())
        expected, _ = _ODD.get(path.name, (KEPT, ""))
        if expected == KEPT and known and each.data_set not in known:
            expected = KEPT_APART
        if status != expected:
            wrong.append(f"{path.name}: {status:04X}, not {expected:04X}")
        if status in (KEPT, KEPT_APART):
            known.add(each.data_set)
            assert each.data_set in node.kept(each.sop_instance_uid)
    assert wrong == []
    assert len(paths) > 3
