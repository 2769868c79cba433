"""A local web server in the place of the official ones."""

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.server import CONTENT, Server, md5

from ptee_mcu.data import official
from ptee_mcu.data.official import RemoteFile


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, started."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                served.answer(self)
            except ConnectionError:
                self.close_connection = True  # the client was killed

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served.url = f"http://127.0.0.1:{http.server_port}/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@pytest.fixture
def gone() -> str:
    """An address on this machine where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


Publish = Callable[..., None]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, server: Server) -> Publish:
    """Makes files, or one file of the server, the official ones of mnist; no official address is left."""
    for name in official.OFFICIAL:
        monkeypatch.setitem(official.OFFICIAL, name, ())

    def put(*files: RemoteFile) -> None:
        monkeypatch.setitem(
            official.OFFICIAL, "mnist", files or (RemoteFile("mnist/one.bin", md5(CONTENT), (server.url + "one.bin",)),)
        )

    return put
