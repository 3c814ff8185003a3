"""Tests run against real peers (`tests.peers`); unit tests open no socket.

Every folder of tests is a package, so that `tests/unit/node` never shadows `node`.
"""
