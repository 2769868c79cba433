import pickle
import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from ptee_mcu.errors import ModelError
from ptee_mcu.models import build, load_weights
from ptee_mcu.models.cifar_resnet import CifarResNet, PadShortcut


def source() -> CifarResNet:
    torch.manual_seed(3)
    network = build("resnet14")
    assert isinstance(network, CifarResNet)
    return network


def tensors(network: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in network.state_dict().items()}


def assert_equal(a: nn.Module, b: nn.Module) -> None:
    left, right = a.state_dict(), b.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_plain_state_dict_is_loaded(tmp_path: Path) -> None:
    torch.save(source().state_dict(), tmp_path / "w.pt")
    network = build("resnet14")
    load_weights(network, tmp_path / "w.pt")
    assert_equal(network, source())


def test_a_safetensors_file_is_loaded(tmp_path: Path) -> None:
    save_file(tensors(source()), tmp_path / "w.safetensors")
    network = build("resnet14")
    load_weights(network, tmp_path / "w.safetensors")
    assert_equal(network, source())


def test_names_of_option_a_files_are_understood(tmp_path: Path) -> None:
    state = {
        "module." + key.replace("fc.", "linear."): tensor
        for key, tensor in tensors(source()).items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save({"state_dict": state, "best_prec1": 91.7}, tmp_path / "w.th")
    network = build("resnet14")
    load_weights(network, tmp_path / "w.th")
    assert_equal(network, source())
    assert isinstance(network.get_submodule("layer2.0.shortcut"), PadShortcut)


def test_a_file_decides_which_shortcuts_the_network_has(tmp_path: Path) -> None:
    with_convolutions = source()
    with_convolutions.use_shortcuts("conv")
    state = {key.replace("shortcut", "downsample"): tensor for key, tensor in tensors(with_convolutions).items()}
    torch.save(state, tmp_path / "conv.pt")
    torch.save(source().state_dict(), tmp_path / "pad.pt")
    network = build("resnet14")
    load_weights(network, tmp_path / "conv.pt")
    assert_equal(network, with_convolutions)
    load_weights(network, tmp_path / "pad.pt")
    assert_equal(network, source())


def refused(state: object, path: Path) -> pytest.ExceptionInfo[ModelError]:
    torch.save(state, path)
    with pytest.raises(ModelError) as caught:
        load_weights(build("resnet14"), path)
    return caught


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"weights file .*none\.pt does not exist\n  hint: "):
        load_weights(build("resnet14"), tmp_path / "none.pt")


def test_a_shape_that_differs_is_refused_by_key_and_shapes(tmp_path: Path) -> None:
    caught = refused(build("resnet14", classes=7).state_dict(), tmp_path / "w.pt")
    assert caught.match(
        r"w\.pt: fc\.weight has shape \(7, 64\), CifarResNet needs \(10, 64\)\n  hint: set the number of"
    )


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    state = tensors(source())
    del state["layer1.0.bn1.weight"], state["layer1.0.bn1.bias"]
    caught = refused(state, tmp_path / "w.pt")
    assert caught.match(r"w\.pt: lacks layer1\.0\.bn1\.bias \(2 keys are missing, 0 are not known to CifarResNet\)")


def test_a_deeper_network_is_refused(tmp_path: Path) -> None:
    caught = refused(build("resnet20").state_dict(), tmp_path / "w.pt")
    assert caught.match(r"holds layer1\.2\.bn1\.bias, which CifarResNet has not \(0 keys are missing, 30 are not known")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_by_key(value: float, tmp_path: Path) -> None:
    state = tensors(source())
    state["conv1.weight"][0, 0, 0, :2] = value
    caught = refused(state, tmp_path / "w.pt")
    assert caught.match(r"w\.pt: 2 of 432 values of conv1\.weight are NaN or infinite\n  hint: ")


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    assert refused({"epoch": 3}, tmp_path / "w.pt").match("holds no tensors by name")
    assert refused([1, 2], tmp_path / "w.pt").match("holds no tensors by name")


class Harmful:
    """What a hostile file would hold: code that unpickling runs."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("owned",))


def test_a_file_with_code_is_refused_and_the_code_never_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused({"state_dict": Harmful()}, tmp_path / "w.pt").match("holds objects other than tensors")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ModelError, match="holds objects other than tensors"):
        load_weights(build("resnet14"), tmp_path / "w.pkl")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 torn"], ids=["empty", "text", "torn zip"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_damaged_file_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        ModelError, match=rf"weights file .*w\{suffix} (cannot be read|holds objects other than tensors)"
    ):
        load_weights(build("resnet14"), path)


def saved(kind: str, folder: Path) -> Path:
    """An intact file of one `kind`."""
    path = folder / f"w{kind}"
    if kind == ".safetensors":
        save_file(tensors(source()), path)
    else:  # .th and .pkl files are mostly older than the zip format
        torch.save(tensors(source()), path, _use_new_zipfile_serialization=kind == ".pt")
    load_weights(build("resnet14"), path)
    return path


@pytest.mark.parametrize("kept", [1, 8, 10, 1000, 0.5, -1000, -23, -1])
@pytest.mark.parametrize("kind", [".th", ".pkl", ".pt", ".safetensors"])
def test_a_file_cut_short_anywhere_is_refused(kind: str, kept: float, tmp_path: Path) -> None:
    path = saved(kind, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 if kept == 0.5 else int(kept)])
    with pytest.raises(ModelError, match=rf"weights file .*w\{kind} (cannot be read: \w+|holds objects other than)"):
        load_weights(build("resnet14"), path)


@given(st.sampled_from([".th", ".pt", ".safetensors"]), st.integers(0, 2999), st.integers(0, 7))
@settings(max_examples=60, derandomize=True)
def test_a_wrong_bit_in_a_header_is_loaded_or_refused_and_crashes_nothing(kind: str, place: int, bit: int) -> None:
    with TemporaryDirectory() as folder:
        path = saved(kind, Path(folder))
        content = bytearray(path.read_bytes())
        content[place] ^= 1 << bit
        path.write_bytes(content)
        with suppress(ModelError):
            load_weights(build("resnet14"), path)


def test_a_wrong_bit_in_a_tensor_of_a_zip_file_is_refused_by_its_checksum(tmp_path: Path) -> None:
    path = saved(".pt", tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"weights file .*w\.pt is damaged: the checksum of w/data/\d+ is wrong\n  hint"
    ):
        load_weights(build("resnet14"), path)


def test_the_names_of_chenhang98s_densenet_are_understood(tmp_path: Path) -> None:
    network = build("densenet40", width=0.3)
    state = {
        re.sub(r"^block(\d)\.", r"dense_block\1.dense_layers.", key): tensor
        for key, tensor in tensors(network).items()
        if not key.endswith("num_batches_tracked")
    }
    assert "dense_block1.dense_layers.0.bn.weight" in state
    torch.save(state, tmp_path / "w.pkl")
    other = build("densenet40", width=0.3)
    load_weights(other, tmp_path / "w.pkl")
    assert_equal(other, network)


def test_weights_of_another_width_are_refused_with_that_in_the_hint(tmp_path: Path) -> None:
    caught = refused(build("resnet14", width=0.5).state_dict(), tmp_path / "w.pt")
    assert caught.match(
        r"conv1\.weight has shape \(8, 3, 3, 3\), CifarResNet needs \(16, 3, 3, 3\)\n  hint: .* the width"
    )
