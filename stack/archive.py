"""What the demo asks of the archive, in the archive's own words: QIDO-RS, and Orthanc's look-up.

In: a Study Instance UID. Out: the result objects that the archive holds. What must hold: nothing
here trusts what the node says of itself.
"""

from __future__ import annotations

import re
from typing import Any

import httpx

Account = tuple[str, str] | None
_SECONDS = 20.0
_JSON = {"Accept": "application/dicom+json"}
# PS3.6: Modality, SOP Instance UID, Series Instance UID.
_SOP_INSTANCE_UID = "00080018"
_SERIES_INSTANCE_UID = "0020000E"


def instances(orthanc: str, study_uid: str, modality: str, account: Account = None) -> list[str]:
    """SOP Instance UIDs of one modality in one study (PS3.18 10.6), as often as they are listed.

    Raises httpx.HTTPError.
    """
    series = _query(f"{orthanc}/dicom-web/studies/{study_uid}/series?Modality={modality}", account)
    found: list[str] = []
    for each in series:
        uid = _value(each, _SERIES_INSTANCE_UID)
        rows = _query(f"{orthanc}/dicom-web/studies/{study_uid}/series/{uid}/instances", account)
        found += [_value(row, _SOP_INSTANCE_UID) for row in rows]
    return sorted(found)


def explorer_url(orthanc: str, study_uid: str) -> str:
    """The page of Orthanc's own web interface that shows the study. Raises httpx.HTTPError."""
    with _client() as client:
        answer = client.post(f"{orthanc}/tools/lookup", content=study_uid)
    ids = [row["ID"] for row in answer.raise_for_status().json() if row["Type"] == "Study"]
    page = f"{orthanc}/app/explorer.html"
    return f"{page}#study?uuid={ids[0]}" if ids else page


def differences(orthanc: str, status: dict[str, Any], account: Account = None) -> list[str]:
    """How the archive's SEG and SR differ from those of a status object; empty when they agree.

    Results of earlier revisions stay in the archive, so extra ones count only in the first.
    """
    wrong: list[str] = []
    for kind in ("SEG", "SR"):
        listed = {row["sop_instance_uid"] for row in status["results"] if row["kind"] == kind}
        held = instances(orthanc, status["study_uid"], kind, account)
        wrong += [f"{kind} {uid} is not in the archive" for uid in sorted(listed - set(held))]
        wrong += [
            f"{kind} {uid} is in the archive {held.count(uid)} times"
            for uid in sorted(set(held))
            if held.count(uid) > 1
        ]
        if status["revision"] == 1:
            extra = sorted(set(held) - listed)
            wrong += [f"{kind} {uid} is in the archive but not ours" for uid in extra]
    return wrong


def _query(url: str, account: Account) -> list[dict[str, Any]]:
    with _client(account) as client:
        answer = client.get(url, headers=_JSON).raise_for_status()
    rows: list[dict[str, Any]] = answer.json() if answer.content else []
    return rows


def _client(account: Account = None) -> httpx.Client:
    """The archive is asked itself, whatever proxy the environment names."""
    return httpx.Client(auth=account, timeout=_SECONDS, trust_env=False)


def _value(row: dict[str, Any], tag: str) -> str:
    value = str(row[tag]["Value"][0])
    if not re.fullmatch(r"[0-9.]{1,64}", value):
        raise ValueError(f"the archive answered with a UID that is none: {value!r}")
    return value
