"""Stage 5: one image through one model, by way of Triton.

In: a decoded image and a model. Out: a `RunOutcome`. An image or a request that the model cannot
take is an outcome with an error, so that it reaches the report; a server that does not answer, or
serves another model (one of both is being upgraded), is raised, so that the whole job is tried
again later.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from numpy.typing import NDArray

from models.contract import Model, ModelInputError, ModelOutputError, ModelSpec
from node.errors import ModelRefusedError
from workers.findings import RunOutcome, measure
from workers.images import SourceImage

_AWAY = "the model was not available; it is asked again"


class Server(Protocol):
    """What answers inference requests; `workers.triton.client.TritonClient` is the real one."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]:
        """Output tensors by name, and the version that served them."""
        ...


def run_model(
    model: Model, source: SourceImage, server: Server, *, study_uid: str, revision: int
) -> RunOutcome:
    """Run one model on one image. Raises ModelUnavailableError, ModelMismatchError (transient)."""
    started = time.monotonic()
    sop_uid = str(source.dataset.SOPInstanceUID)
    image, spec = source.image, model.spec
    try:
        prepared = model.preprocess(image)
        outputs, _ = server.infer(spec, prepared.tensors)
        output = model.postprocess(outputs, prepared)
        findings = tuple(
            measure(
                region,
                model=spec.name,
                model_version=spec.version,
                source_sop_uid=sop_uid,
                study_uid=study_uid,
                revision=revision,
                number=number,
                laterality=image.laterality,
                view=image.view,
                spacing_mm=image.pixel_spacing_mm,
            )
            for number, region in enumerate(output.regions, start=1)
        )
    except ModelInputError as error:
        return failed_run(spec, sop_uid, str(error), time.monotonic() - started, declined=True)
    except (ModelOutputError, ModelRefusedError) as error:
        return failed_run(spec, sop_uid, str(error), time.monotonic() - started)
    return RunOutcome(
        model=spec.name,
        model_version=spec.version,
        source_sop_uid=sop_uid,
        error=None,
        seconds=time.monotonic() - started,
        findings=findings,
        probabilities=dict(output.classification),
    )


def failed_run(
    spec: ModelSpec, sop_uid: str, reason: str, seconds: float = 0.0, *, declined: bool = False
) -> RunOutcome:
    """The outcome of a run that could not be made; it is reported as failed, never as negative.

    `declined`: the model itself says that the image is none for it.
    """
    return RunOutcome(
        model=spec.name,
        model_version=spec.version,
        source_sop_uid=sop_uid,
        error=reason,
        seconds=seconds,
        findings=(),
        probabilities={},
        declined=declined,
    )


def away_run(spec: ModelSpec, sop_uid: str) -> RunOutcome:
    """The outcome for a model that did not answer. Its reader needs no gRPC status, but to know
    that there is more to come."""
    return replace(failed_run(spec, sop_uid, _AWAY), away=True)
