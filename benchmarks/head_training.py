"""Time of training pooled heads at all nine places of ResNet-20 from stored features, against one pass of the trunk.

    python benchmarks/head_training.py --data DIR [--work FOLDER] [--images 50000] [--json]

DIR holds cifar-10-batches-bin/ (or -py/) and resnet20-12fca82f.th. One run: a pass of the trunk over the images
without storing anything, then filling the store with one view of each, then 10 epochs of nine heads from it.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ptee_mcu import models
from ptee_mcu.data import load
from ptee_mcu.exits.heads import HEADS, attach
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.features import FeatureStore
from ptee_mcu.train.heads import train_heads
from ptee_mcu.train.module import GraphModule
from ptee_mcu.train.recipe import Augment, HeadRecipe
from ptee_mcu.train.workspace import Workspace

NORM = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
WEIGHTS = "resnet20-12fca82f.th"
BATCH = 100
EPOCHS = 10


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="where the features go; a temporary folder where left out")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    x = load("cifar10", options.data).train_x[: options.images]
    network = models.build("resnet20")
    models.load_weights(network, options.data / WEIGHTS)
    graph = capture(network, torch.zeros(1, 3, 32, 32), name="resnet20", taps=models.find("resnet20").blocks)
    graph = attach(graph, graph.taps, HEADS["pooled"])

    start = time.perf_counter()
    trunk = GraphModule(graph, [graph.exits[-1].logits], frozen=[node.name for node in graph.nodes]).eval()
    with torch.no_grad():
        for first in range(0, len(x), BATCH):
            trunk(torch.from_numpy(NORM.apply(x[first : first + BATCH].view("uint8"))))
    whole = time.perf_counter() - start

    marks = [time.perf_counter()]
    filled = FeatureStore.fill

    def timed(self: FeatureStore, told: object) -> None:
        filled(self, told)  # type: ignore[arg-type]
        marks.append(time.perf_counter())

    FeatureStore.fill = timed  # type: ignore[method-assign]
    with TemporaryDirectory(dir=options.work) as folder:
        recipe = HeadRecipe(epochs=EPOCHS, views=1, augment=Augment.CROP_FLIP)
        train_heads(graph, x, recipe, normalisation=NORM, workspace=Workspace(Path(folder)))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.features"))
    fill, train = marks[1] - marks[0], time.perf_counter() - marks[1]
    facts = {
        "images": len(x),
        "threads": torch.get_num_threads(),
        "trunk_pass_s": round(whole, 1),
        "fill_s": round(fill, 1),
        "ten_epochs_s": round(train, 1),
        "ratio": round(train / whole, 2),
        "stored_bytes": size,
    }
    if options.json:
        print(json.dumps(facts))
        return
    print(f"one pass of the trunk over {len(x):,} images: {whole:.1f} s ({facts['threads']} threads)")
    print(f"the same, features of nine places stored ({size / 2**30:.2f} GiB): {fill:.1f} s")
    print(f"{EPOCHS} epochs of nine heads from the store: {train:.1f} s, {train / whole:.2f} of the pass")


if __name__ == "__main__":
    main()
