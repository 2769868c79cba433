"""One ResNet-8 with random weights and one input, as a library of ptee-mcu and as one of BakeNN."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ptee_mcu import models
from ptee_mcu.boards import load
from ptee_mcu.calibrate import calibrate
from ptee_mcu.emit import emit
from ptee_mcu.errors import FirmwareError, ToolMissingError
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models.layers import SameConv2d
from ptee_mcu.passes.fold import fold
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.quantize import quantize
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Float, Int8, readonly

NAME = "resnet8"
BAKENN = "1.0.0"
_SEED = 0
_LEAST_CORRELATION = 0.95  # int8 calibrated on one image, against float logits


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What both sides compile: `image` is NHWC float32; `logits` (classes,) are the float network's."""

    network: nn.Module
    image: Float
    logits: Float

    @property
    def example(self) -> torch.Tensor:
        """The image in the layout of PyTorch."""
        return torch.from_numpy(np.ascontiguousarray(self.image.transpose(0, 3, 1, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """C in `folder`, the codes of the image and the output codes that the side's own simulator gives for them."""

    folder: Path
    codes: Int8
    expected: Int8


def make_case() -> Case:
    """ResNet-8 with random weights, BatchNorm parameters and biases, so that no two constants agree by chance."""
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    network = models.build(NAME).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.3)
                layer.running_mean = torch.randn(layer.num_features) * 0.3
                layer.running_var = torch.rand(layer.num_features) + 0.5
            elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                layer.bias.normal_(0, 0.3)
            if isinstance(layer, SameConv2d) and layer.uneven is not None:
                layer.padding, layer.uneven = (1, 1), None
        image = torch.randn(1, 3, 32, 32)
        logits = network(image)
    return Case(
        network, readonly(image.numpy().transpose(0, 2, 3, 1), np.float32), readonly(logits[0].numpy(), np.float32)
    )


def our_library(case: Case, folder: Path) -> Library:
    """The C of ptee-mcu in `folder`.

    Raises:
        ToolMissingError: where the CMSIS-NN sources are not installed.
        FirmwareError: where the int8 network is not the float one.
    """
    graph = fold(capture(case.network, case.example, name=NAME))
    quant_graph = quantize(graph, calibrate(graph, case.image))
    plan = make_plan(quant_graph, load("mps2_an386"))
    verify_plan(plan)
    emit(plan).write(folder)
    quant = quant_graph.input_tensor.quant
    codes = np.clip(np.rint(case.image / quant.scale) + quant.zero_point, -128, 127)
    inputs = readonly(codes, np.int8)
    expected = readonly(evaluate(quant_graph, inputs).logits[0], np.int8)
    _require_same_network("ptee-mcu", expected, case.logits)
    return Library(folder, inputs, expected)


def bakenn_library(case: Case, folder: Path) -> Library:
    """The C of BakeNN in `folder`.

    Raises:
        ToolMissingError: where another BakeNN or none is installed.
        FirmwareError: where the int8 network is not the float one.
    """
    _require_bakenn()
    import bakenn  # noqa: PLC0415 - only where it was found

    compiled = bakenn.compile_torch_ptq(
        case.network,
        case.example,
        [case.example],
        folder,
        name=NAME,
        backend_options=bakenn.CBackendOptions(
            kernel_policy=bakenn.KernelPolicy.STATIC_PRIORITY,
            enable_cmsis_nn=True,
            enable_weight_packing=False,
            target=bakenn.CORTEX_M4,
        ),
    )
    codes = bakenn.quantize_input(compiled.plan, case.image)
    expected = readonly(np.ravel(bakenn.run_reference(compiled.plan, codes)), np.int8)
    _require_same_network("BakeNN", expected, case.logits)
    return Library(folder, readonly(codes, np.int8), expected)


def _require_bakenn() -> None:
    try:
        found = importlib.metadata.version("bakenn")
    except importlib.metadata.PackageNotFoundError:
        found = "missing"
    if found != BAKENN:
        raise ToolMissingError(
            f"this compares with BakeNN {BAKENN}; installed: {found}", hint=f"pip install bakenn=={BAKENN}"
        )


def _require_same_network(side: str, codes: Int8, logits: Float) -> None:
    correlation = float(np.corrcoef(codes, logits)[0, 1])
    if not correlation >= _LEAST_CORRELATION:
        raise FirmwareError(f"{side}: int8 logits correlate with the float ones by {correlation:.3f} only")
