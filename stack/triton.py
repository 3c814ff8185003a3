"""How to start the real Triton server of the `nvidia-pytriton` wheel, on this machine's CPU.

In: a model repository, ports and the virtual environment that holds the wheel. Out: the command
line and the environment; nothing is started here. What must hold: it listens on loopback only, one
broken model never stops the others, and a model may be loaded again while the server runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from pathlib import Path

from stack.ports import is_free

# In-flight inferences get this long after SIGTERM; an image takes seconds on a CPU. After a stub
# was killed Triton waits for it in vain and uses all of it.
EXIT_TIMEOUT_SECONDS = 8

_STUB = "triton_python_backend_stub"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where shm_open(3) keeps it


def link_python_backend(folder: Path, venv: Path | None = None) -> Path:
    """Make the backend directory of `tritonserver_command` in `folder` and return it.

    The wheel keeps the stub process apart from its backend, one stub per Python version, and Triton
    wants them side by side. Raises FileNotFoundError where the wheel is absent or has no stub for
    this Python.
    """
    wheel = _wheel(venv)
    stub = wheel / "python_backend_stubs" / _python_version() / _STUB
    if not stub.is_file():
        raise FileNotFoundError(f"nvidia-pytriton has no stub for Python {_python_version()}")
    backend = folder / "python"
    backend.mkdir(parents=True, exist_ok=True)
    parts = [part for part in (wheel / "backends" / "python").iterdir() if part.is_file()]
    for part in [stub, *parts]:
        link = backend / part.name
        link.unlink(missing_ok=True)
        link.symlink_to(part)
    return folder


def tritonserver_command(
    repository: Path,
    backends: Path,
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    venv: Path | None = None,
    cpu_threads: int = 0,
) -> tuple[list[str], dict[str, str]]:
    """Return argv and environment that serve `repository`.

    `backends`: what `link_python_backend` made. `venv`: default, this interpreter's. `cpu_threads`:
    threads of each model, 0 for all cores. Raises FileNotFoundError where the wheel is absent.
    """
    argv = [
        str(_wheel(venv) / "bin" / "tritonserver"),
        f"--model-repository={repository.absolute()}",
        f"--backend-directory={backends.absolute()}",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--model-config-name=cpu",
        "--exit-on-error=false",
        f"--exit-timeout-secs={EXIT_TIMEOUT_SECONDS}",
        "--http-address=127.0.0.1",
        f"--http-port={http_port}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={grpc_port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics_port}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        f"--backend-config=python,shm-region-prefix-name={_region(grpc_port)}",
    ]
    return argv, _environment(venv, cpu_threads)


def remove_regions(grpc_port: int) -> None:
    """Remove the shared memory of a Triton that has ended: killed processes leave theirs.

    Where somebody listens on the port, a stack of another folder is at work with it.
    """
    if not is_free(grpc_port):
        return
    for region in _SHARED_MEMORY.glob(f"{_region(grpc_port)}*"):
        with contextlib.suppress(OSError):  # another user's
            region.unlink()


def _region(grpc_port: int) -> str:
    """How the names of its regions begin; the port tells whose they are."""
    return f"sentinode-{grpc_port}-"


def _environment(venv: Path | None, cpu_threads: int) -> dict[str, str]:
    """The caller's environment with what the stub processes need.

    The stub's embedded interpreter ignores PYTHONPATH; it finds the venv through the `python3` that
    comes first on PATH.
    """
    prefix = venv or Path(sys.prefix)
    libraries = [
        sysconfig.get_config_var("LIBDIR"),
        str(_site_packages(venv) / "nvidia_pytriton.libs"),
        os.environ.get("LD_LIBRARY_PATH"),
    ]
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(prefix / "bin"), os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(path for path in libraries if path),
        "SENTINODE_TRITON_CPU_THREADS": str(cpu_threads),
    }


def _wheel(venv: Path | None) -> Path:
    wheel = _site_packages(venv) / "pytriton" / "tritonserver"
    if not (wheel / "bin" / "tritonserver").is_file():
        raise FileNotFoundError(f"nvidia-pytriton is not installed in {venv or sys.prefix}")
    return wheel


def _site_packages(venv: Path | None) -> Path:
    if venv is None:
        return Path(sysconfig.get_path("purelib"))
    return venv / "lib" / f"python{_python_version()}" / "site-packages"


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
