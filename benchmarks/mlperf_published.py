"""Published MLPerf Tiny results on the Nucleo-L4R5ZI: latency and energy per network, and what they were run with."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import DataError

BENCHES = ("ad", "ic", "kws", "vww")
DENSE_MACS: Mapping[str, int] = MappingProxyType({"ad": 264_192, "ic": 12_501_632, "kws": 2_656_768, "vww": 7_489_664})
# Time per multiply-accumulate of vww against that of ic: 1.29 to 2.0 where the engine computes dead channels, 0.90 to
# 0.98 where it seems not to; ours is 1.39 with and 0.96 without them. Nothing published lies between.
_LEFT_OUT_BELOW = 1.1


@dataclass(frozen=True, slots=True)
class Published:
    """One submission; `ms` and `uj` in the order of BENCHES, `uj` empty where no energy was submitted."""

    version: str
    submitter: str
    system: str
    engine: str
    ms: tuple[float, ...]
    uj: tuple[float, ...] = ()

    @property
    def vww_against_ic(self) -> float:
        """Time per multiply-accumulate of the file, of vww to that of ic."""
        vww, ic = (self.ms_of(bench) / DENSE_MACS[bench] for bench in ("vww", "ic"))
        return vww / ic

    @property
    def leaves_out(self) -> bool:
        """True where vww is too quick for all of its multiply-accumulates."""
        return self.vww_against_ic < _LEFT_OUT_BELOW

    def ms_of(self, bench: str) -> float:
        """Milliseconds of one network."""
        return self.ms[BENCHES.index(bench)]


# Source: mlcommons/tiny_results_v0.5 to v1.3, closed division, result logs; engines from systems/*.json there.
PUBLISHED = (
    Published(
        "0.5", "reference", "Nucleo-L4R5ZI", "TensorFlow Lite Micro 2.3.1, GCC 6",
        (10.052, 704.23, 181.92, 600.60), (416.3, 29207, 7373.7, 24313),
    ),
    Published(
        "0.7", "STMicroelectronics", "NUCLEO_L4R5ZI", "X-CUBE-AI",
        (9.666, 252.78, 97.65, 254.65), (431.2, 12298, 4635.7, 12293),
    ),
    Published("0.7", "plumerai", "NUCLEO_L4R5ZI", "Plumerai", (5.8952, 184.64, 73.55, 220.41)),
    Published(
        "1.0", "OctoML", "microtvm_cmsis_nn/NUCLEO_L4R5ZI", "microTVM with CMSIS-NN",
        (8.60496, 389.56, 99.81, 301.20), (443.2, 20236, 5230.3, 15531),
    ),
    Published(
        "1.0", "OctoML", "microtvm_native/NUCLEO_L4R5ZI", "microTVM, its own kernels",
        (11.718, 389.26, 144.03, 336.59), (633.7, 21342, 7950.51, 17132),
    ),
    Published(
        "1.0", "STMicroelectronics", "NUCLEO_L4R5ZI", "X-CUBE-AI 7.3, 1.8 V",
        (7.579, 226.91, 75.06, 230.47), (323.0, 10682, 3371.7, 10067),
    ),
    Published("1.0", "plumerai", "NUCLEO_L4R5ZI", "Plumerai", (5.573, 173.16, 71.66, 208.55)),
    Published(
        "1.1", "Krai", "NUCLEO-L4R5ZI_X-CUBE-AI-7.3", "X-CUBE-AI 7.3, 3.0 V",
        (7.579, 226.91, 74.73, 224.92), (529.3, 17755, 5627.5, 16536),
    ),
    Published(
        "1.1", "Krai", "NUCLEO-L4R5ZI_X-CUBE-AI-8.0", "X-CUBE-AI 8.0, 3.0 V",
        (7.579, 221.98, 72.68, 221.14), (528.9, 17315, 5481.6, 16573),
    ),
    Published(
        "1.1", "STMicroelectronics", "NUCLEO_L4R5ZI", "X-CUBE-AI 8.1, 1.8 V, flash single-bank",
        (6.857, 214.00, 62.87, 118.69), (293.9, 7019, 2833.1, 5618.3),
    ),
    Published(
        "1.1", "Skymizer", "NUCLEO_L4R5ZI-mbed_os", "ONNC with CMSIS-NN",
        (8.073, 298.69, 82.00, 172.18), (334.54, 12684, 3454.8, 7477.6),
    ),
    Published("1.1", "bosch", "NUCLEO_L4R5ZI", "HALE 1.0", (5.659, 179.02, 62.68, 180.73)),
    Published("1.1", "plumerai", "NUCLEO-L4R5ZI", "Plumerai", (4.052, 167.76, 47.78, 98.76)),
    Published(
        "1.2", "STMicroelectronics", "NUCLEO_L4R5ZI", "X-CUBE-AI 9.0, 1.8 V, flash single-bank",
        (5.261, 165.13, 43.19, 88.93), (203.4, 6919.4, 1820.45, 3894.6),
    ),
    Published("1.2", "bosch", "NUCLEO_L4R5ZI_int8", "HALE 1.0.175", (5.8352, 180.54, 60.16, 180.51)),
)  # fmt: skip


def require_published(path: Path) -> None:
    """Holds PUBLISHED to the table in `path`: version, submitter, system, bench, latency_ms, energy_uJ.

    Raises:
        DataError: where the table lacks a row, or says otherwise.
    """
    found: dict[tuple[str, str, str, str], tuple[str, str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            found[line["version"], line["submitter"], line["system"], line["bench"]] = (
                line["latency_ms"],
                line["energy_uJ"],
            )
    for row in PUBLISHED:
        for i, bench in enumerate(BENCHES):
            latency, energy = found.get((row.version, row.submitter, row.system, bench), ("", ""))
            where = f"{path}: v{row.version} {row.submitter}, {row.system}, {bench}"
            _require(where, "ms", latency, row.ms[i])
            if row.uj:
                _require(where, "uJ", energy, row.uj[i])


def _require(where: str, unit: str, said: str, here: float) -> None:
    if not said or abs(float(said) / here - 1) > 1e-3:
        raise DataError(
            f"{where}: {said or 'no'} {unit}, this script has {here} {unit}",
            hint="give the table of MLPerf Tiny results from v0.5 on",
        )
