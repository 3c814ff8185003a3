"""Writes `.env.example` and `docs/configuration.md` from the fields of `node.settings.Settings`.

Run it after changing a setting: `make configuration`. A test fails when the files are stale.
"""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo

from node.destinations import KINDS_OF_PROFILE, Profile
from node.settings import Settings

ROOT = Path(__file__).resolve().parent.parent

_PAGE_HEAD = """# Configuration

Every setting is an environment variable, or a key of the YAML file that `SENTINODE_CONFIG` names
(same name without the prefix, lower case). The environment wins over the file. What must stay
secret, such as a DATABASE_URL with its password, may stand in a file of the folder that
`SENTINODE_SECRETS_DIR` names, called like its variable in lower case (`sentinode_database_url`).
Lists are written with commas. Relative paths are read from the folder in which a command or process
is started, so write whole ones, but for those in destinations and peers, which may be relative to
their file. What is changed is in force when the processes are started again. `sentinode check` says
whether what is configured works.

This page is written by `make configuration` from `node/settings.py`.

| variable | default | meaning |
|---|---|---|
"""

_PAGE_TAIL = """
## Routes

`SENTINODE_ROUTES` names a YAML file of rules; [node/routes.yaml](../node/routes.yaml) is what is
built in and serves as the example. The first rule that matches an instance decides: either its
`models`, or `skip` with the reason that people will read. `only_without: RULE` leaves an image out
when the study holds an image of RULE with the same laterality and view. Keep the first rule, `own
results`, in a file of your own: without it a picture (SC) that the archive forwards to the node
would be analysed as a digitised mammogram, and its results be forwarded in turn.

## Destinations

`SENTINODE_DESTINATIONS` names a YAML file:

```yaml
destinations:
  - name: pacs
    protocol: stow              # stow (STOW-RS) or c-store
    url: https://pacs.example/dicom-web
    username: sentinode
    password_file: /run/secrets/pacs-password   # secrets only from files; token_file for a bearer
    profile: ohif               # ohif | workstation | legacy, see below
    kinds: [SEG, SR]            # SEG, SR, CADSR, GSPS, SC, KOS, COMBINED; empty: the profile's
    segments_per: finding       # finding | class: what one segment of a SEG is
    gsps_outlines: graphics     # graphics | shutter: for viewers that draw no graphics, see below
    ca_file: pacs-ca.pem        # who signed the server's certificate; empty: the system's
    confirm: qido               # qido | c-find | commitment | none
    replace: orthanc-delete     # none | rejection-note | orthanc-delete: for old revisions
    orthanc_url: https://pacs.example   # Orthanc's REST API, for orthanc-delete
  - name: archive
    protocol: c-store
    ae_title: ARCHIVE
    host: 10.0.0.7
    port: 2762
    tls: true                   # DICOM over TLS; false unless given
    ca_file: archive-ca.pem
    certificate_file: node.crt  # shown to the archive; DICOM_TLS_CERTIFICATE unless given
    key_file: node.key
    profile: workstation
    seg_transfer_syntaxes: [deflated]   # the default; [explicit] never deflates
    confirm: commitment         # Storage Commitment; C-FIND where the archive does not offer it
    commitment_seconds: 900     # without a report for this long it is asked for again
    timeout_seconds: 60         # the longest wait for an answer
```

Paths may be relative to the file. Secrets are read at each visit; a new one needs no restart.

| `profile` | `kinds`, unless given | SEG and SR are written |
|---|---|---|
@PROFILES@

With `gsps_outlines: shutter` a presentation state also holds its outlines as a bitmap display
shutter, in white: viewers that open presentation states but draw no graphics show them so. None can
switch them off, and the object grows by one bit per pixel of the image (1.7 MB at 3328 x 4096).

What each kind is, and what the OHIF viewer needs, is told in conformance.md 5. `COMBINED` comes
only where a patient has both examinations, `CADSR` only for mammograms; nothing waits for them.

`sentinode check` says of each destination which kinds it takes in which transfer syntaxes, and what
it offers to confirm with.

A segmentation goes deflated where the archive takes that (by C-STORE it is asked; by STOW-RS it is
sent explicit when it was refused), else in Explicit VR Little Endian, at last in Implicit VR Little
Endian. RLE Lossless is not offered: it does not hold one bit per pixel (PS3.5 8.2.2).

Storage Commitment needs this node's AE title, host and DICOM_PORT in the archive's configuration,
so that it can report to the receiver. An archive that reports on the association of the request
needs nothing.

A destination that fails is tried again after RETRY_SECONDS, doubling up to RETRY_MAX_SECONDS, each
pause up to a fifth shorter or longer, by one worker at a time whatever the number of studies that
wait; what could not be delivered for RETRY_GIVE_UP_SECONDS is `dead` until `sentinode retry`.

## Peers

`SENTINODE_PEERS` names a YAML file of the application entities that the node itself calls: targets
of C-MOVE, receivers of Storage Commitment reports, sources of prior studies. `sentinode check`
sends each a C-ECHO.

```yaml
peers:
  - ae_title: ARCHIVE
    host: pacs.example          # name or address
    port: 2762
    tls: true                   # with DICOM_TLS_CERTIFICATE as the client's, when it is set
    ca_file: /etc/sentinode/pacs-ca.pem   # who signed the peer's certificate; empty: the system's
    timeout_seconds: 60         # longest silence of the peer, 30 unless given
  - ae_title: MAMMO1
    host: 10.0.0.21
    port: 104
```

An archive that answers a C-MOVE only when all is sent needs a `timeout_seconds` that covers the
sending of a whole series.

## Priors

`SENTINODE_PRIORS` names a YAML file of rules. When a study is complete, each rule that matches one
of its instances asks `source`, an AE title of the peers file, for other studies of the same
patient, once for each study:

```yaml
priors:
  - name: previous mammograms
    match: {Modality: MG}       # as in routes; empty: every study
    source: ARCHIVE
    modalities: [MG]            # only their series are retrieved
    within_days: 1500           # before the study's date
    limit: 2                    # studies, newest first; 1 unless given
    retrieve: c-move            # the archive must know AE_TITLE as a move destination
  - name: ultrasound of the same visit
    match: {Modality: MG, CallingAETitle: [MAMMO1, MAMMO2]}
    source: ARCHIVE
    modalities: [US]
    within_days: 30
    after_days: 30              # 0 unless given
    limit: 3
    retrieve: c-get             # the archive stores on the node's own association
```

The patient is named by PatientID, and by IssuerOfPatientID where the study has one; a study without
a PatientID asks for nothing. What is retrieved is kept as a prior: no model looks at it, and it
opens no revision. With c-move that is known by the Move Originator AE title, which the archive must
send; one that does not needs `retrieve: c-get`. c-get knows the modalities MG, US, MR, CT, CR and
DX. The sweeper retrieves; with c-get it writes to STATE_DIR. Failures are tried again as
RETRY_SECONDS, RETRY_MAX_SECONDS and RETRY_GIVE_UP_SECONDS say; the study's timeline tells what came
of it.
"""

_EXAMPLE_HEAD = """# Every setting with its default; uncomment what you change.
# Written by `make configuration`.
"""


def configuration_page() -> str:
    """docs/configuration.md."""
    rows = [
        f"| `{_variable(name)}` | {_cell(_default(field))} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    tail = _PAGE_TAIL.replace("@PROFILES@", "\n".join(map(_profile_row, KINDS_OF_PROFILE)))
    return _PAGE_HEAD + "\n".join(rows) + "\n" + tail


def example_file() -> str:
    """.env.example."""
    blocks = [
        f"# {field.description}\n#{_variable(name)}={_default(field)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return _EXAMPLE_HEAD + "\n" + "\n".join(blocks)


def _profile_row(profile: Profile) -> str:
    for_ohif = "as OHIF needs them" if profile == "ohif" else "plain"
    return f"| `{profile}` | {', '.join(KINDS_OF_PROFILE[profile])} | {for_ohif} |"


def _variable(name: str) -> str:
    return f"SENTINODE_{name.upper()}"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _cell(text: str) -> str:
    return f"`{text}`" if text else ""


def main() -> None:
    """Write both files."""
    (ROOT / "docs" / "configuration.md").write_text(configuration_page(), encoding="utf-8")
    (ROOT / ".env.example").write_text(example_file(), encoding="utf-8")


if __name__ == "__main__":
    main()
