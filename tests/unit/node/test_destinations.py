"""Destinations are checked whole, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.destinations import load_destinations
from node.errors import ConfigurationError

STOW = "{name: archive, protocol: stow, url: 'http://127.0.0.1:8042/dicom-web/'}"
C_STORE = "{name: pacs, protocol: c-store, ae_title: PACS, host: 127.0.0.1, port: 104}"


def written(folder: Path, *entries: str) -> Path:
    path = folder / "destinations.yaml"
    path.write_text("destinations:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return path


def test_without_a_file_there_are_no_destinations() -> None:
    """No file means that results are only kept."""
    assert load_destinations(None) == ()


def test_both_protocols_are_read(tmp_path: Path) -> None:
    """Defaults are filled in and the URL loses its trailing slash."""
    stow, c_store = load_destinations(written(tmp_path, STOW, C_STORE))
    assert stow.url == "http://127.0.0.1:8042/dicom-web"
    assert stow.forms == {("SEG", "ohif"), ("SR", "ohif"), ("COMBINED", "")}
    assert stow.profile == "ohif"
    assert (c_store.ae_title, c_store.host, c_store.port) == ("PACS", "127.0.0.1", 104)
    assert c_store.confirm == "none"


def test_segments_of_classes_are_a_variant_of_their_own(tmp_path: Path) -> None:
    """SEG and SR of other bytes, hence other objects; other kinds have no variants."""
    entry = STOW.replace("}", ", segments_per: class}")
    plain = C_STORE.replace("}", ", segments_per: class, profile: workstation, kinds: [SEG, KOS]}")
    ohif, workstation = load_destinations(written(tmp_path, entry, plain))
    assert ohif.forms == {("SEG", "c-ohif"), ("SR", "c-ohif"), ("COMBINED", "")}
    assert workstation.forms == {("SEG", "c-plain"), ("KOS", "")}


def test_outlines_as_a_shutter_are_a_variant_of_their_own(tmp_path: Path) -> None:
    """A presentation state of other bytes, for the destination that asks for it alone."""
    asks = C_STORE.replace("}", ", profile: legacy, kinds: [GSPS, SC], gsps_outlines: shutter}")
    (legacy,) = load_destinations(written(tmp_path, asks))
    assert legacy.forms == {("GSPS", "shutter"), ("SC", "")}
    (other,) = load_destinations(written(tmp_path, C_STORE.replace("}", ", kinds: [GSPS]}")))
    assert other.forms == {("GSPS", "")}


def test_secrets_come_from_files_beside_the_configuration(tmp_path: Path) -> None:
    """A relative secret path is relative to the destinations file, and line ends are dropped."""
    (tmp_path / "password").write_text("s3cret\n")
    entry = STOW.replace("}", ", username: node, password_file: password}")
    (destination,) = load_destinations(written(tmp_path, entry))
    assert destination.password() == "s3cret"
    assert "s3cret" not in repr(destination)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (STOW.replace("stow", "ftp"), "protocol"),
        (STOW.replace("}", ", gsps_outlines: shutter}"), "needs GSPS among `kinds`"),
        (STOW.replace(", url: 'http://127.0.0.1:8042/dicom-web/'", ""), "`url` is needed"),
        (STOW.replace("http://", "http://me:secret@"), "no credentials in the URL"),
        (STOW.replace("http://", "ftp://"), "DICOMweb root"),
        (STOW.replace("}", ", confirm: c-find}"), "needed for c-store and c-find"),
        (STOW.replace("}", ", colour: red}"), "colour"),
        (STOW.replace("}", ", kinds: [PDF]}"), "kinds.0"),
        (STOW.replace("}", ", kinds: [REJECTED]}"), "cannot be asked for"),
        (STOW.replace("}", ", replace: rejection-note}"), "needs `confirm`"),
        (
            STOW.replace("}", ", confirm: qido, replace: orthanc-delete}"),
            "`orthanc_url` is needed",
        ),
        (STOW.replace("}", ", orthanc_url: pacs}"), "Orthanc's REST API"),
        (STOW.replace("}", ", username: me}"), "needs `password_file`"),
        (STOW.replace("}", ", token_file: absent}"), "token_file"),
        (C_STORE.replace("104", "70000"), "port"),
        (C_STORE.replace("127.0.0.1", "http://pacs"), "the port apart"),
        (C_STORE.replace("127.0.0.1", "'10.0.0.7:104'"), "the port apart"),
        (C_STORE.replace("}", ", seg_transfer_syntaxes: [rle]}"), "write `deflated`"),
        (C_STORE.replace("}", ", certificate_file: node.crt}"), "need each other"),
        (STOW.replace("}", ", confirm: commitment}"), "needed for c-store and c-find, and"),
        (C_STORE.replace("PACS,", "A_TITLE_THAT_IS_TOO_LONG,"), "1 to 16 ASCII"),
        ("just words", "entry 1"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: str, named: str) -> None:
    """The message holds the file, the entry and the field."""
    path = written(tmp_path, entry)
    with pytest.raises(ConfigurationError) as caught:
        load_destinations(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value) or "destination archive" in str(caught.value)


@pytest.mark.parametrize("field", ["ca_file", "certificate_file", "key_file"])
def test_a_certificate_that_is_not_there(tmp_path: Path, field: str) -> None:
    """The file is looked for when the destinations are read, beside them."""
    fields = dict.fromkeys(("ca_file", "certificate_file", "key_file"), "there.pem")
    (tmp_path / "there.pem").write_text("")
    entry = C_STORE.replace("}", "".join(f", {k}: {v}" for k, v in fields.items()) + "}")
    (destination,) = load_destinations(written(tmp_path, entry))
    assert destination.peer.certificate_file == tmp_path / "there.pem"
    wrong = entry.replace(f"{field}: there.pem", f"{field}: absent.pem")
    with pytest.raises(ConfigurationError, match=rf"{field} .*absent\.pem is not a file"):
        load_destinations(written(tmp_path, wrong))


def test_a_destination_without_a_dimse_peer(tmp_path: Path) -> None:
    """Where nothing goes by DIMSE there is nobody to call."""
    (destination,) = load_destinations(written(tmp_path, STOW))
    assert (destination.uses_dimse, destination.uses_web) == (False, True)
    with pytest.raises(ConfigurationError, match="has no DIMSE peer"):
        _ = destination.peer


def test_a_wrong_secret_never_shows_in_the_message(tmp_path: Path) -> None:
    """Input values stay out of error texts."""
    path = written(tmp_path, STOW.replace("}", ", password: hunter2}"))
    with pytest.raises(ConfigurationError) as caught:
        load_destinations(path)
    assert "hunter2" not in str(caught.value)


def test_names_are_unique(tmp_path: Path) -> None:
    """Deliveries are kept by destination name, so no two may share one."""
    with pytest.raises(ConfigurationError, match="archive is used twice"):
        load_destinations(written(tmp_path, STOW, STOW))


@pytest.mark.parametrize("text", ["", "destinations: 3\n", "- a\n- b\n", "a: [\n"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    """Neither empty nor malformed YAML is taken for an empty list."""
    path = tmp_path / "destinations.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="destinations file"):
        load_destinations(path)


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    """A path that was configured must exist."""
    with pytest.raises(ConfigurationError, match=r"absent\.yaml"):
        load_destinations(tmp_path / "absent.yaml")


@pytest.mark.parametrize("content", ["s3cret\nold one", "s3 cret", "s3cret\x01", "s3crét"])
def test_a_token_that_no_header_can_hold_is_refused_unseen(tmp_path: Path, content: str) -> None:
    """HTTP libraries quote a header that they cannot send, and the quote ends in logs."""
    (tmp_path / "token").write_text(content)
    entry = STOW.replace("}", ", token_file: token}")
    with pytest.raises(ConfigurationError, match=r"token_file .* holds more than a token") as told:
        load_destinations(written(tmp_path, entry))
    assert "s3" not in str(told.value)
