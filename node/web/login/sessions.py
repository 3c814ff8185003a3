"""Sessions: what a browser shows instead of the password, and when that ends.

A session is a signed text in a cookie: its id, the account, when it began, when it was last used.
Any web process with the same key can read it, after a restart too. What must hold: a session ends
when nobody uses it, at its age, by logging out, and with any change of its account.

web/session-key   the key, unless another is given
web/ended/<id>    one empty file for each session that was logged out, until it would be over anyway
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigurationError
from node.logs import log
from node.settings import Settings
from node.stamps import Stamp, stamp
from node.web.login.accounts import Account, Role

_KEY_BYTES = 32
# A cookie is written anew at most this often, and four times in the idle time at least.
_RENEW_SECONDS = 60.0
# As long as the hash of an account, which is signed too.
_NOBODY = Account("", Role.READER, "x" * 97)


@dataclass(frozen=True, slots=True)
class Session:
    """One login of one account. Times are seconds since 1970."""

    id: str
    account: Account
    began: int
    used: int


class Sessions:
    """Begins, reads and ends sessions. Any thread may ask; only the key is kept in memory."""

    def __init__(
        self,
        settings: Settings,
        find: Callable[[str], Account | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._idle_seconds = settings.web_idle_seconds
        self._whole_seconds = settings.web_session_seconds
        self._key_file = settings.web_session_key
        self._made_here = settings.web_session_key_file is None
        self._ended = settings.state_dir.absolute() / "web" / "ended"
        self._find = find
        self._now = now
        self._key = b""
        self._seen: Stamp = None
        self._lock = threading.Lock()

    def begin(self, account: Account) -> str:
        """The text of a new session. Raises ConfigurationError."""
        now = int(self._now())
        return self._signed(Session(secrets.token_urlsafe(16), account, now, now))

    def read(self, text: str) -> Session | None:
        """The session behind a text, while it lasts. Raises ConfigurationError."""
        payload, _, signature = text.partition(".")
        found = _unpacked(payload)
        account = self._find(found[3]) if found else None
        if found is None:
            return None
        # The same work for a name that does not exist: time must not tell who has an account.
        right = self._signature(payload, account or _NOBODY)
        same = hmac.compare_digest(right.encode(), signature.encode())  # of text: ASCII only
        if account is None or not same:
            return None
        session = Session(found[0], account, found[1], found[2])
        return session if self._lasts(session) else None

    def renewed(self, session: Session) -> str | None:
        """The text of a session that is used now; None while the last one will do."""
        now = int(self._now())
        if now - session.used < min(_RENEW_SECONDS, self._idle_seconds / 4):
            return None
        return self._signed(Session(session.id, session.account, session.began, now))

    def end(self, session: Session) -> None:
        """Make every copy of the session worthless."""
        try:
            _private_folder(self._ended)
            (self._ended / session.id).touch(mode=0o600)
            self._forget_old()
        except OSError as error:
            # The browser forgets it all the same; only a stolen copy would live on.
            facts = {"account": session.account.name, "reason": error.strerror}
            log.error("the end of a session cannot be kept", extra=facts)

    def mark(self) -> str:
        """A short name of the key: two nodes on one host have cookies of their own."""
        return hmac.digest(self._current_key(), b"cookie", "sha256")[:4].hex()

    def _lasts(self, session: Session) -> bool:
        now = self._now()
        fresh = now - session.used < self._idle_seconds
        young = now - session.began < self._whole_seconds
        return fresh and young and not (self._ended / session.id).exists()

    def _signed(self, session: Session) -> str:
        values = (session.id, session.began, session.used, session.account.name)
        payload = _encoded(" ".join(map(str, values)).encode())
        return f"{payload}.{self._signature(payload, session.account)}"

    def _signature(self, payload: str, account: Account) -> str:
        # The account's own line is signed too: another password or role is another signature.
        message = f"{payload}\0{account.line}".encode()
        return _encoded(hmac.digest(self._current_key(), message, "sha256"))

    def _current_key(self) -> bytes:
        with self._lock:
            found = stamp(self._key_file)
            if found is None or found != self._seen:
                self._key = self._read_key()
                self._seen = stamp(self._key_file)
            return self._key

    def _read_key(self) -> bytes:
        try:
            if self._made_here and not self._key_file.exists():
                _make_key(self._key_file)
            key = self._key_file.read_bytes().strip()
        except OSError as error:
            raise ConfigurationError(
                f"the key of the sessions cannot be read: {self._key_file} ({error.strerror}); see "
                "SENTINODE_WEB_SESSION_KEY_FILE"
            ) from error
        if len(key) < _KEY_BYTES:
            raise ConfigurationError(
                f"the key of the sessions is too short: {self._key_file} needs {_KEY_BYTES} bytes "
                "or more, e.g. from `openssl rand -hex 32`"
            )
        return key

    def _forget_old(self) -> None:
        for path in self._ended.iterdir():
            with suppress(FileNotFoundError):  # who logs out at the same moment was faster
                if self._now() - path.stat().st_mtime > self._whole_seconds:
                    path.unlink()


def _make_key(path: Path) -> None:
    """Write a new key; of several processes that do so at once, one wins."""
    _private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".session-key.")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(name, path)
    except FileExistsError:
        pass  # another process was faster, and its key is the one
    finally:
        Path(name).unlink(missing_ok=True)


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _unpacked(payload: str) -> tuple[str, int, int, str] | None:
    """Id, begin, last use and account, as somebody wrote them; nothing is believed yet."""
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
        name, began, used, account = text.split(" ")
        return name, int(began), int(used), account
    except ValueError:
        return None
