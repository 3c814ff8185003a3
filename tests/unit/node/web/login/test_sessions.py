"""Sessions: what ends one, and that nobody can make one."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.settings import load_settings
from node.web.login.accounts import Account, Role
from node.web.login.sessions import Sessions

ANNA = Account("anna", Role.READER, "$argon2id$one")
IDLE_SECONDS, WHOLE_SECONDS = 1000.0, 5000.0


class Clinic:
    """Sessions with a clock to turn and accounts to change."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.now = 1_000_000.0
        self.accounts = {"anna": ANNA}
        self.settings = load_settings(
            state_dir=folder,
            web_idle_seconds=IDLE_SECONDS,
            web_session_seconds=WHOLE_SECONDS,
            **more,
        )
        self.sessions = self.another()

    def another(self) -> Sessions:
        """What another process, or this one after a restart, has."""
        return Sessions(self.settings, self.accounts.get, lambda: self.now)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """Return sessions with a key of their own."""
    return Clinic(tmp_path)


def test_every_process_reads_it(clinic: Clinic) -> None:
    """Replicas and restarts share the key, which is for its owner only."""
    text = clinic.sessions.begin(ANNA)
    session = clinic.another().read(text)
    assert session is not None
    assert session.account == ANNA
    assert clinic.settings.web_session_key.stat().st_mode & 0o777 == 0o600
    assert clinic.settings.web_session_key.parent.stat().st_mode & 0o777 == 0o700
    assert clinic.sessions.mark() == clinic.another().mark()


def test_it_ends_when_nobody_uses_it(clinic: Clinic) -> None:
    """At the idle time, not before."""
    text = clinic.sessions.begin(ANNA)
    clinic.now += IDLE_SECONDS - 1
    assert clinic.sessions.read(text)
    clinic.now += 1
    assert clinic.sessions.read(text) is None


def test_use_keeps_it_until_its_age(clinic: Clinic) -> None:
    """Renewed again and again it lasts to the age, and no longer."""
    text, began = clinic.sessions.begin(ANNA), clinic.now
    while clinic.now - began < WHOLE_SECONDS - 400:
        clinic.now += 400
        session = clinic.sessions.read(text)
        assert session is not None
        text = clinic.sessions.renewed(session) or text
    clinic.now = began + WHOLE_SECONDS
    assert clinic.sessions.read(text) is None


def test_renewal_is_not_for_every_request(clinic: Clinic) -> None:
    """A cookie that is seconds old will do."""
    session = clinic.sessions.read(clinic.sessions.begin(ANNA))
    assert session is not None
    clinic.now += 59
    assert clinic.sessions.renewed(session) is None
    clinic.now += 1
    assert clinic.sessions.renewed(session)


@pytest.mark.parametrize(
    "changed",
    [
        None,
        Account("anna", Role.OPERATOR, ANNA.hash),
        Account("anna", Role.READER, "$argon2id$two"),
    ],
)
def test_any_change_of_the_account_ends_it(clinic: Clinic, changed: Account | None) -> None:
    """Removal, another role, another password."""
    text = clinic.sessions.begin(ANNA)
    clinic.accounts.pop("anna")
    if changed:
        clinic.accounts["anna"] = changed
    assert clinic.sessions.read(text) is None


def test_logout_ends_every_copy(clinic: Clinic) -> None:
    """On every process, older and renewed texts alike; other sessions go on."""
    text, other = clinic.sessions.begin(ANNA), clinic.sessions.begin(ANNA)
    session = clinic.sessions.read(text)
    assert session is not None
    clinic.now += 100
    renewed = clinic.sessions.renewed(session)
    assert renewed
    clinic.sessions.end(session)
    assert [clinic.another().read(each) for each in (text, renewed)] == [None, None]
    assert clinic.another().read(other)


def test_ends_are_forgotten_when_nobody_needs_them(clinic: Clinic) -> None:
    """The folder does not grow for ever."""
    ended = clinic.settings.state_dir / "web" / "ended"
    for _ in range(3):
        session = clinic.sessions.read(clinic.sessions.begin(ANNA))
        assert session is not None
        clinic.sessions.end(session)
    clinic.now = max(path.stat().st_mtime for path in ended.iterdir()) + WHOLE_SECONDS + 1
    last = clinic.sessions.read(clinic.sessions.begin(ANNA))
    assert last is not None
    clinic.sessions.end(last)
    assert len(list(ended.iterdir())) <= 1


def test_many_who_log_out_at_once_are_in_nobodys_way(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    """Each forgets old ends that another has just forgotten; the log had it as an error."""
    ended = clinic.settings.state_dir / "web" / "ended"
    ended.mkdir(parents=True)
    for number in range(300):
        (ended / str(number)).touch()
    clinic.now += WHOLE_SECONDS + time.time()
    texts = [clinic.sessions.begin(ANNA) for _ in range(8)]
    sessions = [session for text in texts if (session := clinic.sessions.read(text))]
    with ThreadPoolExecutor(8) as people:
        list(people.map(clinic.sessions.end, sessions))
    assert caplog.text == ""
    assert len(list(ended.iterdir())) <= len(sessions)


def test_a_full_disk_does_not_keep_anybody_in(clinic: Clinic) -> None:
    """Where the end cannot be kept, logging out still does not fail."""
    (clinic.settings.state_dir / "web").mkdir(exist_ok=True)
    (clinic.settings.state_dir / "web" / "ended").write_text("not a folder")
    session = clinic.sessions.read(clinic.sessions.begin(ANNA))
    assert session is not None
    clinic.sessions.end(session)


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "!!!",
        _packed("a 1000000 1000000 anna"),
        _packed("../../x 1000000 1000000 anna"),
        _packed("a 9 9 anna more"),
        _packed("a x y anna"),
        _packed(f"a {'9' * 5000} 1 anna"),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_nobody_can_write_one(clinic: Clinic, payload: str) -> None:
    """A text without the right signature is nothing, whatever it says."""
    for signature in ("", ".", ".AAAA", f".{'A' * 43}", ".ä"):
        assert clinic.sessions.read(payload + signature) is None


def test_changed_text_is_nothing(clinic: Clinic) -> None:
    """Neither time nor name can be changed and the signature kept."""
    payload, _, signature = clinic.sessions.begin(ANNA).partition(".")
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    for other in (text.replace(" 1000000", " 9000000", 1), text.replace("anna", "olga")):
        assert clinic.sessions.read(f"{_packed(other)}.{signature}") is None


def test_another_key_ends_all(clinic: Clinic) -> None:
    """Replacing the file logs everybody out, without a restart."""
    text, mark = clinic.sessions.begin(ANNA), clinic.sessions.mark()
    clinic.settings.web_session_key.write_text("k" * 64)
    assert clinic.sessions.read(text) is None
    assert clinic.sessions.mark() != mark


def test_a_key_that_is_none_says_which(tmp_path: Path) -> None:
    """Missing and too short ones name the setting's file; none is made in their place."""
    path = tmp_path / "key"
    clinic = Clinic(tmp_path, web_session_key_file=path)
    with pytest.raises(ConfigurationError, match="SENTINODE_WEB_SESSION_KEY_FILE"):
        clinic.sessions.begin(ANNA)
    path.write_text("short\n")
    with pytest.raises(ConfigurationError, match="needs 32 bytes"):
        clinic.sessions.begin(ANNA)
    path.write_text("k" * 32)
    assert clinic.sessions.read(clinic.sessions.begin(ANNA))


def test_a_name_that_does_not_exist_costs_the_same(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged session of somebody and of nobody: the time says nothing of who has an account."""
    signed = []
    sign = Sessions._signature
    monkeypatch.setattr(Sessions, "_signature", lambda *each: signed.append(1) or sign(*each))
    for name in ("anna", "nobody"):
        payload = base64.urlsafe_b64encode(f"id 1000000 1000000 {name}".encode()).rstrip(b"=")
        assert clinic.sessions.read(f"{payload.decode()}.AAAA") is None
    assert len(signed) == 2
