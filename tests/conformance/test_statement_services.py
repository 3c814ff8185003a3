"""The conformance statement's tables of services against the code: neither can move alone."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ColorSoftcopyPresentationStateStorage,
    ExplicitVRLittleEndian,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made when imported

import node.errors
import node.query.find
import node.retrieve.provider
from node.association import (
    _APPLICATION_CONTEXT_NOT_SUPPORTED,
    _CALLING_AE_NOT_RECOGNISED,
    _LOCAL_LIMIT_EXCEEDED,
    application_entity,
)
from node.commitment import asking, custody, provider, receipt, request
from node.commitment.event_report import STORAGE_COMMITMENT
from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.errors import (
    BrokenRequestError,
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectPostponedError,
    RefusedError,
)
from node.instance import KEPT_APART, PROCESSING_FAILURE, SUCCESS
from node.priors.storage import _COMPRESSED, STORAGE_BY_MODALITY
from node.query.catalog import known_keywords
from node.query.levels import LEVELS
from node.settings import Settings
from node.sop_classes import storage_classes
from node.store import deliveries
from node.stow.access import REQUESTS_AT_ONCE, REQUESTS_PER_HOST
from node.stow.intake import PARTS_LIMIT
from node.upper_layer import connection, stream
from node.upper_layer import provider as upper_provider
from tests.conformance.statement import PAGE, Section, sections, statuses_in
from workers.dicom import dimse
from workers.dicom.identity import Identity
from workers.dicom.transfer import syntaxes_for

_SETTING = re.compile(r"`SENTINODE_([A-Z_*]+)`(?:,)?(?: default `?([\w.]+)`?)?")
# Of a kind each, and what a colour image has instead of a grey-scale state.
_SENT = {
    uid: UID(uid).name
    for uid in (*SOP_CLASS_OF_KIND.values(), ColorSoftcopyPresentationStateStorage)
}


def section(number: str) -> Section:
    return sections()[number]


def test_every_setting_that_is_named_exists_with_its_default() -> None:
    """A renamed setting or another default makes the statement wrong."""
    named = _SETTING.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 20
    for name, default in named:
        fields = [each for each in Settings.model_fields if fnmatch(each.upper(), name)]
        assert fields, f"no setting SENTINODE_{name}"
        if default:
            assert str(Settings.model_fields[fields[0]].default) == default, name


def test_storage_sop_classes() -> None:
    """How many are taken; all have every transfer syntax of the dictionary."""
    row = section("1").rows[1]
    assert row[:2] == ["Storage", "SCP"]
    assert f"({len(storage_classes('all'))} at this writing)" in row[2]
    contexts = application_entity(Settings()).supported_contexts
    found = {str(each.abstract_syntax): set(each.transfer_syntax) for each in contexts}
    for uid in storage_classes("all"):
        assert found[uid] == set(AllTransferSyntaxes)
    stated = {*_uids(section("1").text), Verification, *storage_classes("all")}
    assert set(found) <= stated


def test_presentation_contexts_of_the_services() -> None:
    """Verification, Storage Commitment and Query/Retrieve with the syntaxes of the table."""
    contexts = application_entity(Settings()).supported_contexts
    by_uid = {str(each.abstract_syntax): each.transfer_syntax for each in contexts}
    rows = {row[0]: row[1] for row in section("3.2").rows}
    for name, uid in {
        "Verification": Verification,
        "Storage Commitment Push Model": STORAGE_COMMITMENT,
        "Study Root Query/Retrieve - FIND, - MOVE, - GET": "1.2.840.10008.5.1.4.1.2.2.1",
    }.items():
        names = {_syntax_name(syntax) for syntax in by_uid[uid]}
        assert {part.strip() for part in rows[name].split(",")} == names


def test_association_policies() -> None:
    """Deadlines, pace and rejections are the code's constants."""
    settings = Settings()
    deadlines = section("3.1").row("deadlines")[1]
    hours = int(settings.dicom_association_timeout_seconds) // 3600
    assert deadlines.startswith(
        f"association request after {settings.dicom_request_timeout_seconds:.0f} s, "
        f"a PDU after {settings.dicom_pdu_timeout_seconds:.0f} s, "
        f"silence of {settings.dicom_network_timeout_seconds:.0f} s, an association of {hours} h"
    )
    pace = section("3.1").row("pace")[1]
    for number in (
        stream.LOWEST_BYTES_PER_SECOND,
        stream.FEW_FRAGMENTS,
        stream.LOWEST_BYTES_PER_FRAGMENT,
        upper_provider._MOST_WAITING,
    ):
        assert re.search(rf"\b{number:,}\b", pace), number
    assert "over 256 KiB" in section("3.1").row("maximum PDU")[1]
    assert connection.Deadlines(1, 1).largest_held_pdu_bytes == 256 * 1024
    assert f"up to {settings.dicom_async_operations} operations" in section("3.1").row("async")[1]
    rejections = section("3.1").row("rejections")[1]
    own = (_CALLING_AE_NOT_RECOGNISED, _LOCAL_LIMIT_EXCEEDED, _APPLICATION_CONTEXT_NOT_SUPPORTED)
    for code in (*own, (1, 1, 7)):
        assert "-".join(str(number) for number in code) in rejections


def test_c_store_statuses() -> None:
    """One row for each status that a C-STORE can be answered with."""
    stated = {int(row[0], 16): row[1] for row in section("3.3").rows}
    storing = {
        each.status
        for each in vars(node.errors).values()
        if isinstance(each, type) and issubclass(each, RefusedError)
    }
    # 0xC122 is for STOW-RS: an association negotiates the syntax.
    storing -= {node.errors.TransferSyntaxNotSupportedError.status}
    assert set(stated) == storing | {SUCCESS, KEPT_APART, PROCESSING_FAILURE}
    assert stated[SUCCESS] == "Success"
    assert stated[KEPT_APART] == "Warning"


def test_storage_commitment_statuses() -> None:
    """Statuses of the N-ACTION, Failure Reasons, and the two waits."""
    first, second, third = section("3.4").paragraphs
    statuses = {
        *(request._NO_SUCH_SOP_INSTANCE, request._INVALID_ARGUMENT_VALUE),
        *(request._NO_SUCH_SOP_CLASS, request._NO_SUCH_ACTION, request._RESOURCE_LIMITATION),
        *(provider.SUCCESS, provider.PROCESSING_FAILURE),
    }
    assert statuses_in(first) == statuses
    assert f"more than {request.MAX_ITEMS:,} references" in first
    assert f"reported {provider._MOMENT_SECONDS} s after the response" in first
    assert f"accepted within {provider._ANSWER_SECONDS:.0f} s" in first
    assert statuses_in(second) == {
        *(custody.PROCESSING_FAILURE, custody.NO_SUCH_OBJECT_INSTANCE),
        *(custody.CLASS_INSTANCE_CONFLICT, custody.DUPLICATE_TRANSACTION_UID),
        custody.RESOURCE_LIMITATION,
    }
    assert statuses_in(third) == {custody.NO_SUCH_OBJECT_INSTANCE}


@pytest.mark.parametrize("level", LEVELS)
def test_keys_of_queries(level: str) -> None:
    """What a level matches is what its row and those above list."""
    depth = LEVELS.index(level) + 1
    listed = " ".join(row[1] for row in section("3.5").rows[:depth])
    names = {name for name in re.findall(r"\b[A-Z]\w+\b", listed) if not name.isupper()}
    # The row says of it that it is returned and not matched.
    assert names - {"ViewPosition"} == known_keywords(level) - {"RetrieveAETitle"}


def test_query_and_retrieve_statuses() -> None:
    """Every status of the two services has its row."""
    text = section("3.5").text
    find, retrieve = text.split("C-MOVE goes to the peers", 1)
    errors = {node.errors.OutOfResourcesError, node.errors.DataSetMismatchError}
    errors |= {node.errors.CannotUnderstandError}
    shared = {each.status for each in errors} | {0xFE00}
    assert statuses_in(find) == shared | {
        *(node.query.find._PENDING, node.query.find._PENDING_PARTIAL, node.query.find._FAILURE)
    }
    module = node.retrieve.provider
    assert statuses_in(retrieve) == shared | {
        *(0x0000, 0xB000, 0xA702, module._FAILURE, module.WrongContextError.status),
        *(module.UnknownDestinationError.status, module.TooManyObjectsError.status),
    }


def test_stow_statuses() -> None:
    """HTTP statuses of broken requests, Failure Reasons and the limits."""
    stated = {int(code) for row in section("3.6").rows for code in re.findall(r"\d{3}", row[0])}
    broken = {
        each.http_status
        for each in vars(node.errors).values()
        if isinstance(each, type) and issubclass(each, BrokenRequestError)
    }
    assert broken <= stated
    assert stated == broken | {200, 202, 401, 403, 406, 409, 411, 415, 503}
    assert f"{REQUESTS_AT_ONCE}, {REQUESTS_PER_HOST} of one host" in section("3.6").row("503")[1]
    assert f"up to {PARTS_LIMIT:,}" in section("3.6").text
    reasons = section("3.6").text.split("Failure Reason: ")[1].split("Parts that")[0]
    assert set(re.findall(r"\b[0-9A-F]{4}\b", reasons)) == {
        *("A700", "A900", "C000", "C122", "0122", "0110", "B000")
    }


def test_what_is_sent() -> None:
    """The SOP classes of results, by name and UID, and the syntaxes that are proposed for each."""
    rows = section("4.1").rows
    stated = {row[1]: row for row in rows if row[1].startswith("1.2.840.")}
    assert set(stated) == set(_SENT)
    for uid, (name, _, syntaxes, *_) in stated.items():
        assert name == _SENT[uid]
        assert syntaxes.split(", ") == [_syntax_name(each) for each in _proposed(uid)]
    for row in section("1").rows:
        if row[:2] in (["Storage", "SCU"], ["DICOMweb STOW-RS", "user agent"]):
            names = {part.strip() for part in row[2].split(",")}
            assert names == {name.removesuffix(" Storage") for name in _SENT.values()}


def _proposed(sop_class_uid: str) -> list[str]:
    """What a destination that says nothing of syntaxes is proposed."""
    destination = Destination(
        name="pacs", protocol="c-store", ae_title="PACS", host="localhost", port=104
    )
    identity = Identity(sop_class_uid, "1.2", "1.2", "1.2", str(ExplicitVRLittleEndian))
    return syntaxes_for(identity, destination)


def _syntax_name(uid: str) -> str:
    """As PS3.5 calls it, without what PS3.6 adds of the default."""
    return UID(uid).name.split(":")[0].replace("Default Transfer Syntax for DICOM", "").strip()


@pytest.mark.parametrize(
    ("first", "samples", "expected"),
    [
        ("0000, 0001", [0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB007, 0xBFFF], None),
        ("0111", [0x0111], None),
        ("A7xx", [0xA700, 0xA7FF], DestinationUnavailableError),
        ("0110, 0213", [0x0110, 0x0213], ObjectPostponedError),
        ("any other", [0x0122, 0xA900, 0xC000, 0x0117], DestinationRefusedError),
    ],
)
def test_what_a_c_store_is_answered_with(
    first: str, samples: list[int], expected: type[Exception] | None
) -> None:
    """Each row of the table: stored, tried again as for an archive or an object, or refused."""
    assert section("4.1").row(first)
    for status in samples:
        if expected is None:
            dimse._check(status)
        else:
            with pytest.raises(expected):
                dimse._check(status)


def test_what_a_commitment_report_means() -> None:
    """Which Failure Reasons are final, and which is about the request alone."""
    assert statuses_in(section("4.4").row("0119H")[0]) == deliveries._FINAL_REASONS
    assert statuses_in(section("4.4").row("0131H")[0]) == {deliveries._DUPLICATE_TRANSACTION_UID}
    healing = statuses_in(section("4.4").row("Failure Reason 0112H")[0])
    others = {deliveries._DUPLICATE_TRANSACTION_UID, *deliveries._FINAL_REASONS}
    assert healing == set(deliveries._REASONS) - others


def test_statuses_to_a_commitment_report() -> None:
    """What an archive's N-EVENT-REPORT is answered with, and how long the node waits for it."""
    text = section("4.4").paragraphs[-1]
    assert statuses_in(text.split("Statuses to a report")[1]) == {
        *(receipt._SUCCESS, receipt._PROCESSING_FAILURE, receipt._NO_SUCH_EVENT_TYPE),
        *(receipt._INVALID_ARGUMENT_VALUE, receipt._NO_SUCH_SOP_CLASS),
        receipt._RESOURCE_LIMITATION,
    }
    assert f"waits {asking._REPORT_SECONDS:.0f} s" in text


def test_what_priors_are_asked_with() -> None:
    """Modalities and compressed syntaxes of the C-GET contexts."""
    text = section("4.3").text
    classes = text.split("storage classes of ")[1].split(", each")[0]
    assert set(re.findall(r"\b[A-Z]{2}\b", classes)) == set(STORAGE_BY_MODALITY)
    for syntax in _COMPRESSED:
        assert UID(syntax).name.split(" ")[0] in text, UID(syntax).name


def _uids(text: str) -> set[str]:
    """UIDs, with the short forms ", .2, .3" of the row on Query/Retrieve written out."""
    found = set(re.findall(r"\b1\.2\.840\.[\d.]*\d", text))
    for base in list(found):
        if re.search(re.escape(base) + r", \.2, \.3", text):
            found |= {f"{base.rpartition('.')[0]}.{last}" for last in (2, 3)}
    return found
