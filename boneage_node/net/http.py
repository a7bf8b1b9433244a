"""HTTP to one server that an administrator named, and what its failures mean, in sentences.

Credentials come from the netrc file alone. No redirect is followed, so that nothing goes to a server that
nobody named. No answer is read beyond a bound. Certificates are judged by the system's trust store (or
``SSL_CERT_FILE``) and the authorities of `TlsFiles.ca`, and the node's own certificate is shown to a server
that asks for one. Proxies are those of the environment (``HTTPS_PROXY``, ``NO_PROXY``).
"""

from __future__ import annotations

import netrc
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from boneage_node import __version__
from boneage_node.errors import BoneAgeError, NodeError
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable

from .calling import Waits
from .tls import TlsFiles, web_context

MAX_ANSWER_BYTES = 2**20
_NETRC_VARIABLE = "NETRC"

_NOT_THIS_REQUEST = (401, 404, 405, 407, 429, 503)
"""Statuses that say something of the server or of how it is set up, hence would be those of any request."""
_MAY_PASS = (401, 403, 404, 405, 407, 408, 413, 421, 425, 429)
"""The statuses of 400 to 499 that time or an administrator mends; the others are about what was sent."""


class NoAnswer(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """A request went out and no whole answer came back; another request may do better."""


@dataclass(frozen=True)
class Answer:
    """A whole answer of a server.

    Attributes:
        status: HTTP status code.
        media_type: Content type without parameters, in lower case; empty where none was given.
        body: The body.
        warning: The header of that name (RFC 7234, 5.5); empty where there is none.
    """

    status: int
    media_type: str
    body: bytes
    warning: str = ""

    @property
    def is_permanent(self) -> bool:
        """Whether the same request would be refused again, whatever an administrator does."""
        return is_permanent(self.status)


def is_permanent(status: int) -> bool:
    """Whether a request that is answered with this status would be refused again."""
    return 400 <= status < 500 and status not in _MAY_PASS


class HttpClient:
    """Requests to one server over connections that are kept while the block lasts.

    Args:
        base_url: What every path is appended to, ``https://pacs.example/dicom-web``.
        waits: How long to wait for a connection, for each piece of an answer, and for a whole one.
        tls: Certificates to show and to verify the server with.

    Attributes:
        base_url: As given, without a slash at its end.
    """

    def __init__(self, base_url: str, waits: Waits | None = None, tls: TlsFiles | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._host = httpx.URL(base_url).host
        self._waits = waits or Waits()
        self._tls = tls or TlsFiles()
        self._opened: httpx.Client | None = None

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            Unreachable: The netrc file, or a file of TLS, cannot be used.
        """
        try:
            verify = web_context(self._tls)
        except NodeError as error:
            raise Unreachable(str(error)) from error
        self._opened = httpx.Client(
            auth=_netrc_auth(),
            verify=verify,
            timeout=httpx.Timeout(self._waits.answer_seconds, connect=self._waits.connect_seconds),
            follow_redirects=False,
            # no compression: a small answer could stand for gigabytes
            headers={"User-Agent": f"boneage-node/{__version__}", "Accept-Encoding": "identity"},
        )
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()
        self._opened = None

    @property
    def _client(self) -> httpx.Client:
        assert self._opened is not None, "within the block"
        return self._opened

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Make a request and read the whole answer, whatever its status, but for those raised here.

        Args:
            method: ``GET``, ``POST`` or ``PUT``.
            path: Appended to the base URL, ``/studies``.
            headers: Further headers.
            params: The query.
            content: The body.
            max_bytes: The longest answer that is read.

        Raises:
            Unreachable: No connection, a redirect, or a status that any request would get now (credentials,
                wrong base URL, too many requests, out of service).
            NoAnswer: It broke off, took too long, or the answer is too long.
        """
        with self.stream(method, path, headers=headers, params=params, content=content) as response:
            body = bytearray()
            deadline = time.monotonic() + self._waits.answer_seconds
            for piece in response.iter_bytes():
                body += piece
                if len(body) > max_bytes:
                    raise NoAnswer(f"{self._host} answers with more than {max_bytes} bytes.")
                if time.monotonic() > deadline:
                    raise NoAnswer(f"{self._host} did not finish its answer in time.")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Answer(response.status_code, media_type, bytes(body), response.headers.get("Warning", ""))

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> Iterator[httpx.Response]:
        """As `request`, for a body that is read piece by piece within the block.

        Raises:
            Unreachable: As `request`.
            NoAnswer: It broke off or took too long.
        """
        url = self.base_url + path
        try:
            with self._client.stream(
                method, url, headers=headers, params=params, content=content
            ) as response:
                self._require_way_in(response)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Unreachable(self._connection_problem(error)) from error
        except httpx.TimeoutException as error:
            raise NoAnswer(f"{self._host} did not answer in time.") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self._host} broke the connection off.") from error

    def refusal(self, status: int) -> str:
        """Say what a status means that is not the one hoped for, and how to mend it."""
        meaning = {
            403: "does not allow that: give this node, or its account in the netrc file, the right to",
            408: "waited too long for the request",
            413: "takes no request of this size: raise its limit (nginx: client_max_body_size)",
            415: "does not take this kind of content",
            507: "is out of disk space",
        }.get(status)
        if meaning is None:
            meaning = "failed" if status >= 500 else "refuses the request: look into its log"
        return f"{self._host} {meaning} (HTTP status {status})."

    def _require_way_in(self, response: httpx.Response) -> None:
        """Raise what the status of an answer says of the server rather than of the request."""
        status = response.status_code
        if response.is_redirect:
            target = response.headers.get("Location", "elsewhere").partition("?")[0]
            raise Unreachable(
                f"{self._host} says that it has moved to {target} (HTTP status {status}): "
                "redirects are not followed, so set the URL where it really is."
            )
        if status not in _NOT_THIS_REQUEST:
            return
        if status == 401:
            known = "Authorization" in response.request.headers
            mend = (
                "does not accept the login and password that the netrc file has for it: correct them"
                if known
                else f"wants a login: add the line 'machine {self._host} login NAME password SECRET' "
                f"to the netrc file ({netrc_file()})"
            )
        else:
            mend = {
                404: f"has nothing at this address: check the path of the base URL {self.base_url}",
                405: f"does not take this request here: check the path of the base URL {self.base_url}",
                407: "is behind a proxy that wants a login: see HTTPS_PROXY and NO_PROXY",
                429: "says that it gets too many requests",
                503: "says that it is out of service for now",
            }[status]
        raise Unreachable(f"{self._host} {mend} (HTTP status {status}).")

    def _connection_problem(self, error: httpx.HTTPError) -> str:
        url = httpx.URL(self.base_url)
        host = f"[{url.host}]" if ":" in url.host else url.host
        address = f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return (
                    f"The certificate of {address} is not accepted ({cause.verify_message}): renew it there, "
                    "or name the file of its authority with tls.ca (or in SSL_CERT_FILE)."
                )
            if isinstance(cause, ssl.SSLError):
                return f"{address} does not speak TLS as this node does: check the port, and https or http."
            if isinstance(cause, socket.gaierror):
                return f"The host name {url.host} is not known: check its spelling, or use the IP address."
            if isinstance(cause, ConnectionRefusedError):
                return f"Nothing listens on {address}: start the server there, or correct the port."
        if isinstance(error, httpx.ConnectTimeout):
            return f"{address} does not answer: check the address, and firewalls on the way."
        if isinstance(error, httpx.ProxyError):
            return f"The proxy on the way to {address} does not let it through: see HTTPS_PROXY and NO_PROXY."
        return f"{address} cannot be reached."


def send_each(
    client: HttpClient, files: Iterable[StoredFile], send_one: Callable[[HttpClient, StoredFile], Sent]
) -> Iterator[Sent]:
    """Send files in their order, over one connection while it holds.

    Args:
        client: The server, not opened yet.
        files: What to send.
        send_one: Makes the request for one file.

    Yields:
        For each file its outcome, as soon as it is known; where the server is out of reach, that.
    """
    waiting = list(files)
    try:
        with client:
            while waiting:
                sent = send_one(client, waiting[0])
                waiting.pop(0)
                yield sent
    except Unreachable as error:
        yield from (Sent(file, None, str(error)) for file in waiting)


def netrc_file() -> Path:
    """The file with logins and passwords: the one that ``NETRC`` names, or ``~/.netrc``."""
    named = os.environ.get(_NETRC_VARIABLE)
    return Path(named) if named else Path("~/.netrc").expanduser()


def _netrc_auth() -> httpx.NetRCAuth | None:
    """Credentials by host, or None where there is no netrc file.

    The texts of netrc's own errors are not passed on: they quote the file, which holds passwords.
    """
    file = netrc_file()
    try:
        mode = file.stat().st_mode
        if mode & 0o077:
            raise Unreachable(f"The netrc file {file} can be read by others: chmod 600 {file}.")
        return httpx.NetRCAuth(str(file))
    except FileNotFoundError:
        if os.environ.get(_NETRC_VARIABLE):
            raise Unreachable(
                f"The netrc file {file}, which {_NETRC_VARIABLE} names, is not there."
            ) from None
        return None
    except netrc.NetrcParseError as error:
        raise Unreachable(f"Line {error.lineno} of the netrc file {file} is not netrc.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise Unreachable(f"The netrc file {file} cannot be read: {reason}.") from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
