"""The accounts file: what counts, what does not, and when a change is in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.settings import load_settings
from node.web.login.accounts import Accounts, Role, read_accounts
from node.web.login.passwords import matches
from tests.unit.node.web.login.known import OPERATOR, READER, account, write_accounts

HASH = account(READER).hash


def test_lines_comments_and_spaces() -> None:
    """Comments and empty lines are passed over; roles are read."""
    text = f"# who may look\n\n  {account(READER).line}  \n{account(OPERATOR).line}\n"
    found, wrong = read_accounts(text)
    assert wrong == []
    assert {name: one.role for name, one in found.items()} == {
        READER: Role.READER,
        OPERATOR: Role.OPERATOR,
    }


@pytest.mark.parametrize(
    "line",
    [
        "anna",
        f"anna:admin:{HASH}",
        f"anna::{HASH}",
        f":reader:{HASH}",
        f"Anna:reader:{HASH}",
        f"../anna:reader:{HASH}",
        "anna:reader:",
        "anna:reader:plain text",
        "anna:reader:$2b$12$abcdefghijklmnopqrstuv",
        f"anna:reader:{HASH}:more",
        f"{'a' * 65}:reader:{HASH}",
    ],
)
def test_a_line_that_is_none_lets_nobody_in(line: str) -> None:
    """Its number is told; the others hold."""
    found, wrong = read_accounts(f"{line}\n{account(OPERATOR).line}\n")
    assert (list(found), wrong) == ([OPERATOR], [1])


def test_a_name_that_stands_twice_is_none() -> None:
    """Which of the two was meant to go, nobody can say."""
    found, wrong = read_accounts(f"anna:reader:{HASH}\nanna:operator:{HASH}\nanna:reader:{HASH}\n")
    assert (found, wrong) == ({}, [2, 3])


def test_changes_need_no_restart(tmp_path: Path) -> None:
    """An account is there as soon as its line is, and gone with it."""
    settings = load_settings(state_dir=tmp_path)
    accounts = Accounts(settings)
    assert not accounts.wanted
    write_accounts(settings.web_accounts)
    assert accounts.wanted
    assert accounts.find(READER) == account(READER)
    write_accounts(settings.web_accounts, account(OPERATOR).line)
    assert accounts.find(READER) is None
    assert [one.name for one in accounts.all()] == [OPERATOR]


def test_a_file_that_vanishes_opens_nothing(tmp_path: Path) -> None:
    """Accounts that were wanted once stay wanted; so do those of a file that is named."""
    settings = load_settings(state_dir=tmp_path)
    accounts = Accounts(settings)
    write_accounts(settings.web_accounts)
    assert accounts.all()
    settings.web_accounts.unlink()
    assert accounts.wanted
    assert accounts.all() == []
    assert Accounts(load_settings(web_accounts_file=tmp_path / "missing")).wanted


def test_password_file_makes_the_operator_admin(tmp_path: Path) -> None:
    """Every process comes to the same hash; another password is another one."""
    path = tmp_path / "web-password"
    path.write_text("7Vd2kL0qWm_sN1bXz8cR4tYh6uJ3pE5a\n")
    settings = load_settings(state_dir=tmp_path, web_admin_password_file=path)
    accounts = Accounts(settings)
    [admin] = accounts.all()
    assert (admin.name, admin.role) == ("admin", Role.OPERATOR)
    assert matches(admin.hash, "7Vd2kL0qWm_sN1bXz8cR4tYh6uJ3pE5a")
    assert Accounts(settings).find("admin") == admin
    path.write_text("another-password-0815\n")
    assert accounts.find("admin") != admin
    line = f"admin:reader:{HASH}"
    write_accounts(settings.web_accounts, line)
    assert accounts.find("admin") == read_accounts(line)[0]["admin"]


def test_no_alarm_where_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The accounts file of the state folder may be yet to come; one that is named may not."""
    path = tmp_path / "web-password"
    path.write_text("7Vd2kL0qWm_sN1bXz8cR4tYh6uJ3pE5a\n")
    assert Accounts(load_settings(state_dir=tmp_path, web_admin_password_file=path)).all()
    assert caplog.records == []
    assert Accounts(load_settings(web_accounts_file=tmp_path / "missing")).all() == []
    assert [record.reason for record in caplog.records] == ["No such file or directory"]


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff\xfe"])
def test_a_password_file_that_is_none(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It lets nobody in, opens nothing, and the log says so without what it holds."""
    path = tmp_path / "web-password"
    path.write_bytes(content)
    accounts = Accounts(load_settings(state_dir=tmp_path, web_admin_password_file=path))
    assert accounts.all() == []
    assert accounts.wanted
    assert caplog.records
    assert "short" not in caplog.text.replace("too short", "")


@pytest.mark.parametrize("target", ["accounts", "missing/accounts", "named/accounts"])
def test_a_file_that_cannot_be_looked_at_opens_nothing(tmp_path: Path, target: str) -> None:
    """Somebody made accounts; that this process may not read them does not unmake them."""
    settings = load_settings(state_dir=tmp_path)
    accounts = Accounts(settings)
    assert not accounts.wanted
    settings.web_accounts.parent.mkdir(parents=True)
    (settings.web_accounts.parent / "named").write_text("not a folder")
    settings.web_accounts.symlink_to(target)  # to itself, to nothing, to what cannot be
    assert accounts.wanted
    assert accounts.all() == []
    assert Accounts(settings).wanted
