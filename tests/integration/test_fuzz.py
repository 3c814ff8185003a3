"""Broken sessions with a whole receiver over TCP: a short run, and what long ones have found."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.node import Node, converse, running_node
from tests.fuzz.run import run_sessions
from tests.peers import pipelining
from tests.peers.pipelining import PLAIN, VERIFICATION, Sender

_ABORT = 7


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A receiver in this process that has served one broken session."""
    with running_node(tmp_path_factory.mktemp("fuzz")) as node:
        converse(node, Random(0))
        node.settle_down()
        yield node


def test_broken_sessions_leave_nothing(tmp_path: Path) -> None:
    """No exception, no thread, descriptor or file is left, and rows and files agree."""
    run_sessions(150, "short", tmp_path)


def test_request_without_abstract_syntax_is_aborted(node: Node) -> None:
    """The peer is told; the exception does not end in the thread's last words."""
    whole = pipelining.association_request(PLAIN)
    uid = VERIFICATION.encode()
    item = b"\x30\0\0" + bytes((len(uid),)) + uid
    assert item in whole
    # As a second transfer syntax of its context.
    broken = whole.replace(item, b"\x40" + item[1:])
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as peer:
        peer.sendall(broken)
        assert peer.recv(1)[0] == _ABORT
    node.check()


def test_command_of_an_unknown_kind_is_aborted(node: Node) -> None:
    """A command field that PS3.7 does not know costs its sender the association."""
    with Sender(node.port, PLAIN) as sender:
        unknown = pipelining.command(0x0666, 1, False)
        sender.socket.sendall(pipelining.p_data(1, 3, unknown))
        assert sender.socket.recv(1)[0] == _ABORT
    node.check()


def test_abort_of_a_reserved_source_ends_the_association(node: Node) -> None:
    """PS3.8 9.3.8 reserves source 1; the association ends as with any other A-ABORT."""
    with Sender(node.port, PLAIN) as sender:
        sender.socket.sendall(b"\x07\0\0\0\0\x04\0\0\x01\0")
        while sender.socket.recv(100):
            pass
    node.check()
