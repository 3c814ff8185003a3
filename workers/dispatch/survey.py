"""What a destination takes and offers, found out without sending it anything: `sentinode check`.

By DIMSE the archive's own answer to an association request tells which SOP classes it takes, in
which transfer syntaxes, and whether it offers C-FIND and Storage Commitment. DICOMweb has no such
question: there it is only known whether the archive answers, and to our credentials.
"""

from __future__ import annotations

from typing import Any

from pydicom.uid import UID, ColorSoftcopyPresentationStateStorage, ExplicitVRLittleEndian

from node.calling import UNCOMPRESSED, VERIFICATION, answer_text
from node.commitment.event_report import STORAGE_COMMITMENT
from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.settings import Settings
from workers.dicom.dimse import STUDY_ROOT_FIND, Line, open_line, query_context, storage_contexts
from workers.dicom.identity import Identity
from workers.dicom.stow import open_web

_NOTES = "rejection notes"
_SHORT_NAMES = {
    "Deflated Explicit VR Little Endian": "deflated",
    "Explicit VR Little Endian": "explicit",
    "Implicit VR Little Endian": "implicit",
}


def survey(destination: Destination, settings: Settings) -> tuple[bool, str]:
    """Whether everything that is wanted of it works, and what it takes and offers.

    Raises DestinationUnavailableError, DestinationRefusedError, ConfigurationError.
    """
    well, texts = True, []
    if destination.uses_web:
        texts.append(_survey_web(destination))
    if destination.uses_dimse:
        well, text = _survey_dimse(destination, settings)
        texts.append(text)
    return well, "; ".join(texts)


def _survey_web(destination: Destination) -> str:
    with open_web(destination) as web:
        web.echo()
    secret = destination.username is not None or destination.token_file is not None
    plain = secret and str(destination.url).startswith("http:")
    return "answers DICOMweb" + (", and its secret goes unencrypted: use https" * plain)


def _survey_dimse(destination: Destination, settings: Settings) -> tuple[bool, str]:
    classes = _classes(destination) if destination.protocol == "c-store" else {}
    contexts = [
        (VERIFICATION, UNCOMPRESSED),
        query_context(),
        (STORAGE_COMMITMENT, UNCOMPRESSED),
        *storage_contexts(destination, [_identity(uid) for uid in classes.values()]),
    ]
    with open_line(destination, contexts, settings) as line:
        takes = {kind: line.accepted(uid) for kind, uid in classes.items()}
        confirms, offer = _confirmation(destination, line)
        echo = _echo(line)
    taken = [f"{kind} ({', '.join(map(_short, found))})" for kind, found in takes.items() if found]
    missing = [kind for kind, found in takes.items() if not found]
    refused = [kind for kind in missing if kind != _NOTES]
    parts = [echo, f"takes {', '.join(taken)}" * bool(taken), offer]
    parts.append(f"does not take {', '.join(refused)}: take them out of `kinds`" * bool(refused))
    parts.append(f"does not take {_NOTES}: set another `replace`" * (_NOTES in missing))
    return confirms and not missing, "; ".join(part for part in parts if part)


def _confirmation(destination: Destination, line: Line) -> tuple[bool, str]:
    """Whether what `confirm` wants is there, and what is offered."""
    find, commitment = bool(line.accepted(STUDY_ROOT_FIND)), bool(line.accepted(STORAGE_COMMITMENT))
    offered = ["C-FIND"] * find + ["Storage Commitment"] * commitment
    text = f"offers {' and '.join(offered)}" if offered else "offers nothing to confirm with"
    if destination.confirm == "commitment" and not commitment and find:
        return True, f"{text}, which confirms instead of Storage Commitment"
    if destination.confirm == "commitment":
        return commitment, text
    return find or destination.confirm != "c-find", text


def _echo(line: Line) -> str:
    if not line.accepted(VERIFICATION):
        return "does not offer C-ECHO"
    status: Any = line.association.send_c_echo().get("Status")
    return "answers C-ECHO" if status == 0 else f"{answer_text(status)} to C-ECHO"


def _classes(destination: Destination) -> dict[str, str]:
    """SOP Class UID of everything that it may be sent, by kind."""
    classes: dict[str, str] = {kind: SOP_CLASS_OF_KIND[kind] for kind in destination.wanted_kinds}
    if "GSPS" in classes:
        classes["GSPS of colour images"] = ColorSoftcopyPresentationStateStorage
    if destination.replace == "rejection-note":
        classes[_NOTES] = SOP_CLASS_OF_KIND["REJECTED"]
    return classes


def _identity(sop_class_uid: str) -> Identity:
    """An object as it lies on disk, of which only the SOP class matters here."""
    return Identity(sop_class_uid, "", "", "", str(ExplicitVRLittleEndian))


def _short(transfer_syntax_uid: str) -> str:
    name = UID(transfer_syntax_uid).name
    return _SHORT_NAMES.get(name, name)
