"""The comparison with published times: which networks, which times; the measuring itself is the script's."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks import mlperf_cycles
from benchmarks.mlperf_networks import BENCHMARKS, in_flash
from ptee_mcu.errors import DataError
from ptee_mcu.plan.placement import How

HEAD = "version,submitter,system,bench,latency_ms\n"


def table(folder: Path, factor: float = 1.0) -> Path:
    rows = [
        f"1.0,OctoML,{mlperf_cycles.SYSTEMS[board]},{bench},{ms * factor}\n"
        for board, times in mlperf_cycles.PUBLISHED.items()
        for bench, ms in times.items()
    ]
    path = folder / "published.csv"
    path.write_text(HEAD + "1.1,OctoML,other,ad,1\n" + "".join(rows))
    return path


def test_a_table_with_the_same_times_is_taken(tmp_path: Path) -> None:
    mlperf_cycles.require_published(table(tmp_path))


def test_a_table_with_other_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"NUCLEO_L4R5ZI, ad: 8\.69\d* ms, this script has 8\.605 ms"):
        mlperf_cycles.require_published(table(tmp_path, 1.01))


def test_a_table_without_a_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(HEAD)
    with pytest.raises(DataError, match=r"NUCLEO_L4R5ZI, ad: None ms"):
        mlperf_cycles.require_published(path)


@pytest.mark.parametrize("bench", BENCHMARKS)
def test_networks_multiply_as_often_as_the_reference_models(bench: str) -> None:
    plan = in_flash(bench, "nucleo_l4r5zi")
    assert plan.graph.macs(plan.graph.nodes) == BENCHMARKS[bench].reference_macs
    assert {place.how for place in plan.placements.values()} == {How.IN_PLACE}
