"""Who may log in: the accounts file, and the account whose password a deployment made.

In: lines `NAME:ROLE:HASH`, and the file of the password of `admin`. Out: accounts as they are at
this moment: a file that has changed is read anew, without a restart. What must hold: a line that
cannot be read lets nobody in, and a file that is gone opens nothing.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.logs import log
from node.settings import Settings
from node.stamps import Stamp, stamp
from node.web.login import passwords

# The account of WEB_ADMIN_PASSWORD_FILE. A line of the accounts file with this name wins.
ADMIN = "admin"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_NOTHING_SEEN: tuple[Stamp | bool, ...] = ()


class Role(StrEnum):
    """What an account may do."""

    READER = "reader"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Account:
    """A person or program. `hash` is Argon2id in its text form."""

    name: str
    role: Role
    hash: str

    @property
    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name}:{self.role}:{self.hash}"


def is_name(text: str) -> bool:
    """Whether an account may be called so: a person's short name or mail address, lower case."""
    return _NAME.fullmatch(text) is not None


def read_accounts(text: str) -> tuple[dict[str, Account], list[int]]:
    """Accounts by name, and the numbers of the lines that are none.

    Empty lines and those that begin with # are comments. Of two lines with one name neither counts:
    nobody could say which was meant to be removed.
    """
    found: dict[str, Account] = {}
    wrong: list[int] = []
    twice: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        account = _parsed(line.strip())
        if account is None or account.name in found:
            wrong.append(number)
            twice |= {account.name} if account else set()
        else:
            found[account.name] = account
    return {name: one for name, one in found.items() if name not in twice}, wrong


def _parsed(line: str) -> Account | None:
    name, _, rest = line.partition(":")
    role, _, kept = rest.partition(":")
    if not is_name(name) or role not in list(Role) or not passwords.HASH.fullmatch(kept):
        return None
    return Account(name, Role(role), kept)


class Accounts:
    """The accounts in force. Any thread may ask."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.web_accounts
        self._admin_file = settings.web_admin_password_file
        # One that was named or seen must be there; that of the state folder may be yet to come.
        self._expected = settings.web_accounts_file is not None
        self._wanted = self._expected or self._admin_file is not None
        self._seen = _NOTHING_SEEN
        self._found: Mapping[str, Account] = {}
        self._lock = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether somebody has set accounts up, so that nobody comes in without one."""
        self._refresh()
        return self._wanted

    def find(self, name: str) -> Account | None:
        """The account of this name."""
        return self._refresh().get(name)

    def all(self) -> list[Account]:
        """Every account, by name."""
        found = self._refresh()
        return [found[name] for name in sorted(found)]

    def _refresh(self) -> Mapping[str, Account]:
        with self._lock:
            stamps = (stamp(self._file), stamp(self._admin_file), _is_there(self._file))
            if stamps != self._seen:
                # Once there were accounts, a file that vanishes must not open the pages.
                self._expected = self._expected or stamps[2]
                self._wanted = self._wanted or self._expected
                self._found = {one.name: one for one in (*self._of_admin(), *self._of_file())}
                self._seen = stamps
            return self._found

    def _of_file(self) -> Iterator[Account]:
        text = _text(self._file) if self._expected else None
        found, wrong = read_accounts(text or "")
        if wrong:
            facts = {"file": str(self._file), "lines": wrong}
            log.error("lines of the accounts file are none, and let nobody in", extra=facts)
        yield from found.values()

    def _of_admin(self) -> Iterator[Account]:
        text = None if self._admin_file is None else _text(self._admin_file)
        if text is None:
            return
        password = text.strip()
        fault = passwords.fault(password, ADMIN)
        if fault:
            log.error(f"SENTINODE_WEB_ADMIN_PASSWORD_FILE: {fault}", extra={"account": ADMIN})
            return
        # Every replica and every start must come to the same hash, or sessions would end with each.
        salt = hashlib.sha256(b"sentinode admin\0" + password.encode()).digest()[:16]
        yield Account(ADMIN, Role.OPERATOR, passwords.hashed(password, salt))


def _is_there(path: Path) -> bool:
    """Whether somebody has made the file, also where this process may not look at it."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        facts = {"file": str(path), "reason": getattr(error, "strerror", None) or "not UTF-8"}
        log.error("a file of accounts cannot be read, and lets nobody in", extra=facts)
        return None
