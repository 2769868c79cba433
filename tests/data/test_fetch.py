import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.server import CONTENT, Server, fetched, md5, only, silent

from ptee_mcu.data import sources
from ptee_mcu.data.fetch import Fetched, fetch
from ptee_mcu.data.official import OFFICIAL, Member, RemoteFile
from ptee_mcu.errors import DataError, ToolMissingError

Publish = Callable[..., None]
ROOT = Path(__file__).parents[2]


def test_a_file_is_downloaded_verified_and_alone_in_its_place(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    folder = tmp_path / "new" / "data"
    assert fetched(folder) == (Fetched(folder / "mnist/one.bin", new=True),)
    assert (folder / "mnist/one.bin").read_bytes() == CONTENT
    assert only(folder) == ["mnist/one.bin"]
    assert not (folder / ".fetch").exists()
    assert server.asked == [None]


def test_a_file_that_is_there_and_right_is_not_asked_for(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    fetched(tmp_path)
    server.asked.clear()
    assert fetched(tmp_path) == (Fetched(tmp_path / "mnist/one.bin", new=False),)
    assert server.asked == []


def test_a_file_that_is_there_and_wrong_is_replaced(tmp_path: Path, publish: Publish) -> None:
    publish()
    fetched(tmp_path)
    (tmp_path / "mnist/one.bin").write_bytes(CONTENT[:1000])
    assert fetched(tmp_path)[0].new
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_connection_that_is_cut_half_way_is_continued(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    server.cuts = [len(CONTENT) // 2]
    fetched(tmp_path)
    assert server.asked == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_the_next_run_continues_what_the_last_one_kept(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    server.cuts = [1_000_000, 0]
    with pytest.raises(
        DataError, match="ended at byte 1,000,000; 1,000,000 bytes are kept, the same command continues"
    ):
        fetched(tmp_path)
    assert only(tmp_path) == [".fetch/mnist/one.bin.part"]
    server.asked.clear()
    fetched(tmp_path)
    assert server.asked == ["bytes=1000000-"]
    assert only(tmp_path) == ["mnist/one.bin"]
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_process_that_is_killed_loses_nothing(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    server.delay_s = 0.02
    code = (
        "import sys; from contextlib import nullcontext; from pathlib import Path\n"
        "from ptee_mcu.data import official; from ptee_mcu.data.fetch import fetch\n"
        f"file = official.RemoteFile('mnist/one.bin', {md5(CONTENT)!r}, ({server.url!r},))\n"
        "official.OFFICIAL['mnist'] = (file,)\n"
        "fetch('mnist', Path(sys.argv[1]), lambda _: nullcontext(lambda done, total: None))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    part = tmp_path / ".fetch/mnist/one.bin.part"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > 500_000):
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0
    kept = part.stat().st_size
    assert 500_000 < kept < len(CONTENT)
    server.delay_s = 0
    server.asked.clear()
    fetched(tmp_path)
    assert server.asked == [f"bytes={kept}-"]
    assert only(tmp_path) == ["mnist/one.bin"]


def test_a_server_that_ignores_range_is_asked_for_the_whole_file(
    tmp_path: Path, server: Server, publish: Publish
) -> None:
    publish()
    server.ranges = False
    server.cuts = [1_000_000]
    fetched(tmp_path)
    assert server.asked == [None, "bytes=1000000-"]
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_server_that_sends_another_range_is_asked_again(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    server.wrong_range = True
    server.cuts = [1_000_000]
    fetched(tmp_path)
    assert server.asked == [None, "bytes=1000000-", None]
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_server_that_does_not_say_the_length_is_believed_where_the_sum_is_right(
    tmp_path: Path, server: Server, publish: Publish
) -> None:
    publish()
    server.length = False
    fetched(tmp_path)
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_part_that_is_complete_already_is_taken(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    part = tmp_path / ".fetch/mnist/one.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    fetched(tmp_path)
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_begun_again(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    part = tmp_path / ".fetch/mnist/one.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + b"more")
    fetched(tmp_path)
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_part_of_another_file_spoils_one_attempt_only(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    part = tmp_path / ".fetch/mnist/one.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    fetched(tmp_path)
    assert server.asked == ["bytes=1000-", None]
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_wrong_sum_is_refused_with_both_sums_and_leaves_nothing(
    tmp_path: Path, server: Server, publish: Publish
) -> None:
    publish()
    server.content = CONTENT[:-1] + b"x"
    expected = f"what came has the MD5 sum {md5(server.content)}, {md5(CONTENT)} is published"
    with pytest.raises(DataError, match=expected):
        fetched(tmp_path)
    assert only(tmp_path) == []
    assert server.asked == [None]


def test_a_wrong_sum_does_not_replace_what_was_there(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    path = tmp_path / "mnist/one.bin"
    path.parent.mkdir()
    path.write_bytes(b"earlier")
    server.content = b"other"
    with pytest.raises(DataError, match="is published"):
        fetched(tmp_path)
    assert path.read_bytes() == b"earlier"


def test_the_second_address_serves_where_the_first_does_not(
    tmp_path: Path, server: Server, publish: Publish, gone: str
) -> None:
    publish(RemoteFile("mnist/one.bin", md5(CONTENT), (gone, server.url)))
    fetched(tmp_path)
    assert (tmp_path / "mnist/one.bin").read_bytes() == CONTENT


def test_a_refusal_names_the_status(tmp_path: Path, server: Server, publish: Publish) -> None:
    publish()
    server.status = 404
    with pytest.raises(DataError, match=r"mnist: one\.bin could not be downloaded: .*the server answers 404 Not Found"):
        fetched(tmp_path)


def test_offline_says_what_to_download_and_where_to_put_it(tmp_path: Path, publish: Publish, gone: str) -> None:
    publish(
        RemoteFile("mnist/one.bin", md5(CONTENT), (gone + "one.bin",)),
        RemoteFile("mnist/two.bin", md5(b"two"), (gone + "two.bin",)),
    )
    with pytest.raises(DataError) as caught:
        fetched(tmp_path)
    message, _, hint = str(caught.value).partition("\n")
    assert re.fullmatch(rf"mnist: one.bin could not be downloaded: {gone}one.bin: .*refused", message)
    assert hint == (
        "  hint: without this connection, download by hand\n"
        f"    {gone}one.bin\n      to {tmp_path}/mnist/one.bin (MD5 {md5(CONTENT)})\n"
        f"    {gone}two.bin\n      to {tmp_path}/mnist/two.bin (MD5 {md5(b'two')})\n"
        f"  and run again: ptee-mcu data fetch mnist --data {tmp_path}"
    )
    for name, content in (("one", CONTENT), ("two", b"two")):
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / f"mnist/{name}.bin").write_bytes(content)
    assert not any(file.new for file in fetched(tmp_path))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, publish: Publish) -> None:
    publish()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"file/data: cannot be written: .*\n  hint: choose another with --data"):
        fetched(tmp_path / "file" / "data")


def test_an_unknown_set_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set 'cifar-10' can be fetched\n  hint: did you mean 'cifar10'"):
        fetch("cifar-10", tmp_path / "data", silent)
    assert not (tmp_path / "data").exists()


def test_every_set_but_the_embedded_one_can_be_fetched_into_a_place_where_it_is_looked_for() -> None:
    assert set(OFFICIAL) == {name for name, source in sources.SOURCES.items() if not source.embedded}


@pytest.mark.parametrize("name", ["cifar10", "svhn", "mnist", "fashion-mnist"])
def test_official_files_land_where_the_loader_looks(name: str) -> None:
    source = sources.SOURCES[name]
    for file in OFFICIAL[name]:
        assert all(url.startswith(("https://", "http://")) for url in file.urls)
        for item in file.members or (Member(file.path, file.md5),):
            assert len(item.md5) == 32
            place = Path(item.path).parent if name != "cifar10" else Path()
            assert str(place) in source.places
            mark = Path(item.path).name if name != "cifar10" else Path(item.path).parts[0]
            assert mark in source.marks


def test_without_pooch_the_way_to_get_it_is_named(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ToolMissingError, match="downloading data sets needs pooch\n  hint: pip install pooch"):
        fetched(tmp_path)
