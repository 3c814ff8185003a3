"""Who may store: tokens, networks, this machine; and how many at once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi import HTTPException, Request

from node.settings import load_settings
from node.stow.access import REQUESTS_AT_ONCE, REQUESTS_PER_HOST, Slots, authorize


def ask(
    host: str | None = "127.0.0.1",
    authorization: str = "",
    more: tuple[tuple[bytes, bytes], ...] = (),
    **settings: object,
) -> str:
    """Authorize a request from this address. Raises HTTPException."""
    headers = [(b"authorization", authorization.encode())] if authorization else []
    headers += more
    client = None if host is None else (host, 40000)
    request = Request({"type": "http", "headers": headers, "client": client})
    return authorize(request, load_settings(**settings))


def refused(**asked: object) -> HTTPException:
    """The refusal of the same."""
    with pytest.raises(HTTPException) as error:
        ask(**asked)  # type: ignore[arg-type]
    return error.value


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_needs_no_token(host: str) -> None:
    """Without a token file, loopback is open."""
    ask(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.9", "::ffff:10.0.0.1", "unknown", None])
def test_other_machines_need_one(host: str | None) -> None:
    """Without a token file nobody else may store."""
    assert refused(host=host).status_code == 403


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip"])
def test_what_was_handed_on_is_not_from_this_machine(name: bytes, tmp_path: Path) -> None:
    """A sender may have written "127.0.0.1" where a believed proxy hands on what it was told."""
    assert refused(more=((name, b"127.0.0.1"),)).status_code == 403
    path = tmp_path / "token"
    path.write_text("secret")
    ask(authorization="Bearer secret", more=((name, b"127.0.0.1"),), stow_token_file=path)


def test_token(tmp_path: Path) -> None:
    """With a token file even this machine must show one; each line is one."""
    path = tmp_path / "tokens"
    path.write_text("old-secret\n\n  new-secret \n")
    settings = {"stow_token_file": path}
    for host in ("127.0.0.1", "10.0.0.1"):
        assert ask(host, "Bearer old-secret", **settings) == host
        ask(host, "bearer  new-secret", **settings)
        for shown in ("", "Basic b2xk", "Bearer", "Bearer ", "Bearer old", "Bearer néw-secret"):
            refusal = refused(host=host, authorization=shown, **settings)
            assert refusal.status_code == 401
            assert refusal.headers["WWW-Authenticate"].startswith("Bearer ")


def test_rotated_token_holds_at_once(tmp_path: Path) -> None:
    """The file is read again for each request."""
    path = tmp_path / "token"
    path.write_text("first")
    ask(authorization="Bearer first", stow_token_file=path)
    path.write_text("second")
    ask(authorization="Bearer second", stow_token_file=path)
    assert refused(authorization="Bearer first", stow_token_file=path).status_code == 401
    path.write_text("\n")
    assert refused(authorization="Bearer ", stow_token_file=path).status_code == 401


def test_missing_token_file_lets_nobody_in(tmp_path: Path) -> None:
    """A secret that is not mounted is our fault, and not an open door."""
    refusal = refused(authorization="Bearer x", stow_token_file=tmp_path / "none")
    assert refusal.status_code == 503
    assert "Retry-After" in refusal.headers


def test_networks_of_the_dicom_listener_hold(tmp_path: Path) -> None:
    """A token does not help a host outside of them."""
    path = tmp_path / "token"
    path.write_text("secret")
    settings = {"stow_token_file": path, "dicom_allowed_networks": "10.20.0.0/16"}
    ask("10.20.3.4", "Bearer secret", **settings)
    for host in ("10.21.0.1", "127.0.0.1", "unknown", None):
        assert refused(host=host, authorization="Bearer secret", **settings).status_code == 403


def test_slots() -> None:
    """A host may hold some of the slots, all hosts no more than there are."""
    slots = Slots()
    with ExitStack() as held:
        for _ in range(REQUESTS_PER_HOST):
            held.enter_context(slots.taken("a"))
        with pytest.raises(HTTPException) as refusal, slots.taken("a"):
            pass
        assert refusal.value.status_code == 503
        for number in range(REQUESTS_AT_ONCE - REQUESTS_PER_HOST):
            held.enter_context(slots.taken(f"b{number}"))
        with pytest.raises(HTTPException), slots.taken("c"):
            pass
    with slots.taken("a"):
        pass
