import pytest
from ops.pool_cases import CASES, network
from support.differential import WHERE, Differential


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network("max_pool"), tmp_path_factory.mktemp("max_pool"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_cmsis_nn(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
