import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.server import Server, fetched, md5, only

from ptee_mcu.data.official import Member, RemoteFile
from ptee_mcu.errors import DataError

Publish = Callable[..., None]


def archive(*entries: tuple[str, bytes | str], size: int | None = None) -> bytes:
    """A tar.gz of files with content, or of links where a name is given."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()[:size]


A, B = b"a" * 50_000, b"b" * 50_000
MEMBERS = (Member("set/a", md5(A)), Member("set/b", md5(B)))


def published_archive(server: Server, publish: Publish, content: bytes) -> RemoteFile:
    server.content = content
    file = RemoteFile("set.tar.gz", md5(content), (server.url + "set.tar.gz",), MEMBERS)
    publish(file)
    return file


def test_of_an_archive_only_the_published_files_are_unpacked(tmp_path: Path, server: Server, publish: Publish) -> None:
    published_archive(server, publish, archive(("set/a", A), ("../evil", b"x"), ("/tmp/evil", b"x"), ("set/b", B)))  # noqa: S108 - a name in an archive
    folder = tmp_path / "data"
    assert [file.path.name for file in fetched(folder)] == ["a", "b"]
    assert only(tmp_path) == ["data/set/a", "data/set/b"]
    server.asked.clear()
    assert not any(file.new for file in fetched(folder))
    assert server.asked == []


def test_an_archive_that_the_user_brought_is_unpacked_and_kept(
    tmp_path: Path, server: Server, publish: Publish
) -> None:
    content = archive(("set/a", A), ("set/b", B))
    published_archive(server, publish, content)
    (tmp_path / "set.tar.gz").write_bytes(content)
    fetched(tmp_path)
    assert server.asked == []
    assert only(tmp_path) == ["set.tar.gz", "set/a", "set/b"]


def test_one_spoilt_file_of_an_archive_is_put_right(tmp_path: Path, server: Server, publish: Publish) -> None:
    published_archive(server, publish, archive(("set/a", A), ("set/b", B)))
    fetched(tmp_path)
    (tmp_path / "set/b").write_bytes(b"")
    fetched(tmp_path)
    assert (tmp_path / "set/b").read_bytes() == B


HOSTILE = {
    "a link": (archive(("set/a", "/etc/passwd"), ("set/b", B)), "set/a is a link or a folder"),
    "a missing file": (archive(("set/a", A)), "lacks set/b"),
    "another file": (archive(("set/a", B), ("set/b", B)), "set/a has not the published MD5 sum"),
    "cut": (archive(("set/a", A), ("set/b", B), size=150), "cannot be unpacked"),
    "no archive": (b"<html>sorry</html>", "cannot be unpacked"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_bad_archive_is_refused(
    tmp_path: Path, server: Server, publish: Publish, content: bytes, message: str
) -> None:
    published_archive(server, publish, content)
    with pytest.raises(DataError, match=message):
        fetched(tmp_path)
    assert not (tmp_path / "set/a").is_symlink()
    assert not list(tmp_path.rglob("set/*.part"))
