"""scripts/images.sh: names, registry and push, as the documentation types them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.unit.docker.scripts import ROOT

_ALL = ("node", "web", "worker", "triton")


def _said(folder: Path, *names: str, **variables: str) -> list[str]:
    """Run it with a `docker` that only writes down what it is told."""
    docker = folder / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {folder}/said\necho 1000\n')
    docker.chmod(0o755)
    environment = {**os.environ, **variables, "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(
        [ROOT / "scripts/images.sh", *names], env=environment, check=True, capture_output=True
    )
    return (folder / "said").read_text().splitlines()


def test_images_stay_here_without_a_registry(tmp_path: Path) -> None:
    """Compose finds them by the names of docker-compose.yml."""
    said = _said(tmp_path)
    built = [line for line in said if line.startswith("build")]
    assert len(built) == len(_ALL)
    for name, line in zip(_ALL, built, strict=True):
        assert f"--tag sentinode/{name}:latest " in line
    assert not [line for line in said if line.startswith("push")]


def test_images_go_to_a_registry(tmp_path: Path) -> None:
    """Under the names that the chart makes of image.registry and its appVersion."""
    registry = {"REGISTRY": "registry.example/pacs/", "TAG": "0.1.0", "PUSH": "1"}
    said = _said(tmp_path, "web", **registry)
    name = "registry.example/pacs/sentinode/web:0.1.0"
    assert f"--tag {name} --file docker/node/Dockerfile --target web" in said[0]
    assert said[-1] == f"push --quiet {name}"
