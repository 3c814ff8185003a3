"""The model repository of a Jetson: another backend and precision, the same contract."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.docker.scripts import ROOT, load

MODELS = ROOT / "model_repository"
NAMES = sorted(path.parent.name for path in MODELS.glob("*/config.pbtxt"))
CONTRACT = ("name:", "max_batch_size:", "input", "output", "parameters")


def contract(text: str) -> list[str]:
    """The lines by which a worker knows a model."""
    return [line for line in text.splitlines() if line.startswith(CONTRACT)]


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_only_where_it_is_safe(name: str) -> None:
    """Mask R-CNN stays in FP32; the others get what was asked for, and nothing else changes."""
    overlay = (MODELS / name / "configs" / "trt.pbtxt").read_text()
    changed = load("docker/triton-jetson/prepare.py").configuration(overlay, "FP16")
    wanted = "FP32" if name.startswith("mask_rcnn") else "FP16"
    assert f'"precision_mode" value: "{wanted}"' in changed
    assert changed.replace(f'value: "{wanted}"', 'value: "FP32"') == overlay


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("overlay", ["ortcuda", "trt"])
def test_an_engine_replaces_backend_and_accelerator(name: str, overlay: str) -> None:
    """The contract stays; TensorRT serves the plan file, and no accelerator is left over."""
    text = (MODELS / name / "configs" / f"{overlay}.pbtxt").read_text()
    prepare = load("docker/triton-jetson/prepare.py")
    served = prepare.configuration(text, "FP16", f"/engines/{name}.plan")
    assert contract(served) == contract(text)
    assert 'backend: "tensorrt"' in served
    assert f'default_model_filename: "{name}.plan"' in served
    assert "accelerator" not in served
    assert served.count("{") == served.count("}")


@pytest.mark.parametrize("flag", ["--buildOnly", "--skipInference"])
def test_engines_are_built_for_every_input_and_batch(tmp_path: Path, flag: str) -> None:
    """trtexec is told the smallest, usual and largest shape of all inputs of each model.

    `flag`: what this trtexec knows; TensorRT 10 refuses the one of 8.5, and 8.5 that of 10.
    """
    trtexec = tmp_path / "trtexec"
    trtexec.write_text(
        f'#!/bin/sh\n[ "$1" = --help ] && {{ echo "  {flag}  build"; exit; }}\necho "$@"\n'
        "for word; do case $word in --saveEngine=*) touch ${word#*=};; esac; done\n"
    )
    trtexec.chmod(0o755)
    said = subprocess.run(
        [ROOT / "docker/triton-jetson/build_engines.sh"],
        env={
            **os.environ,
            "TRTEXEC": str(trtexec),
            "MODELS": str(MODELS),
            "ENGINES": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in NAMES:
        config = (MODELS / name / "config.pbtxt").read_text()
        line = next(row for row in said.splitlines() if f"/{name}/1/model.onnx" in row)
        assert line.endswith(f" {flag}")
        assert ("--fp16" in line) == (not name.startswith("mask_rcnn"))
        largest = line.split("--maxShapes=")[1].split()[0].split(",")
        assert len(largest) == config.count("\ninput [")
        assert (tmp_path / f"{name}.plan").exists()


def test_every_model_is_loaded_by_its_name(tmp_path: Path) -> None:
    """Triton 2.19 (JetPack 4.6) knows no `--load-model=*`; a Nano's capability is let in."""
    server = tmp_path / "tritonserver"
    server.write_text('#!/bin/sh\necho "$@"\n')
    server.chmod(0o755)
    repository = tmp_path / "models"
    said = subprocess.run(
        [ROOT / "docker/triton-jetson/start.sh"],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "MODELS": str(MODELS),
            "REPOSITORY": str(repository),
            "SENTINODE_TRITON_CONFIG": "ortcuda",
            "SENTINODE_TRITON_PRECISION": "FP16",
            "SENTINODE_TRITON_CAPABILITY": "5.3",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = said.splitlines()[-1].split()
    assert [word for word in words if "load-model" in word] == [
        f"--load-model={name}" for name in NAMES
    ]
    assert f"--model-repository={repository}" in words
    assert "--min-supported-compute-capability=5.3" in words
    assert "--backend-directory=/opt/tritonserver/backends" in words
