from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.pytorch import capture

MAP = (1, 4, 8, 6)
ROWS = torch.ones(8, 1)
NUMBER = torch.ones(1, 1, 1, 1)
SLOPES = torch.ones(192)
TAPS = torch.ones(4, 2, 2, 2)


class Apply(nn.Module):
    """A function, then the pool and the classifier that every network needs."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.ones(1, 4, 1, 1))
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(x).mean((2, 3)))  # type: ignore[no-any-return]


def shuffle(x: Tensor) -> Tensor:
    return x.view(1, 2, 2, 8, 6).transpose(1, 2).reshape(1, 4, 8, 6)


def change_after_taking_a_view(x: Tensor) -> Tensor:
    y = x.clone()
    part = y[:, :2]
    y.relu_()
    return torch.cat([part, part], 1)


PLACE = r"in the network \(Apply\), .*test_pytorch_refusals\.py:\d+: "
REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "gelu": (F.gelu, r"aten\.gelu\.default .*has no counterpart here\n  hint: replace it by ReLU"),
    "spatial gate": (lambda x: x * x[:, :1], r"multiplies shapes \(1, 4, 8, 6\) and \(1, 1, 8, 6\)(.|\n)*per channel"),
    "outer product": (lambda x: x[:, :, :1] * x[:, :, :, :1], r"multiplies shapes \(1, 4, (1, 6|8, 1)\)"),
    "scale of rows": (lambda x: x * ROWS, r"scales shape \(1, 4, 8, 6\) by a constant of shape \(8, 1\)"),
    "quotient": (lambda x: x / x, r"aten\.div\.Tensor.*divides by a tensor"),
    "quotient by zero": (lambda x: x / 0, r"aten\.div\.Tensor.*divides by zero"),
    "repeated map": (
        lambda x: x + F.adaptive_avg_pool2d(x, 1).expand_as(x),
        r"repeats shape \(1, 4, 1, 1\) as \(1, 4, 8, 6\)",
    ),
    "slopes on a flattened map": (lambda x: F.prelu(x.flatten(1), SLOPES).view(1, 4, 8, 6), r"prelu.*flattened"),
    "grouped transposed convolution": (
        lambda x: F.conv_transpose2d(x, TAPS, groups=2),
        r"conv_transpose2d.*has a dilation of \[?1.*and 2 groups",
    ),
    "enlargement by a half": (lambda x: F.interpolate(x, size=(12, 6)), r"resizes 8x6 to 12x6"),
    "enlargement by more than twice": (
        lambda x: F.interpolate(x, scale_factor=(2.1, 2.0)),
        r"resizes 8x6 to 16x12 by factors \(2\.1, 2\.0\)",
    ),
    "repeated gate, scaled": (
        lambda x: x * (F.adaptive_avg_pool2d(x, 1).expand_as(x) * 2),
        r"scales shape \(1, 4, 8, 6\) of 4 elements as \(1, 4, 8, 6\)",
    ),
    "more dimensions by a constant": (
        lambda x: (x.mean((2, 3)) * NUMBER).view(1, 4, 1, 1),
        r"scales shape \(1, 4\) of 4 elements as \(1, 1, 1, 4\)",
    ),
    "sin": (torch.sin, r"aten\.sin\.default(.|\n)*hint: supported are conv2d, linear, "),
    "chunk": (lambda x: torch.cat(x.chunk(2, 1), 1), r"aten\.chunk\.default(.|\n)*channel splits and shuffles"),
    "channel shuffle": (shuffle, rf"aten\.view\.default {PLACE}reshapes \(1, 4, 8, 6\) to \(1, 2, 2, 8, 6\)"),
    "transpose": (lambda x: x.transpose(2, 3), rf"aten\.transpose\.int {PLACE}moves dimensions of a tensor"),
    "counted padding": (lambda x: F.avg_pool2d(x, 2, 2, 1), r"avg_pool2d.*counts its padding in the mean\n.*count_in"),
    "own divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), r"avg_pool2d.*divides by 3"),
    "ceil mode": (lambda x: F.max_pool2d(x, 4, ceil_mode=True), r"rounds its output up to 2x2 \(ceil_mode\)"),
    "dilated pool": (lambda x: F.max_pool2d(x, 2, dilation=2), r"max_pool2d.*has a dilation of \[?2"),
    "uneven adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, 5), r"pools 8x6 to 5x5 by windows of uneven size"),
    "channel mean": (lambda x: x + x.mean(1, keepdim=True), r"aten\.mean\.dim.*averages dimensions \[1\] of"),
    "scaled add": (lambda x: torch.add(x, x, alpha=2), r"aten\.add\.Tensor.*scales its second operand by 2"),
    "number": (lambda x: x + 1, r"aten\.add\.Tensor.*takes the number 1 where only tensors computed"),
    "broadcast": (lambda x: x + x[:, :, :1], r"broadcasts shapes \(1, 4, 8, 6\) and \(1, 4, 1, 6\)"),
    "cat on rows": (lambda x: torch.cat([x, x], 2), r"aten\.cat\.default.*joins dimension 2 of 4"),
    "reflection": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), r"aten\.pad\.default.*pads with reflect"),
    "pad with ones": (lambda x: F.pad(x, (1, 1), value=1.0), r"aten\.pad\.default.*pads with constant 1\.0"),
    "crop": (lambda x: F.pad(x, (-1, 1)), r"pads by \[-1, 1\](.|\n)*slice instead"),
    "channel step": (lambda x: torch.cat([x[:, ::2]] * 2, 1), r"aten\.slice\.Tensor.*takes 0:4:2 of dimension 1"),
    "inner softmax": (lambda x: F.softmax(x, 1), r"aten\.softmax\.int.*is not the network's last operation"),
    "double": (lambda x: x.double().float(), r"casts to torch\.float64\n  hint: keep the network in float32"),
    "batch statistics": (lambda x: F.batch_norm(x, None, None, training=True), r"normalises by the batch's own stat"),
    "stale view": (change_after_taking_a_view, r"aten\.relu_\.default.*changes a tensor in place that is read again"),
}  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_counterpart_is_refused_by_op_and_place(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message):
        capture(Apply(function), torch.zeros(MAP), name="net")


def test_the_message_names_the_module_path_and_the_users_source_line() -> None:
    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(x)

    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(nn.ReLU(), Gate()))
    with pytest.raises(UnsupportedOpError) as caught:
        capture(net, torch.zeros(MAP), name="net")
    line = Gate.forward.__code__.co_firstlineno + 1
    assert f"aten.sin.default in 1.1 (Gate), {__file__}:{line}: " in str(caught.value)


def test_a_computed_weight_is_refused() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight.clamp(min=0), self.bias)

    with pytest.raises(UnsupportedOpError, match=r"aten\.clamp\.default in 0 \(Standardised\).*takes a parameter"):
        capture(nn.Sequential(Standardised(4, 4, 1)), torch.zeros(MAP), name="net")


def test_a_weight_that_is_not_a_parameter_is_refused() -> None:
    class Dynamic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, x)

    with pytest.raises(UnsupportedOpError, match=r"conv2d.*has a weight that is computed at run time"):
        capture(Dynamic(), torch.zeros(MAP), name="net")


def test_a_scaled_addmm_is_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = nn.Parameter(torch.zeros(4, 3)), nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            return torch.addmm(self.b, x, self.w, beta=2)

    with pytest.raises(UnsupportedOpError, match=r"addmm.*has alpha 1 and beta 2"):
        capture(Scaled(), torch.zeros(1, 4), name="net")


def test_a_linear_on_a_feature_map_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match=r"linear.*reads shape \(1, 4, 8, 6\) where 2 dimensions"):
        capture(nn.Sequential(nn.Linear(6, 3)), torch.zeros(MAP), name="net")


AFTER_FLATTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: F.softmax(x, 1),
    "add": lambda x: x + x,
    "slice": lambda x: x[:, :100],
}


@pytest.mark.parametrize("function", AFTER_FLATTEN.values(), ids=AFTER_FLATTEN)
def test_only_linear_layers_may_follow_a_flattened_map(function: Callable[[Tensor], Tensor]) -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(F.relu(x.flatten(1)))

    with pytest.raises(UnsupportedOpError, match=r"reads a feature map of C x H x W = 4 x 8 x 6 that was flattened"):
        capture(Flat(), torch.zeros(MAP), name="net")


def test_flattened_maps_cannot_be_joined() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x.flatten(1), x.flatten(1)], 1)

    with pytest.raises(UnsupportedOpError, match=r"cat.*joins feature maps that were flattened before"):
        capture(Flat(), torch.zeros(MAP), name="net")


@pytest.mark.parametrize("shape", [(1, 8, 4, 6), (1, 192, 1, 1), (4, 1, 8, 6)])
def test_a_flattened_map_keeps_its_channels(shape: tuple[int, ...]) -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).view(shape)

    with pytest.raises(UnsupportedOpError, match=rf"reshapes \(1, 192\) to \({', '.join(map(str, shape))}\)"):
        capture(Flat(), torch.zeros(MAP), name="net")


def test_a_vector_becomes_no_map_of_several_channels_and_pixels() -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(192, 24)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.flatten(1)).view(1, 6, 2, 2)

    with pytest.raises(UnsupportedOpError, match=r"reshapes \(1, 24\) to \(1, 6, 2, 2\)"):
        capture(Decoder(), torch.zeros(MAP), name="net")


def test_a_softmax_over_another_dimension_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match=r"normalises dimension 2 of \(1, 4, 8, 6\)"):
        capture(nn.Sequential(nn.Softmax(2)), torch.zeros(MAP), name="net")


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Flatten()], ids=["map", "flattened map"])
def test_a_network_that_does_not_end_in_logits_is_refused(module: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"net: its output of shape \(1, .* holds no logits\n.*end the network in"):
        capture(nn.Sequential(nn.ReLU(), module), torch.zeros(MAP), name="net")


def test_a_network_with_two_outputs_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.relu(), x.clamp(0, 6)

    with pytest.raises(ModelError, match="net: has 2 outputs where one is expected"):
        capture(Two(), torch.zeros(1, 4), name="net")


def test_control_flow_on_data_is_refused() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"net: torch.export cannot trace it on an input of shape \(1, 4\): "):
        capture(Branch(), torch.zeros(1, 4), name="net")


def test_an_input_that_the_network_cannot_read_is_refused() -> None:
    with pytest.raises(ModelError, match=r"cannot trace it on an input of shape \(1, 5\)(.|\n)*run the network"):
        capture(nn.Linear(4, 3), torch.zeros(1, 5), name="net")


@pytest.mark.parametrize("example", [torch.zeros(2, 4), torch.zeros(4), torch.zeros(1, 4, dtype=torch.float64)])
def test_an_example_that_is_not_one_float32_input_is_refused(example: Tensor) -> None:
    with pytest.raises(ModelError, match=r"net: the example input is torch\.float\d+ of shape"):
        capture(nn.Linear(4, 3), example, name="net")


def test_weights_that_are_not_finite_are_refused_by_layer() -> None:
    linear = nn.Linear(4, 3)
    net = nn.Sequential(linear)
    with torch.no_grad():
        linear.weight[1, 2] = torch.nan
    with pytest.raises(ModelError, match="0: 1 of 12 values of weight are NaN or infinite"):
        capture(net, torch.zeros(1, 4), name="net")


def test_a_slice_that_leaves_nothing_is_refused_by_place() -> None:
    class Empty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 5:5].flatten(1)

    with pytest.raises(ModelError, match=r"aten\.slice\.Tensor in the network.*: Slice: "):
        capture(Empty(), torch.zeros(MAP), name="net")
