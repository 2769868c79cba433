"""Reads thousands of damaged TFLite and ONNX files: nothing but a clear refusal may come of it.

python benchmarks/fuzz_models.py MODEL... [--count 10000] [--seed 0] [--keep DIR]
"""

import argparse
import sys
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # the checkout is meant, not what is installed
sys.path.insert(1, str(ROOT / "tests"))

from support.fuzzing import BY_KIND, MEMORY, SECONDS, read_all, samples

_SUFFIXES = (".tflite", ".onnx")


def main() -> int:
    """Prints the tally; exit code 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="sound files, or folders of them")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that were found")
    given = parser.parse_args()
    folder = given.keep or Path(mkdtemp(prefix="fuzz-models-"))
    folder.mkdir(parents=True, exist_ok=True)
    seeds = sorted(path for model in given.models for path in _files(model))
    files = samples(seeds, given.count, seed=given.seed)
    warm = {path.suffix: path for path in seeds}
    tally = read_all(files, folder, tuple(warm.values()), told=lambda done: _say(done, given.count))
    print(
        f"\n{given.count:,} files from {len(seeds)} by up to {len(BY_KIND['.onnx'])} kinds of mutation: "
        f"{tally.refused:,} refused, {tally.read:,} read, {len(tally.findings)} findings "
        f"(limits: {SECONDS} s, {MEMORY // 2**20} MiB)"
    )
    for finding in tally.findings:
        print(f"{finding.number} {finding.seed}, {finding.mutation}: {finding.fault}; kept in {folder}")
    return int(bool(tally.findings))


def _files(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.suffix in _SUFFIXES] if place.is_dir() else [place]


def _say(done: int, total: int) -> None:
    if done % 500 == 0:
        print(f"{done:,} of {total:,}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
