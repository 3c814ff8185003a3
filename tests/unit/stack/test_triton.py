from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("pytriton", reason="nvidia-pytriton is not installed: extra `embedded`")

from stack import triton
from stack.triton import link_python_backend, tritonserver_command


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    """Every address is 127.0.0.1, every port the one that was asked for."""
    argv, _ = tritonserver_command(tmp_path, tmp_path, 1001, 1002, 1003)
    for service, port in (("http", 1001), ("grpc", 1002), ("metrics", 1003)):
        assert f"--{service}-address=127.0.0.1" in argv
        assert f"--{service}-port={port}" in argv


def test_the_stub_finds_this_environment(tmp_path: Path) -> None:
    """The venv comes first on PATH, and the number of threads is passed on."""
    _, environment = tritonserver_command(tmp_path, tmp_path, 1, 2, 3, venv=None, cpu_threads=2)
    assert (Path(environment["PATH"].split(":")[0]) / "python3").exists()
    assert environment["SENTINODE_TRITON_CPU_THREADS"] == "2"
    assert "nvidia_pytriton.libs" in environment["LD_LIBRARY_PATH"]


def test_backend_and_stub_lie_side_by_side(tmp_path: Path) -> None:
    """Linking twice is harmless, and Triton finds its three files in one folder."""
    for _ in range(2):
        folder = link_python_backend(tmp_path)
    names = {path.name for path in (folder / "python").iterdir()}
    assert {"triton_python_backend_stub", "libtriton_python.so"} <= names
    assert all(path.exists() for path in (folder / "python").iterdir())


def test_an_environment_without_the_wheel_is_told(tmp_path: Path) -> None:
    """A venv without nvidia-pytriton raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError, match="nvidia-pytriton"):
        tritonserver_command(tmp_path, tmp_path, 1, 2, 3, venv=tmp_path)


def test_the_shared_memory_of_a_triton_at_work_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` and `down` of another folder, with the same port, take away what is left and no more."""
    monkeypatch.setattr(triton, "_SHARED_MEMORY", tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        region = tmp_path / f"sentinode-{port}-0"
        region.touch()
        triton.remove_regions(port)
        assert region.exists()
    triton.remove_regions(port)
    assert not region.exists()
