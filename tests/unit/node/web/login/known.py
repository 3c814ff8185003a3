"""Accounts and logins for the tests of the web application."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import httpx

from node.web.login.accounts import Account, Role
from node.web.login.passwords import hashed
from tests.unit.node.web.conftest import ORIGIN, Client

READER, OPERATOR = "rita", "olga"
PASSWORDS = {READER: "correct horse battery", OPERATOR: "staple zebra umbrella"}
_ROLES = {READER: Role.READER, OPERATOR: Role.OPERATOR}
PAGE = {"accept": "text/html"}
SAME_ORIGIN = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}


@cache
def account(name: str) -> Account:
    """One of the accounts; hashing takes its time, so once."""
    return Account(name, _ROLES[name], hashed(PASSWORDS[name]))


def write_accounts(path: Path, *lines: str) -> None:
    """An accounts file of these lines, else of all accounts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    every = lines or tuple(account(name).line for name in _ROLES)
    path.write_text("".join(f"{line}\n" for line in every))


def log_in(client: Client, name: str, password: str = "", **fields: str) -> httpx.Response:
    """Send the form of the login page."""
    data = {"name": name, "password": password or PASSWORDS.get(name, ""), **fields}
    return client.ask("POST", "/login", data=data, headers={**PAGE, **SAME_ORIGIN})


def session_of(answer: httpx.Response) -> dict[str, str]:
    """The header that shows the session that an answer began."""
    cookie = answer.headers["set-cookie"].partition(";")[0]
    return {"cookie": cookie}


def logged_in(client: Client, name: str) -> dict[str, str]:
    """The header of a new session."""
    return session_of(log_in(client, name))
