"""From a trained Mask R-CNN to the float32 ONNX file that the model repository is written from.

In: a network and its spec. Out: an ONNX file of opset 13 without detection operators, constants
folded, and how far its answers are from the network's. What must hold: only operators that TensorRT
8.2 builds, no size that depends on data, and an opset list that ONNX Runtime 1.10 accepts.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import repository
from models.contract import ModelSpec
from models.export import to_onnx
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.phantom_samples import FIRST_VALIDATION_SEED, SAMPLES
from models.training import weights

_OPERATORS = """
Add And ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv
ConvTranspose Div Equal Exp Expand Flatten Floor Gather GatherElements Gemm Greater GreaterOrEqual
Identity Less LessOrEqual Log MatMul Max MaxPool Min Mul Neg Not Or Pad Pow Range ReduceMax
ReduceMean ReduceMin ReduceSum Relu Reshape Resize Shape Sigmoid Slice Softmax Split Sqrt Squeeze
Sub Sum Tile TopK Transpose Unsqueeze Where
"""
PORTABLE_OPERATORS = frozenset(_OPERATORS.split())
"""What this network may use of the operators that onnx-tensorrt 8.2 marks as supported."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Largest differences between network and ONNX Runtime over all detections of some images.

    `matched` of `detections` agree in label and lie within one pixel of each other. `score` covers
    the image's own probabilities too, where there are any.
    """

    detections: int
    matched: int
    box_px: float
    score: float
    mask: float

    @property
    def close(self) -> bool:
        """Whether served and trained network are the same for every purpose."""
        return (
            self.matched == self.detections
            and self.box_px <= _LARGEST_BOX_PX
            and max(self.score, self.mask) <= _LARGEST_PROBABILITY
        )


_PARITY_IMAGES = 2
_LARGEST_BOX_PX = 0.05  # far below a pixel, well above what reordered sums give
_LARGEST_PROBABILITY = 1e-3
TOLERANCE = {"tolerance_px": _LARGEST_BOX_PX, "tolerance": _LARGEST_PROBABILITY}


def trained(config: NetworkConfig, weights_dir: Path | None) -> MaskRCNN:
    """What is exported, with the weights of a training run, or with any."""
    network = MaskRCNN(config)
    if weights_dir is not None:
        weights.load(network, weights_dir)
    return network


def publish(config: NetworkConfig, spec: ModelSpec, weights_dir: Path, root: Path) -> Path:
    """Write `root/<name>` from the parts in `weights_dir`; returns the model's folder.

    Raises ValueError where ONNX Runtime answers otherwise than the network on phantoms.
    """
    network = trained(config, weights_dir)
    make, first = SAMPLES[spec.name], FIRST_VALIDATION_SEED
    images = np.stack([make(first + number)[0] for number in range(_PARITY_IMAGES)])
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        export(network, spec, path)
        found = parity(network, path, images.astype(np.float32))
        if not found.close:
            raise ValueError(f"ONNX Runtime differs from the network: {found}")
        return repository.write(spec, path, root, parity=asdict(found) | TOLERANCE)


def export(network: MaskRCNN, spec: ModelSpec, path: Path) -> None:
    """Write `path`. Raises ValueError if the graph uses an operator that is not portable."""
    traced = path.with_suffix(".traced.onnx")
    to_onnx(network, spec, traced)
    _fold(traced, path)
    traced.unlink()
    model = onnx.load(str(path))
    _restore(model, spec)
    if open_sizes(model):
        raise ValueError(f"not portable: {', '.join(open_sizes(model))} take sizes from the data")
    strangers = {node.op_type for node in model.graph.node} - PORTABLE_OPERATORS
    if strangers:
        raise ValueError(f"not portable: {sorted(strangers)}")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _fold(source: Path, target: Path) -> None:
    """Let ONNX Runtime fold constants: tracing leaves half of the graph as shape arithmetic."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _restore(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Only the opset in use (ONNX Runtime 1.10 refuses unknown domains), and the spec's sizes."""
    plain = [opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(plain)
    del model.graph.value_info[:]
    for info, tensor in zip(model.graph.output, spec.outputs, strict=True):
        for axis, size in enumerate(tensor.shape, start=1):
            info.type.tensor_type.shape.dim[axis].dim_value = size


def open_sizes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes whose sizes onnx-tensorrt 8.2 to 8.5 wants in the file, and which are not.

    Its table says of TopK that K must be an initialiser, of Range on floats that all three must.
    """
    known = {item.name for item in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if (node.op_type == "TopK" and node.input[1] not in known)
        or (node.op_type == "Range" and _is_float(node.input[0], model) and set(node.input) - known)
    ]


def _is_float(name: str, model: onnx.ModelProto) -> bool:
    """Whether an initialiser of that name holds floats."""
    return any(
        item.name == name and item.data_type == onnx.TensorProto.FLOAT
        for item in model.graph.initializer
    )


def parity(network: MaskRCNN, path: Path, images: NDArray[np.float32]) -> Parity:
    """Compare on images (n, 3, height, width), all in one batch."""
    with torch.inference_mode():
        expected = [tensor.numpy() for tensor in _outputs(network, images)]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual = session.run(None, {session.get_inputs()[0].name: images})
    boxes, scores, labels, masks, num, *image_class = expected
    matched, box_px, score, mask = 0, 0.0, 0.0, 0.0
    for ours, theirs in zip(image_class, actual[5:], strict=True):
        score = float(np.abs(ours - theirs).max())
    for image in range(images.shape[0]):
        for row in range(int(num[image, 0])):
            # Nearly equal scores may change places, so that rows are paired by their boxes.
            apart = np.abs(actual[0][image] - boxes[image, row]).max(axis=1)
            other = int(apart.argmin())
            if apart[other] > 1.0 or actual[2][image, other] != labels[image, row]:
                continue
            matched += 1
            box_px = max(box_px, float(apart[other]))
            score = max(score, abs(float(actual[1][image, other] - scores[image, row])))
            mask = max(mask, float(np.abs(actual[3][image, other] - masks[image, row]).max()))
    return Parity(int(num.sum()), matched, box_px, score, mask)


def _outputs(network: MaskRCNN, images: NDArray[np.float32]) -> tuple[Tensor, ...]:
    outputs: tuple[Tensor, ...] = network.cpu().eval()(torch.from_numpy(images))
    return outputs
