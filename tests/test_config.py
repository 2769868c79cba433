from pathlib import Path

import pytest

from ptee_mcu.config import load_config, with_asks
from ptee_mcu.errors import ConfigError
from ptee_mcu.exits.asks import DEFAULT_ASKS, Ask, Quantity

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
        r"unknown key .exits.zzz.; known here: at, cascade, certify",
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
    "missing key": ('name = "resnet20"\n', "", r"model: one of name .*, file .* and factory .* is needed, none given"),
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


@pytest.mark.parametrize(
    ("text", "limits"),
    [("0.01", (0.01,)), ('"1%"', (0.01,)), ('"1pp"', (0.01,)), ('["0.5 %", "3%", 0.1]', (0.005, 0.03, 0.1))],
)
def test_shares_are_numbers_per_cents_or_points(tmp_path: Path, text: str, limits: tuple[float, ...]) -> None:
    config = load_config(written(tmp_path, GOOD.replace("max_disagreement = 0.01", f"max_disagreement = {text}")))
    assert config.exits is not None
    assert [ask.limit for ask in config.exits.asks] == pytest.approx(limits)


def test_without_any_ask_there_are_three_operating_points(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD.replace("max_disagreement = 0.01", "")))
    assert config.exits is not None
    assert config.exits.asks == DEFAULT_ASKS


def test_a_command_line_replaces_all_asks(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    asked = with_asks(config, {"max_drop": ["1pp", "2pp"], "mean_cost": [0.5]}, 0.1).exits
    assert asked is not None
    drop = [Ask(Quantity.DROP, 0.01), Ask(Quantity.DROP, 0.02)]
    assert asked.asks == (*drop, Ask(Quantity.MEAN_COST, 0.5))
    assert asked.delta == 0.1
    assert with_asks(config, {}, None) == config


def test_a_command_line_with_a_wrong_limit_is_refused(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    with pytest.raises(ConfigError, match=r"command line: max_disagreement\.0: .* less than 1"):
        with_asks(config, {"max_disagreement": ["150%"]}, None)
    with pytest.raises(ConfigError, match=r"command line: max_drop\.0: .* valid number"):
        with_asks(config, {"max_drop": ["much"]}, None)
    bare = load_config(written(tmp_path, '[model]\nname = "a"\n[data]\nsource = "digits"\n[build]\nname = "b"\n'))
    with pytest.raises(ConfigError, match=r"no section \[exits\]"):
        with_asks(bare, {"mean_cost": [0.5]}, None)


@pytest.mark.parametrize(
    ("put", "message"),
    [
        ('placement = "fine"\nat = ["layer1.0"]', r'at is for placement = "names" or "search", not "fine"'),
        ('placement = "names"', r'"names" wants at = \[blocks\] and no count'),
        ('placement = "search"\ncascade = true', r"cascade wants refit = true"),
        ('placement = "fine"\ncertify = false\nmax_drop = 0.1', "certify = false knows max_disagreement alone"),
        ('placement = "fine"\nrefit = true', r'refit is for placement = "search"'),
    ],
)
def test_exits_that_contradict_themselves_are_refused(tmp_path: Path, put: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, GOOD.replace('placement = "fine"', put, 1)))
