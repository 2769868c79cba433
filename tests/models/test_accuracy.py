"""Third-party CIFAR-10 weights give the accuracy that was measured with their authors' code."""

import pytest
import torch
from support.data import cifar10_test, cifar10_train, require_shared

from ptee_mcu.calibrate import calibrate
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import build, load_weights
from ptee_mcu.passes.fold import fold
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.quantize import quantize
from ptee_mcu.sim import evaluate
from ptee_mcu.train.module import GraphModule

AKAMASTER = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CHENYAOFO = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))

CHENHANG98 = Normalisation((0.53129727, 0.5259391, 0.52069134), (0.28938246, 0.28505746, 0.27971658))
DENSENET40 = "chenhang98_densenet40_k12_cifar10.pkl"


def correct(file: str, name: str, normalisation: Normalisation, count: int) -> int:
    network = build(name)
    load_weights(network, require_shared("pretrained", file))
    graph = capture(network, torch.zeros(1, 3, 32, 32), name=name)
    module = GraphModule(graph).eval()
    pixels, labels = cifar10_test(count)
    right = 0
    with torch.inference_mode():
        for start in range(0, count, 250):
            logits = module(torch.from_numpy(normalisation.apply(pixels[start : start + 250])))[graph.exits[-1].logits]
            right += int((logits.argmax(1).numpy() == labels[start : start + 250]).sum())
    return right


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "normalisation", "accuracy"),
    [
        ("akamaster_resnet20-12fca82f.th", AKAMASTER, 91.73),
        ("chenyaofo_cifar10_resnet20-4118986f.pt", CHENYAOFO, 92.60),
    ],
    ids=["option A", "1x1 convolutions"],
)
def test_resnet20_reproduces_its_accuracy_on_all_test_images(
    file: str, normalisation: Normalisation, accuracy: float
) -> None:
    assert correct(file, "resnet20", normalisation, 10_000) / 100 == pytest.approx(accuracy, abs=0.02)


# Correct answers on the first 1,000 test images, counted with this code when all 10,000 gave the listed accuracy:
# 92.63, 93.10, 93.39; 93.53, 94.01, 94.37.
DEEPER = {
    "akamaster_resnet32-d509ac18.th": ("resnet32", AKAMASTER, 931),
    "akamaster_resnet44-014dd654.th": ("resnet44", AKAMASTER, 935),
    "akamaster_resnet56-4bfd9763.th": ("resnet56", AKAMASTER, 942),
    "chenyaofo_via_DANS_cifar10_resnet32.pth": ("resnet32", CHENYAOFO, 930),
    "chenyaofo_via_DANS_cifar10_resnet44.pth": ("resnet44", CHENYAOFO, 944),
    "chenyaofo_cifar10_resnet56-187c023a.pt": ("resnet56", CHENYAOFO, 946),
}


@pytest.mark.slow
@pytest.mark.parametrize("file", DEEPER)
def test_deeper_resnets_answer_a_thousand_test_images_as_measured(file: str) -> None:
    name, normalisation, expected = DEEPER[file]
    assert abs(correct(file, name, normalisation, 1000) - expected) <= 1


@pytest.mark.slow
def test_densenet40_answers_a_thousand_test_images_as_measured() -> None:
    # 950 of the first 1,000; all 10,000 gave the listed 94.47 %.
    assert abs(correct(DENSENET40, "densenet40", CHENHANG98, 1000) - 950) <= 1


@pytest.mark.slow
def test_densenet40_in_int8_loses_no_more_than_a_point_against_float() -> None:
    network = build("densenet40")
    load_weights(network, require_shared("pretrained", DENSENET40))
    graph = fold(capture(network, torch.zeros(1, 3, 32, 32), name="densenet40"))
    ranges = calibrate(graph, CHENHANG98.apply(cifar10_train(50)[0]), observer="mse")
    int8 = quantize(graph, ranges, preprocess=CHENHANG98)
    pixels, labels = cifar10_test(200)
    right = int((evaluate(int8, int8.input_codes(pixels)).label == labels).sum())
    assert right >= correct(DENSENET40, "densenet40", CHENHANG98, 200) - 2
