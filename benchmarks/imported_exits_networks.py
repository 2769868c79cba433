"""The networks of benchmarks/imported_exits.py: each a model file of someone's, a data set and two configs."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.imported_exits_speech import spoken_digits
from ptee_mcu import models
from ptee_mcu.data import load
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.tensor import UInt8
from ptee_mcu.train.backbone import train_backbone
from ptee_mcu.train.export import state_dict_of
from ptee_mcu.train.recipe import Augment, BackboneRecipe
from ptee_mcu.train.recipes import backbone_recipe

ROOT = Path(__file__).resolve().parents[1]
RESNET8 = "pretrainedResnet_quant.tflite"
DROP = "1pp"
EXITS = f"""
[exits]
placement = "search"
training = {{ epochs = 20 }}
max_drop = ["{DROP}"]
"""
CONFIG = """[model]
file = "{file}"

[data]
source = "{source}"
{normalisation}{exits}
[target]
board = "nucleo_l4r5zi"

[build]
name = "{name}"
"""
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # of the pixels of animal or vehicle
VEHICLES = (0, 1, 8, 9)  # airplane, automobile, ship, truck
TRAINING_IMAGES = 10_000
SIDE = 96


@dataclass(frozen=True)
class Network:
    """A network that is imported; `network` is ours that is trained and exported, None where the file is published."""

    name: str
    title: str
    file: str
    source: str
    network: str | None = None
    recipe: BackboneRecipe | None = None
    pixels: bool = False
    images: Callable[[Path], dict[str, npt.NDArray[np.generic]]] | None = None

    def config(self, *, exits: bool) -> str:
        """The TOML of the build with exits, or of the one without."""
        normalisation = f"mean = {[*MEAN]}\nstd = {[*STD]}\n" if self.pixels else ""
        return CONFIG.format(
            file=self.file,
            source=self.source,
            normalisation=normalisation,
            exits=EXITS if exits else "",
            name=self.name if exits else f"{self.name}_bare",
        )

    def folder_of_data(self, data: Path, work: Path) -> Path:
        """Where `source` lies."""
        return data if self.images is None else work


def animal_or_vehicle(data: Path) -> dict[str, npt.NDArray[np.generic]]:
    """CIFAR-10 as two classes at 96x96: 10,000 of its training images, all of its test images."""
    cifar = load("cifar10", data)
    some = np.sort(np.random.default_rng(0).permutation(len(cifar.train_x))[:TRAINING_IMAGES])
    return {
        "x": enlarged(cifar.train_x[some].astype(np.uint8)),
        "y": np.isin(cifar.train_y[some], VEHICLES).astype(np.int64),
        "x_test": enlarged(cifar.test_x.astype(np.uint8)),
        "y_test": np.isin(cifar.test_y, VEHICLES).astype(np.int64),
        "classes": np.array(["animal", "vehicle"]),
    }


def enlarged(x: UInt8) -> UInt8:
    """Images (N, 96, 96, 3) of images (N, 32, 32, 3), bilinear."""
    parts = []
    for some in np.array_split(x, max(1, len(x) // 1000)):
        pixels = torch.from_numpy(np.array(some)).permute(0, 3, 1, 2).float()
        larger = torch.nn.functional.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        parts.append(larger.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


NETWORKS = (
    Network("resnet8", "ResNet-8, int8 .tflite as published; CIFAR-10", RESNET8, "cifar10"),
    Network(
        "dscnn",
        "DS-CNN, .onnx; spoken digits",
        "dscnn.onnx",
        "dscnn.npz",
        network="ds_cnn",
        recipe=replace(backbone_recipe("ds_cnn"), epochs=25),
        images=spoken_digits,
    ),
    Network(
        "vww",
        "MobileNetV1 0.25 at 96x96, .onnx; animal or vehicle",
        "vww.onnx",
        "vww.npz",
        network="mobilenet_v1_025",
        recipe=replace(backbone_recipe("mobilenet_v1_025"), epochs=20, augment=Augment.CROP_FLIP),
        pixels=True,
        images=animal_or_vehicle,
    ),
)


def made(network: Network, data: Path, work: Path, kept: Path | None) -> None:
    """Builds `network` with exits and without, as far as `work` does not hold that yet; `kept` is for checkpoints.

    Without `kept` they are discarded once all is built.
    """
    if network.images is not None:
        if not (work / network.source).is_file():
            np.savez(work / network.source, **network.images(data))  # type: ignore[arg-type]  # allow_pickle
        if not (work / network.file).is_file():
            exported(network, work)
    folder = kept or work / f"{network.name}.work"
    for exits in (False, True):
        out = work / (network.name if exits else f"{network.name}_bare")
        if (out / "report.json").is_file():
            continue
        path = out.with_suffix(".toml")
        path.write_text(network.config(exits=exits))
        ptee("build", path, "--data", network.folder_of_data(data, work), "--out", out, "--work", folder)
    if kept is None:
        shutil.rmtree(folder, ignore_errors=True)


def exported(network: Network, work: Path) -> None:
    """Trains the network on the training images of its archive and writes it as ONNX, as anyone with torch would."""
    assert network.network is not None
    assert network.recipe is not None
    dataset = load(network.source, work)
    shape = (1, *dataset.image_shape)
    torch.manual_seed(network.recipe.seed)
    module = models.build(network.network, classes=len(dataset.classes), input_shape=shape)
    example = torch.zeros(models.torch_shape(shape))
    graph = train_backbone(
        capture(module, example, name=network.name), dataset.train_x, dataset.train_y, network.recipe,
        normalisation=Normalisation(MEAN, STD) if network.pixels else None,
        progress=_told,
        checkpoint=work / f"{network.name}.checkpoint",
    )  # fmt: skip
    module.load_state_dict(state_dict_of(graph, module))
    aside = work / f"{network.name}.part"
    torch.onnx.export(module.eval(), (example,), aside, dynamo=False, input_names=["input"], output_names=["logits"])
    aside.replace(work / network.file)
    (work / f"{network.name}.checkpoint").unlink(missing_ok=True)


def _told(done: int, total: int, text: str) -> None:
    if done % max(1, total // 10) == 0:
        print(f"{done} of {total} batches: {text}", flush=True)


def ptee(*words: object) -> None:
    """Runs a command of ptee-mcu."""
    command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True)
