"""The table of operators is what the code says."""

import pytest
from rich.console import Console

from ptee_mcu.frontends.registries import Support
from ptee_mcu.ops import OPS, QOPS
from ptee_mcu.report.operators import FloatOp, Int8Op, Operators, as_json, collect, markdown, tables


@pytest.fixture(scope="module")
def found() -> Operators:
    return collect()


def test_every_registered_op_is_listed_with_what_it_does(found: Operators) -> None:
    assert [op.name for op in found.float_ops] == list(OPS)
    assert [op.name for op in found.int8_ops] == list(QOPS)
    assert all(op.does and op.int8 for op in found.float_ops)
    assert all(op.does and op.c for op in found.int8_ops)


def test_the_c_of_an_op_is_what_its_templates_call_and_the_kernels_what_that_calls(found: Operators) -> None:
    ops = {op.name: op for op in found.int8_ops}
    assert ops["QConv2d"].c == ("ptee_conv2d", "ptee_pointwise_conv2d")
    assert ops["QConv2d"].cmsis_nn == ("arm_convolve_s8", "arm_convolve_1x1_s8_fast")
    assert ops["QDepthwiseConv2d"].c == ("ptee_depthwise_conv2d",)
    assert ops["QDepthwiseConv2d"].cmsis_nn == ("arm_depthwise_conv_s8", "arm_depthwise_conv_wrapper_s8")
    assert ops["QMaxPool2d"].cmsis_nn == ("arm_max_pool_s8",)


def test_a_kernel_that_only_a_comment_names_is_not_called(found: Operators) -> None:
    add = next(op for op in found.int8_ops if op.name == "QAdd")
    assert add.cmsis_nn == ()


def test_an_op_that_int8_fuses_says_so(found: Operators) -> None:
    ops = {op.name: op for op in found.float_ops}
    assert ops["BatchNorm"].int8 == "fused into its neighbours"
    assert ops["Linear"].int8.startswith("QFullyConnected")


def test_sources_and_errors_of_docstrings_are_left_out(found: Operators) -> None:
    texts = [op.does for op in (*found.float_ops, *found.int8_ops)]
    assert not any("Source:" in text or "Raises:" in text or "\n" in text for text in texts)


def test_the_page_has_a_row_per_op_and_escapes_bars() -> None:
    one = Operators(
        (FloatOp("Abs", "|x|", "QAbs"),), (Int8Op("QAbs", "size", ("ptee_abs",), ()),),
        {
            "ONNX": {"Abs": Support(float=True, int8=False, becomes="Abs"), "Neg": Support(float=True, int8=True)},
            "PyTorch": None,
            "Other": {"abs": Support(float=True, int8=False, becomes="Abs")},
        },
    )  # fmt: skip
    page = markdown(one)
    assert "| Abs | \\|x\\| | QAbs |" in page
    assert "| QAbs | size | ptee_abs | none: own C |" in page
    assert "## From ONNX\n\n| op | float networks | int8 networks | becomes |\n| --- | --- | --- | --- |\n" in page
    assert "| Abs | yes | no | Abs |" in page
    assert "## From Other\n\n| op | becomes |\n| --- | --- |\n| abs | Abs |\n" in page
    assert "PyTorch" not in page


def test_the_terminal_shows_the_same_rows(found: Operators) -> None:
    console = Console(width=200)
    with console.capture() as capture:
        for table in tables(found):
            console.print(table)
    assert all(name in capture.get() for name in (*OPS, *QOPS))


def test_json_says_what_each_format_supports(found: Operators) -> None:
    formats = as_json(found)["formats"]
    assert isinstance(formats, dict)
    assert set(formats) == {"PyTorch", "TensorFlow Lite", "ONNX"}
    pytest.importorskip("onnx")
    assert formats["ONNX"]["Conv"]["float"] is True
