"""A web server on this machine with the faults that a download must survive."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np

from ptee_mcu.data.download import Advance
from ptee_mcu.data.fetch import Fetched, fetch

CONTENT = np.random.default_rng(0).bytes(3_000_000)  # more than one chunk, and more than the sockets' buffers


def md5(content: bytes) -> str:
    """MD5 sum, as the official files publish theirs."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Server:
    """A web server of one file on this machine, with the faults that a test gives it."""

    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)  # bytes that the next answers end after
    ranges: bool = True  # whether it honours Range
    wrong_range: bool = False  # whether it answers 206 with another range than asked
    length: bool = True  # whether it says how long the file is
    status: int = 200
    delay_s: float = 0.0  # before each 64 KiB
    asked: list[str | None] = field(default_factory=list)  # the Range of every request
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers a GET, or fails to."""
        asked = request.headers.get("Range")
        self.asked.append(asked)
        if self.status != 200:
            request.send_error(self.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if self.wrong_range and asked:
            start -= 10
        if start >= len(self.content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = self.content[start:]
        request.send_response(206 if asked and self.ranges else 200)
        if asked and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        body = body[: self.cuts.pop(0)] if self.cuts else body
        for i in range(0, len(body), 1 << 16):
            time.sleep(self.delay_s)
            request.wfile.write(body[i : i + (1 << 16)])


@contextmanager
def silent(_: str) -> Iterator[Advance]:
    """A progress bar that nobody sees."""
    yield lambda *_: None


def fetched(folder: Path) -> tuple[Fetched, ...]:
    """What fetching the set that a test published as mnist gives."""
    return fetch("mnist", folder, silent)


def only(folder: Path) -> list[str]:
    """Every file below `folder`."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
