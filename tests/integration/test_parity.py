"""The real Triton with the project's own models, beside the networks in torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from models.registry import MODELS, get_model
from stack.served import served
from tests.peers.triton import REPOSITORY
from workers.parity import images_of, run
from workers.triton.client import TritonClient
from workers.triton.contract import check_model

for package, extra in (("pytriton", "embedded"), ("torch", "train")):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: extra `{extra}`", allow_module_level=True)

# CI has seconds for this, and a mammogram in tiles or at 1024 px takes many of them on a CPU:
# SENTINODE_PARITY_IMAGES=100, which `make parity` sets, takes that many images of every model.
IMAGES = {"mask_rcnn_us": 1, "resnet50": 2}
if "SENTINODE_PARITY_IMAGES" in os.environ:
    IMAGES = dict.fromkeys(MODELS, int(os.environ["SENTINODE_PARITY_IMAGES"]))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonClient]:
    """One server with the models that are compared: loading the others costs seconds."""
    repository = tmp_path_factory.mktemp("repository")
    for name in IMAGES:
        (repository / name).symlink_to(REPOSITORY / name)
    with served(repository) as triton:
        client = TritonClient(triton.url, timeout_seconds=240.0)
        yield client
        client.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(IMAGES))
def test_the_served_model_is_the_trained_one(
    name: str, client: TritonClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same findings, boxes, masks, scores and probabilities, within the stated tolerances."""
    monkeypatch.delenv("SENTINODE_MODEL_REPOSITORY", raising=False)
    check_model(client, get_model(name).spec)
    agreement = run(name, images_of(name, None, IMAGES[name]), client)
    assert agreement.images == IMAGES[name]
    assert agreement.is_same, agreement.report()
