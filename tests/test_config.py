from pathlib import Path

import pytest

from ptee_mcu.config import load_config
from ptee_mcu.errors import ConfigError

GOOD = """
[model]
name = "resnet20"
weights = "resnet20-12fca82f.th"
[data]
source = "cifar10"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[exits]
placement = "fine"
count = 3
head = "pooled"
max_disagreement = 0.01
[quantize]
observer = "mse"
images = 200
[target]
board = "mps2_an386"
[build]
name = "resnet20_ee"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "build.toml"
    path.write_text(text)
    return path


def test_a_full_config_is_read(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert config.exits is not None
    assert (config.model.name, config.exits.count, config.quantize.images) == ("resnet20", 3, 200)
    assert config.data.mean == (0.485, 0.456, 0.406)


def test_sections_that_may_be_absent_have_defaults(tmp_path: Path) -> None:
    text = '[model]\nname = "lenet5"\n[data]\nsource = "digits"\n[build]\nname = "lenet"\n'
    config = load_config(written(tmp_path, text))
    assert config.exits is None
    assert config.quantize.observer == "mse"


BAD = {
    "misspelled key": (
        "count = 3",
        "cuont = 3",
        r"unknown key 'exits.cuont'; did you mean 'count'",
    ),
    "misspelled section": (
        "[quantize]",
        "[quantise]",
        r"unknown key 'quantise'; did you mean 'quantize'",
    ),
    "foreign key": (
        "count = 3",
        "zzz = 3",
        r"unknown key .exits.zzz.; known here: at, cascade, count",
    ),
    "wrong type": (
        "count = 3",
        'count = "many"',
        r"exits.count: the value should be a valid integer",
    ),
    "out of range": (
        "count = 3",
        "count = 0",
        r"exits.count: the value should be greater than",
    ),
    "missing key": ('name = "resnet20"\n', "", r"model.name is missing"),
    "no C identifier": ('"resnet20_ee"', '"9-lives"', r"build.name must be a C identifier"),
    "no TOML": ("[model]", "[model", r"is not valid TOML"),
    "unknown choice": ('"mse"', '"best"', r"quantize.observer: the value should be 'minmax'"),
}


@pytest.mark.parametrize(("find", "put", "message"), BAD.values(), ids=BAD)
def test_a_bad_config_is_refused_with_its_place(tmp_path: Path, find: str, put: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, GOOD.replace(find, put, 1)))


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml does not exist"):
        load_config(tmp_path / "absent.toml")


def test_a_config_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load_config(path)
