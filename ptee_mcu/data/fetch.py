"""Official files of a data set into the data folder: downloaded, verified, unpacked, each only where it must be."""

import hashlib
import logging
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ptee_mcu.data.download import Advance, ResumingDownloader, TransferError
from ptee_mcu.data.official import Member, RemoteFile, official
from ptee_mcu.errors import DataError, ToolMissingError

Progress = Callable[[str], AbstractContextManager[Advance]]  # a bar of that title
_SCRATCH = ".fetch"  # in the data folder: what is not verified yet
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is in place and has the published sum; `new` where it was put there now."""

    path: Path
    new: bool


def fetch(name: str, folder: Path, progress: Progress) -> tuple[Fetched, ...]:
    """The official files of the data set `name`, in place under `folder`, which is made where it is not there.

    Files that are there and have the published MD5 sum are left as they are. A file takes its place only once it is
    complete and verified; an interrupted download goes on where it ended.

    Raises:
        DataError: where the set is unknown, the folder cannot be written, or a file can be had from nowhere; the hint
            then says what to download by hand and where to put it.
        ToolMissingError: where pooch is not installed.
    """
    files = official(name)
    scratch = folder / _SCRATCH / name
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        fetched = [item for file in files for item in _fetch_one(name, file, folder, scratch, progress)]
        shutil.rmtree(scratch)
        if not any(scratch.parent.iterdir()):
            scratch.parent.rmdir()
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}", hint="choose another with --data DIR") from error
    return tuple(fetched)


def _fetch_one(name: str, file: RemoteFile, folder: Path, scratch: Path, progress: Progress) -> list[Fetched]:
    wanted = file.members or (Member(file.path, file.md5),)
    if all(_has_sum(folder / item.path, item.md5) for item in wanted):
        return [Fetched(folder / item.path, new=False) for item in wanted]
    target = folder / file.path
    if file.members:
        brought = _has_sum(target, file.md5)  # by the user, who may want to keep it
        archive = target if brought else _download(name, file, folder, scratch, progress)
        unpack(archive, file.members, folder)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(name, file, folder, scratch, progress).replace(target)
    return [Fetched(folder / item.path, new=True) for item in wanted]


def _download(name: str, file: RemoteFile, folder: Path, scratch: Path, progress: Progress) -> Path:
    """A verified copy of `file` in `scratch`."""
    base = PurePosixPath(file.path).name
    part = scratch / f"{base}.part"
    reasons = []
    with progress(f"downloading {base}") as advance:
        for url in file.urls:
            again = True
            while again:
                again = part.exists()  # a sum may be wrong because of what an earlier attempt left: then once more
                reason = _retrieve(url, file.md5, scratch / base, ResumingDownloader(part, advance))
                if reason is None:
                    return scratch / base
                reasons.append(f"{url}: {reason}")
                again = again and not part.exists()
    kept = f"; {part.stat().st_size:,} bytes are kept, the same command continues" if part.exists() else ""
    raise DataError(f"{name}: {base} could not be downloaded: {'; '.join(reasons)}{kept}", hint=_by_hand(name, folder))


def _retrieve(url: str, md5: str, target: Path, downloader: ResumingDownloader) -> str | None:
    """None where `target` is there with the sum `md5`, else the reason why not."""
    try:
        import pooch  # noqa: PLC0415 - only this command needs it
    except ModuleNotFoundError as error:
        raise ToolMissingError("downloading data sets needs pooch", hint="pip install pooch") from error
    pooch.get_logger().setLevel(logging.WARNING)  # progress is shown by the caller
    try:
        pooch.retrieve(url, known_hash=f"md5:{md5}", fname=target.name, path=target.parent, downloader=downloader)
    except TransferError as error:
        return str(error.args[0])
    except ValueError as error:  # how pooch reports a wrong sum; it has removed the file
        found = re.search(r"got (\w+)", str(error))
        return f"what came has the MD5 sum {found[1] if found else 'of another file'}, {md5} is published"
    return None


def _by_hand(name: str, folder: Path) -> str:
    missing = [
        file
        for file in official(name)
        if not all(_has_sum(folder / item.path, item.md5) for item in file.members or (Member(file.path, file.md5),))
    ]
    lines = [f"{file.urls[0]}\n      to {folder / file.path} (MD5 {file.md5})" for file in missing]
    return (
        "without this connection, download by hand\n    "
        + "\n    ".join(lines)
        + f"\n  and run again: ptee-mcu data fetch {name} --data {folder}"
    )


def _has_sum(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == md5


def unpack(archive: Path, members: tuple[Member, ...], folder: Path) -> None:
    """Writes `members` of the tar `archive` under `folder`, and nothing else that the archive may name.

    Raises:
        DataError: where the archive is broken, or a member is missing, no plain file, or not the published one.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in members:
                _unpack_one(archive, tar, member, folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(
            f"{archive}: cannot be unpacked: {error}", hint="remove it and run the same command again"
        ) from error


def _unpack_one(archive: Path, tar: tarfile.TarFile, member: Member, folder: Path) -> None:
    try:
        found = tar.getmember(member.path)
    except KeyError as error:
        raise DataError(f"{archive}: lacks {member.path}") from error
    source = tar.extractfile(found) if found.isreg() else None
    if source is None:
        raise DataError(f"{archive}: {member.path} is a link or a folder, a plain file is expected")
    target = folder / member.path
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, part.open("wb") as file:
        shutil.copyfileobj(source, file)
    if not _has_sum(part, member.md5):
        part.unlink()
        raise DataError(f"{archive}: {member.path} has not the published MD5 sum {member.md5}")
    part.replace(target)
