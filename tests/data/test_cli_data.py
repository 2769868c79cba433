import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from ptee_mcu.cli import app
from ptee_mcu.data import SOURCES
from ptee_mcu.errors import PteeError

Publish = Callable[..., None]
ROOT = Path(__file__).parents[2]


def run(*words: str) -> tuple[int, str, str, BaseException | None]:
    done = CliRunner(env={"PTEE_DATA": None, "TERM": "dumb"}).invoke(app, ["data", *words])
    return done.exit_code, done.stdout, done.stderr, done.exception


def test_the_command_prints_results_on_stdout_and_progress_on_stderr(tmp_path: Path, publish: Publish) -> None:
    publish()
    code, out, err, _ = run("fetch", "mnist", "--data", str(tmp_path))
    assert (code, out) == (0, f"{tmp_path}/mnist/one.bin: downloaded and verified\n")
    assert "downloading one.bin" in err
    assert run("fetch", "mnist", "--data", str(tmp_path))[1] == f"{tmp_path}/mnist/one.bin: already there and right\n"
    code, out, err, _ = run("fetch", "mnist", "--data", str(tmp_path), "--json")
    assert json.loads(out) == [{"path": f"{tmp_path}/mnist/one.bin", "new": False}]
    assert err == ""


def test_the_command_without_a_folder_says_how_to_give_one() -> None:
    error = run("fetch", "mnist")[3]
    assert isinstance(error, PteeError)
    assert "neither --data nor PTEE_DATA is given\n  hint: ptee-mcu data fetch mnist --data data" in str(error)
    assert "did you mean 'mnist'" in str(run("fetch", "mnits")[3])


def test_the_embedded_set_needs_no_fetching() -> None:
    assert run("fetch", "digits")[:2] == (0, "digits: comes with the package, there is nothing to fetch\n")


def test_the_list_says_where_each_set_is(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/train-images-idx3-ubyte").write_bytes(b"")
    rows = {row["name"]: row for row in json.loads(run("list", "--data", str(tmp_path), "--json")[1])}
    assert set(rows) == set(SOURCES)
    assert rows["mnist"]["place"] == f"{tmp_path}/mnist"
    assert rows["svhn"]["place"] is None
    assert rows["digits"]["embedded"]
    code, out, _, _ = run("list", "--data", str(tmp_path))
    assert code == 0
    assert f"{tmp_path}/mnist" in out


def test_pooch_is_imported_by_fetching_only() -> None:
    code = (
        "import sys, ptee_mcu.cli, ptee_mcu.data; assert not {'pooch', 'requests', 'scipy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
