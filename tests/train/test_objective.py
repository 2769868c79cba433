from dataclasses import replace

import pytest
import torch

from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.train.loss import Objective, objective_at, two_stage
from ptee_mcu.train.recipe import Loss
from ptee_mcu.train.terms import head_outputs

COSTS = (0.2, 0.45, 0.8, 1.1)


def test_the_labels_are_the_backbones_own_answers_unless_given() -> None:
    final = torch.tensor([[0.0, 1.0, 0.5], [2.0, 1.0, 0.5]])
    assert head_outputs([final], [final[:, :1]], final).labels.tolist() == [1, 0]
    assert head_outputs([final], [final[:, :1]], final, torch.tensor([2, 2])).labels.tolist() == [2, 2]


def test_outputs_that_do_not_fit_are_refused() -> None:
    final = torch.zeros(2, 3)
    with pytest.raises(DataError, match=r"shapes \[\(2, 3\), \(2, 3\), \(2,\)\], \[\(2, 3\), \(2, 1\), \(2,\)\] are"):
        head_outputs([final], [final], final)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"costs": (1.0,)}, "costs of 1 exits, at least one early and the final one are needed"),
        ({"cost_weight": -1.0}, "cost_weight is -1.0, it must not be negative"),
        ({"kl": float("nan")}, "kl is nan, it must not be negative"),
        ({"kl_temperature": 0.0}, "kl_temperature is 0.0, it must be above 0"),
        ({"survivors": 1.5}, r"survivors is 1.5, it must lie in \[0, 1\]"),
        ({"active": frozenset({3})}, r"active exits \[3\], some of 0 to 2 are needed"),
        ({"active": frozenset[int]()}, r"active exits \[\], some of 0 to 2 are needed"),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(Objective(Loss.V2, COSTS), **changes)


def test_costs_of_other_exits_are_refused() -> None:
    final = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="outputs of 3 early exits, costs of 2 exits"):
        Objective(Loss.V0, (0.4, 1.02))(head_outputs([final] * 3, [final[:, :1]] * 3, final))


def test_two_stages_start_with_v0() -> None:
    objective = Objective(Loss.V1, COSTS, auxiliary=1.0)
    stages = two_stage(objective, 2)
    assert [objective_at(stages, epoch).kind for epoch in range(4)] == [Loss.V0, Loss.V0, Loss.V1, Loss.V1]
    assert objective_at(stages, 3) == objective
    with pytest.raises(ConfigError, match="a first stage of 0 epochs"):
        two_stage(objective, 0)
