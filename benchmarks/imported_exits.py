"""Early exits on imported networks: what a mean inference costs at no more than a point of accuracy.

    python benchmarks/imported_exits.py --data DIR [--work FOLDER] [--only NAME ...] [--kept FOLDER]
    python benchmarks/imported_exits.py --data DIR --builds FOLDER

DIR holds cifar-10-batches-bin/ (or -py/), pretrainedResnet_quant.tflite of mlcommons/tiny (v1.0,
benchmark/training/image_classification/trained_models) and the recordings/ of the Free Spoken Digit Dataset
(github.com/Jakobovski/free-spoken-digit-dataset), or those as fsdd_recordings.tar.xz. DS-CNN and MobileNetV1 are
trained here on spoken digits and on animals against vehicles, and exported to ONNX by torch; ResNet-8 comes as
published. From there on each is a model file like any other: `ptee-mcu build` with a config of its own.

What FOLDER holds already is not made again, and a training that was interrupted goes on; --kept names a folder whose
features and checkpoints of heads outlive the builds. --builds makes nothing and reads the builds in FOLDER, where
--work left them. Either way docs/benchmarks/imported_exits.md is written from the builds that are there. On one core
the whole takes about 45 minutes and up to 8 GB of disk at a time.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.imported_exits_networks import NETWORKS, ROOT, made
from benchmarks.imported_exits_page import page

PAGE = ROOT / "docs" / "benchmarks" / "imported_exits.md"


def main() -> None:
    """Builds what is not there, prints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks" / "imported_exits")
    parser.add_argument("--kept", type=Path, help="for features and checkpoints; discarded where left out")
    parser.add_argument("--only", nargs="*", choices=[network.name for network in NETWORKS], help="networks to build")
    parser.add_argument("--builds", type=Path, help="read these builds, make nothing")
    options = parser.parse_args()
    data, work = options.data.resolve(), (options.builds or options.work).resolve()
    kept = options.kept and options.kept.resolve()
    if options.builds is None:
        work.mkdir(parents=True, exist_ok=True)
        for network in NETWORKS:
            if network.name in (options.only or [n.name for n in NETWORKS]):
                made(network, data, work, kept)
    text = page(data, work)
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
