from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from support.data import cifar10_test, cifar10_train, require_shared
from support.tools import require

from ptee_mcu.boards import load
from ptee_mcu.calibrate import calibrate
from ptee_mcu.compare import compare_project
from ptee_mcu.emit import emit
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import fine
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import build, find, load_weights
from ptee_mcu.passes.fold import fold
from ptee_mcu.plan.make import make_plan
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.project import Inputs, load_project, with_project
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, summarise
from ptee_mcu.sim import evaluate

pytestmark = pytest.mark.slow

FLOAT_ACCURACY = 0.9173  # listed for the file, and reproduced by tests/models/test_accuracy.py
NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@cache
def network(*, exits: bool) -> QuantGraph:
    """The third-party ResNet-20 in int8; with three pooled heads that were never trained, or without."""
    module = build("resnet20")
    load_weights(module, require_shared("pretrained", "akamaster_resnet20-12fca82f.th"))
    graph = capture(module, torch.zeros(1, 3, 32, 32), name="resnet20", taps=find("resnet20").blocks)
    folded = fold(attach(graph, fine(graph, 3), find_head("pooled")) if exits else graph)
    ranges = calibrate(folded, NORMALISATION.apply(cifar10_train(200)[0]), observer="mse")
    return quantize(folded, ranges, preprocess=NORMALISATION)


def test_int8_stays_within_half_a_point_of_float_on_all_test_images() -> None:
    pixels, labels = cifar10_test()
    graph = network(exits=False)
    answers = evaluate(graph, graph.input_codes(pixels)).label
    assert FLOAT_ACCURACY - float((answers == labels).mean()) <= 0.005


def test_with_every_exit_disabled_the_answer_is_that_of_the_network_without_exits() -> None:
    pixels = cifar10_test(500)[0]
    plain, branched = network(exits=False), network(exits=True)
    alone = evaluate(plain, plain.input_codes(pixels))
    never = evaluate(branched, branched.input_codes(pixels), thresholds=(128, 128, 128))
    assert np.array_equal(alone.logits, never.logits)
    assert np.array_equal(alone.label, never.label)


def test_simulator_host_and_cortex_m4_agree_on_every_byte(tmp_path: Path) -> None:
    require("gcc", "cmsis-nn", "arm-none-eabi-gcc", "qemu-system-arm")
    graph = network(exits=True)
    pixels, labels = cifar10_test(16)
    plan = make_plan(graph, load("mps2_an386"))
    run = evaluate(graph, graph.input_codes(pixels), full=True)
    assert run.labels is not None
    report = summarise(plan, Answers(run.exit, run.label, run.labels[-1], labels), of="test images")
    with_project(emit(plan), plan, Inputs(pixels, labels, "test images"), report).write(tmp_path / "out")
    result = compare_project(load_project(tmp_path / "out"), ["host", "qemu"], None, "all", Console(quiet=True))
    assert result.equal, result.first_mismatch
    assert result.bytes_compared > 2 * 16 * 200_000
