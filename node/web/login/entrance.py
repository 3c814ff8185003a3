"""The entrance: a name and a password become an account, at a bounded rate and cost.

In: what a person or program shows. Out: the account, or a refusal that says the same for a wrong
password and for a name that does not exist, after the same work. Each outcome is one log line with
the account's name and the host; what was typed as the name of no account is not logged, for it may
be a password in the wrong field.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool

from node.logs import log
from node.settings import Settings
from node.web.login import passwords
from node.web.login.accounts import Account, Accounts
from node.web.login.sessions import Sessions
from node.web.login.throttle import Throttle
from node.web.security import is_loopback

WRONG = "this name and password do not belong together"
# RFC 9110 11.6.1 wants a challenge with 401. One of Basic would make browsers ask for a password
# themselves and keep it; this scheme they do not know.
CHALLENGE = {"WWW-Authenticate": 'Cookie realm="Sentinode", form-action="/login"'}
HOW_TO_BEGIN = (
    "Nobody can log in yet: there is no account, or its file cannot be read. Where the web process "
    "runs, type: sentinode account NAME --role operator. docs/operations.md tells more."
)
# Each takes 64 MiB and one core for a fifth of a second.
_HASHES_AT_ONCE = 2
_WAITING_AT_MOST = 32
# A program shows its password with every request; it is believed for this long without hashing.
_REMEMBER_SECONDS = 300.0
_REMEMBERED_AT_MOST = 256


class Entrance:
    """Logins of one web process."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        self.accounts = Accounts(settings)
        self.sessions = Sessions(settings, self.accounts.find)
        # A process that binds loopback serves its own machine, as long as nobody wants accounts.
        self.needs_accounts = not is_loopback(settings.http_host)
        self._admin_file = settings.web_admin_password_file
        self._throttle = Throttle(now)
        self._now = now
        self._turns = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._waiting = 0
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._secret = secrets.token_bytes(32)

    async def admit(self, name: str, password: str, host: str) -> Account:
        """The account of this name and password. Raises HTTPException 401, 429 or 503."""
        account = await run_in_threadpool(self.accounts.find, name)
        # From here on nothing is awaited before this attempt itself is counted.
        if self._waiting >= _WAITING_AT_MOST:
            raise HTTPException(503, "too many log in at this moment", {"Retry-After": "10"})
        who = account.name if account else "unknown"
        wait = self._throttle.wait_seconds(name[:64], host)
        if wait:
            _log_failure(who, host, "too many attempts")
            text = f"too many wrong passwords; try again in {_duration(wait)}"
            raise HTTPException(429, text, {"Retry-After": str(wait)})
        good = await self._compare(account, password)
        if account is None or not good:
            _log_failure(who, host, "wrong password" if account else "no such account")
            raise HTTPException(401, WRONG, CHALLENGE)
        self._throttle.succeeded(name[:64], host)
        return account

    async def admit_program(self, name: str, password: str, host: str) -> Account:
        """The same for HTTP Basic, which shows the password every time. Raises HTTPException."""
        account = await run_in_threadpool(self.accounts.find, name)
        if account is not None and self._is_remembered(account, password):
            return account
        account = await self.admit(name, password, host)
        log.info("login of a program", extra={"account": account.name, "peer_host": host})
        self._remember(account, password)
        return account

    def announce(self) -> None:
        """Say at the start who can come in, and what to do where nobody can."""
        found = self.accounts.all()
        if found:
            facts = {"accounts": len(found), "admin_password_file": self._admin_file}
            log.info("web login by name and password", extra=facts)
        elif self.needs_accounts or self.accounts.wanted:
            log.warning(HOW_TO_BEGIN)
        else:
            log.info("no account exists: the web pages are open to this machine, and to it alone")

    async def _compare(self, account: Account | None, password: str) -> bool:
        self._waiting += 1
        try:
            async with self._turns:
                kept = account.hash if account else None
                return await run_in_threadpool(passwords.matches, kept, password)
        finally:
            self._waiting -= 1

    def _is_remembered(self, account: Account, password: str) -> bool:
        until = self._remembered.get(self._digest(account, password), 0.0)
        return self._now() < until

    def _remember(self, account: Account, password: str) -> None:
        self._remembered[self._digest(account, password)] = self._now() + _REMEMBER_SECONDS
        if len(self._remembered) > _REMEMBERED_AT_MOST:
            self._remembered.popitem(last=False)

    def _digest(self, account: Account, password: str) -> bytes:
        # With the account's line: after a change of it nothing is remembered.
        message = f"{account.line}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, "sha256")


def _log_failure(who: str, host: str, reason: str) -> None:
    facts = {"account": who, "peer_host": host, "reason": reason}
    log.warning("login failed", extra=facts)


def _duration(seconds: int) -> str:
    return f"{seconds} seconds" if seconds <= 90 else f"{-(-seconds // 60)} minutes"
