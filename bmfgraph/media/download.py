"""Download a file over HTTP, within limits, and continue a download that broke off."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import threading
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from bmfgraph.errors import without_passwords
from bmfgraph.system.text import printable
from bmfgraph.system.untrusted import read_json

__all__ = ["SIZE_LIMIT", "TIME_LIMIT", "DownloadError", "download"]

SIZE_LIMIT = 8 << 30
"""Largest number of bytes of a file."""
TIME_LIMIT = 3600.0
"""Seconds of a whole download. The next try continues it where the server supports that."""
_SILENCE = 60.0
"""Seconds without any byte from a server."""
_BLOCK = 1 << 16
_REDIRECTS = 5
_RANGE_UNUSABLE = 416
_PARTIAL = 206


class DownloadError(Exception):
    """The server does not send the file."""


def download(url: str, part: Path) -> bool:
    """Download a file, or the rest of it if an earlier download left its beginning.

    A beginning stays only where the server names its version, so that the rest of another version is not appended.

    Args:
        url: Begins with ``https://`` or ``http://``.
        part: Where the bytes go.

    Returns:
        Whether the server has told where the file ends. If not, it may have broken off unnoticed.

    Raises:
        DownloadError: The file cannot be had, or is too large; or it takes too long.
        OSError: ``part`` cannot be written.
    """
    note = part.with_name(part.name + ".json")
    begin, version = _beginning(part, note)
    try:
        with _Watch() as watch, _opened(url, begin, version, watch) as response:
            if begin and response.status != _PARTIAL:
                begin = 0
            if version := _version(response.headers):
                note.write_text(json.dumps(version), encoding="utf-8")
            else:
                note.unlink(missing_ok=True)
            with part.open("r+b" if begin else "wb") as file:
                file.seek(begin)
                ended = _copy(response, file, begin, watch)
        note.unlink(missing_ok=True)
        return ended
    except _RangeError:
        _forget(part, note)
        return download(url, part)
    except (DownloadError, OSError, KeyboardInterrupt) as error:
        if not version or isinstance(error, OSError):
            _forget(part, note)
        raise


def _forget(part: Path, note: Path) -> None:
    part.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _beginning(part: Path, note: Path) -> tuple[int, str]:
    """Return the length of the part that is there and the version of the file it belongs to; 0 and "" for none."""
    try:
        version = read_json(note, follow=False)
        return (part.stat().st_size, version) if isinstance(version, str) else (0, "")
    except (OSError, ValueError):
        return 0, ""


def _version(headers: HTTPMessage) -> str:
    """Return what a request for the rest of the file quotes: a strong ETag, or a date; "" if there is none."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _copy(response: HTTPResponse, file: IO[bytes], begin: int, watch: _Watch) -> bool:
    """Append the body of a response to a file. Return whether its end was marked."""
    length = response.length
    total = None if length is None else begin + length
    if total is not None and total > SIZE_LIMIT:
        raise _too_large(total)
    position = begin
    while True:
        try:
            block = response.read(_BLOCK)
        except (HTTPException, OSError) as error:
            raise DownloadError(f"received {position:,} bytes, then: {watch.reason(error)}") from None
        if not block:
            break
        position += len(block)
        if position > SIZE_LIMIT:
            raise _too_large(position)
        file.write(block)
    if watch.expired:
        raise DownloadError(watch.reason())
    if total is not None and position != total:
        raise DownloadError(f"received {position} of {total} bytes")
    return total is not None or response.chunked


def _too_large(size: int) -> DownloadError:
    return DownloadError(f"it has {size:,} bytes or more, and the limit is {SIZE_LIMIT:,} bytes")


# ---------------------------------------------------------------------------------------------- connection


class _Watch:
    """Cuts the connection when the time is up; a server could send a byte each minute for ever."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.expired = False
        self._timer = threading.Timer(TIME_LIMIT, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.expired = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def reason(self, error: Exception | None = None) -> str:
        """Return why a download ended, in one line without a password."""
        if self.expired:
            return f"it takes longer than {TIME_LIMIT:,.0f} s"
        lines = str(getattr(error, "reason", error)).splitlines() or [type(error).__name__]
        return printable(without_passwords(lines[0]))


class _RangeError(Exception):
    """The server does not have the rest of the file."""


def _opened(url: str, begin: int, version: str, watch: _Watch) -> HTTPResponse:
    """Send the request, follow redirects, and return the response, whose body is not read yet."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "bmfgraph"}
    if begin:
        headers |= {"Range": f"bytes={begin}-", "If-Range": version}
    try:
        response: HTTPResponse = _opener(watch).open(urllib.request.Request(url, headers=headers), timeout=_SILENCE)
    except HTTPError as error:
        error.close()
        if begin and error.code == _RANGE_UNUSABLE:
            raise _RangeError from None
        raise DownloadError(f"{error.code} {watch.reason(error)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(watch.reason(error)) from None
    place = response.headers.get("Content-Range") or ""
    if begin and response.status == _PARTIAL and not place.startswith(f"bytes {begin}-"):
        response.close()
        raise _RangeError
    return response


def _opener(watch: _Watch) -> urllib.request.OpenerDirector:
    """Return an opener of HTTP and HTTPS alone; those of urllib open local files and FTP, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _Handler(watch),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            fp.close()
            raise DownloadError(f"it is redirected from {before} to {after}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens connections that the watch can cut."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self._opened(HTTPConnection, request)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self._opened(HTTPSConnection, request)

    def _opened(self, kind: type[HTTPConnection], request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(functools.partial(self._connection, kind), request)

    def _connection(self, kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:
        connection, watch = kind(host, **options), self._watch
        connect = connection.connect

        def watched() -> None:
            # Not earlier: a proxy is set after the connection is created.
            connect()
            watch.socket = connection.sock

        connection.connect = watched  # type: ignore[method-assign]
        return connection

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_
