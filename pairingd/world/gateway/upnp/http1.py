"""One HTTP exchange with a router, bytes in and bytes out. h11 speaks the HTTP: chunks, lengths, a
connection that is kept open, an error's body.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import h11

from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Call

LARGEST = 256 * 1024
# The end of an answer on a connection that is kept open, and has no length or a wrong one.
_END = re.compile(rb"</(?:[\w.-]{1,40}:)?(?:Envelope|root)\s*>\s*\Z", re.ASCII)
_END_WITHIN = 128  # bytes
_ASCII = "".join(map(chr, range(128)))


class Http:
    """One request and its answer, bytes in and bytes out."""

    def __init__(self, call: Call[Any]) -> None:
        """Raises BadAnswer for a URL that cannot be asked."""
        try:
            parts = urlsplit(call.url)
            self.address = parts.hostname or "", parts.port or 80
            scope = self.address[0].partition("%")[2]  # ours alone
            body = call.body.encode()
            headers = {
                "Host": parts.netloc.replace(f"%{scope}", "") if scope else parts.netloc,
                "Connection": "close",
                "Accept-Encoding": "identity",
                "Content-Length": str(len(body)),
                **call.headers,
            }
            target = quote(urlunsplit(("", "", parts.path or "/", parts.query, "")), safe=_ASCII)
            self._connection = h11.Connection(h11.CLIENT)
            events = (
                h11.Request(method=call.method, target=target, headers=list(headers.items())),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            self.request = b"".join(self._connection.send(event) or b"" for event in events)
        except (h11.LocalProtocolError, ValueError):
            raise BadAnswer("a URL that cannot be asked") from None
        self._content = bytearray()
        self.status = 0  # of HTTP, for the record: the text of an answer says all that it does

    @property
    def refuses(self) -> bool:
        """Whether the status that has come says so."""
        return self.status >= 300

    @property
    def answered(self) -> bool:
        """Whether what has come is an answer though no more of it comes: a body may be missing."""
        return self.refuses or (self.status > 0 and not self._content)

    def receive(self, data: bytes) -> str | None:
        """The text of the answer once it is whole; `data` is empty at the connection's end.

        A body that ends before its length counts as far as it goes: some routers count wrong.
        Raises BadAnswer, and ConnectionResetError where nothing came.
        """
        if not data and not self._connection.trailing_data[0] and not self.status:
            raise ConnectionResetError
        try:
            self._connection.receive_data(data)
            while (event := self._connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self.status = event.status_code
                if isinstance(event, h11.Data):
                    self._content += event.data
                    if len(self._content) > LARGEST:
                        raise BadAnswer(f"an answer of more than {LARGEST // 1024} KiB")
                if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    return self._content.decode(errors="replace")
        except h11.RemoteProtocolError:
            if data or not self.status:
                raise BadAnswer("an answer that is not HTTP") from None
            return self._content.decode(errors="replace")
        if _END.search(self._content[-_END_WITHIN:]):
            return self._content.decode(errors="replace")
        return None
