"""One file over HTTP, continued where an earlier attempt ended."""

import re
import ssl
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ptee_mcu.errors import DataError

Advance = Callable[[int, int], None]  # (bytes so far, bytes in all; 0 where the server does not say)
_ATTEMPTS = 5
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 18


class TransferError(DataError):
    """A download that never began or ended early; what came is kept."""


class ResumingDownloader:
    """A pooch downloader that keeps what it received in `part` and asks only for the rest.

    pooch's own downloaders begin again from the first byte. A sum over the whole file is left to pooch.

    Args:
        part: file that holds what was received so far; gone after success.
        advance: told after each chunk.
    """

    def __init__(self, part: Path, advance: Advance) -> None:
        self._part = part
        self._advance = advance

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Downloads `url` to the path `output_file`.

        Raises:
            TransferError: where the server cannot be reached, refuses, or ends early without one byte gained.
        """
        for _ in range(_ATTEMPTS):
            have = self._size()
            try:
                if self._receive(url, have):
                    self._part.replace(output_file)
                    return
                reason = f"the connection ended at byte {self._size():,}"
            except HTTPError as error:
                reason = f"the server answers {error.code} {error.reason}"
            except URLError as error:
                reason = str(error.reason)
            except (HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
                reason = f"the connection ended at byte {self._size():,} ({type(error).__name__}: {error})"
            if self._size() == have:
                break
        raise TransferError(reason)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _receive(self, url: str, have: int) -> bool:
        """Appends what the server sends to the first `have` bytes; True where the file is then complete."""
        assert url.startswith(("http://", "https://"))
        # identity: a file that the server compresses on the way could be neither continued nor counted
        headers = {"Accept-Encoding": "identity", "User-Agent": "ptee-mcu"}
        request = Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {}))  # noqa: S310 - asserted
        try:
            response: HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 - the scheme is asserted above
        except HTTPError as error:
            if error.code != 416:  # "range not satisfiable": nothing is left to send, or the file there is shorter
                raise
            with error:
                complete = error.headers.get("Content-Range") == f"bytes */{have}"
            if not complete:
                self._part.unlink(missing_ok=True)
            return complete
        with response:
            start, total = _position(response)
            if start not in {0, have}:  # neither the rest nor the whole: useless, so begin again without asking for it
                self._part.unlink()
                return False
            with self._part.open("ab" if start else "wb") as file:
                done = start
                while chunk := response.read1(_CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    self._advance(done, total or 0)
        return total is None or done == total


def _position(response: HTTPResponse) -> tuple[int, int | None]:
    """First byte that `response` brings and the length of the whole file, None where the server does not say."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        return 0, int(length) if length else None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if found is None:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])
