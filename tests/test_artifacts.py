import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from ptee_mcu.artifacts import Artifacts, require_replaceable, with_manifest
from ptee_mcu.errors import PteeError

FIRST = with_manifest({"net.c": "int a;\n", "lib/part.c": b"int b;\n"}, {"name": "net"})
SECOND = with_manifest({"net.c": "int c;\n"}, {"name": "net"})


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def as_bytes(artifacts: Artifacts) -> dict[str, bytes]:
    return {path: text.encode() if isinstance(text, str) else text for path, text in artifacts.files.items()}


def test_the_folder_holds_exactly_the_files(tmp_path: Path) -> None:
    FIRST.write(tmp_path / "deep" / "out")
    assert content(tmp_path / "deep" / "out") == as_bytes(FIRST)


def test_the_manifest_lists_the_hash_of_every_other_file() -> None:
    manifest = json.loads(FIRST.files["manifest.json"])
    expected = {p: hashlib.sha256(c).hexdigest() for p, c in as_bytes(FIRST).items() if p != "manifest.json"}
    assert manifest == {"name": "net", "files": expected}


def test_added_files_are_listed_too() -> None:
    more = FIRST.with_files({"report.json": "{}"})
    manifest = json.loads(more.files["manifest.json"])
    assert set(manifest["files"]) == {"net.c", "lib/part.c", "report.json"}
    assert manifest["name"] == "net"


def test_the_digest_depends_on_every_byte_and_path() -> None:
    changed = [
        Artifacts({"a": "x"}),
        Artifacts({"b": "x"}),
        Artifacts({"a": "y"}),
        Artifacts({"a": "", "b": "x"}),
        Artifacts({}),
    ]
    assert len({artifacts.digest() for artifacts in changed}) == len(changed)
    assert Artifacts({"a": "1", "b": "2"}).digest() == Artifacts({"b": b"2", "a": b"1"}).digest()


def test_a_second_build_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    FIRST.write(out)
    SECOND.write(out)
    assert content(out) == as_bytes(SECOND)
    assert list(tmp_path.iterdir()) == [out]


def test_files_that_no_build_wrote_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    FIRST.write(out)
    (out / "mine").mkdir()
    (out / "mine" / "notes.txt").write_text("keep")
    SECOND.write(out)
    assert content(out) == as_bytes(SECOND) | {"mine/notes.txt": b"keep"}


def failing_after_the_first_file(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    write, written = Path.write_bytes, []

    def fails(self: Path, data: bytes) -> int:
        if written:
            raise failure
        written.append(self)
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fails)


def test_an_interrupted_build_leaves_the_previous_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    FIRST.write(out)
    failing_after_the_first_file(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        SECOND.write(out)
    assert content(out) == as_bytes(FIRST)
    assert list(tmp_path.iterdir()) == [out]


def test_a_full_disk_leaves_the_previous_build_whole_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    FIRST.write(out)
    failing_after_the_first_file(monkeypatch, OSError(28, "No space left on device"))
    with pytest.raises(PteeError, match=r"out: cannot be written: No space left on device[\s\S]*free space"):
        SECOND.write(out)
    assert content(out) == as_bytes(FIRST)
    assert list(tmp_path.iterdir()) == [out]


def test_a_failed_rename_puts_the_previous_build_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    FIRST.write(out)
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise OSError(5, "Input/output error", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    monkeypatch.setattr("ptee_mcu.artifacts._exchange", lambda *_: False)
    with pytest.raises(PteeError, match=r"out: cannot be written: Input/output error"):
        SECOND.write(out)
    assert content(out) == as_bytes(FIRST)


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_a_new_build_takes_the_place_of_the_old_one_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    FIRST.write(out)
    monkeypatch.setattr(Path, "rename", None)  # nothing but the exchange may be used
    SECOND.write(out)
    assert content(out) == as_bytes(SECOND)
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_below_a_file_names_both(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PteeError, match=r"file/out: .*file cannot be written[\s\S]*choose another output folder"):
        FIRST.write(tmp_path / "file" / "out")


def test_a_read_only_place_names_the_path_and_says_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    place = Path("/proc") if os.geteuid() == 0 else tmp_path  # root may write where others may not
    with pytest.raises(PteeError, match=r"out.*: .*cannot be written[\s\S]*choose another output folder"):
        FIRST.write(place / "out")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(PteeError, match=r"out: is a file, not a folder"):
        FIRST.write(tmp_path / "out")


def test_a_folder_with_files_but_no_build_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(PteeError, match=r"is not empty and holds no manifest.json of an earlier build"):
        FIRST.write(tmp_path)
    assert content(tmp_path) == {"thesis.tex": b"mine"}


def test_a_folder_can_be_asked_for_before_the_work(tmp_path: Path) -> None:
    require_replaceable(tmp_path / "new" / "out")
    FIRST.write(tmp_path / "out")
    require_replaceable(tmp_path / "out")
    with pytest.raises(PteeError, match=r"is not empty and holds no manifest.json"):
        require_replaceable(tmp_path)


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    FIRST.write(tmp_path / "out")
    assert content(tmp_path / "out") == as_bytes(FIRST)
