"""One HTTP exchange with a router, bytes in and bytes out.

Lenient where routers are against RFC 9112: line ends, fields that are none, lengths that are wrong.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Call

LARGEST = 256 * 1024
_LARGEST_HEAD = 64 * 1024
# The end of an answer on a connection that is kept open, and has no length or a wrong one.
_END = re.compile(rb"</(?:[\w.-]{1,40}:)?(?:Envelope|root)\s*>", re.ASCII)
_END_WITHIN_BYTES = 128
_BEGIN = re.compile(rb"[\s\xef\xbb\xbf]*<(?:\?xml|(?:[\w.-]{1,40}:)?(?:Envelope|root)\b)", re.ASCII)
_NO_CONTENT = 204
_ASCII = "".join(map(chr, range(128)))
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_HEAD_END_BYTES = 4
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)")
_CHUNK = re.compile(rb"(?:\r?\n)?[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_LARGEST_CHUNK_LINE = 1024


class Http:
    """One request and its answer, bytes in and bytes out."""

    def __init__(self, call: Call[Any]) -> None:
        """Raises BadAnswer for a URL that cannot be used."""
        try:
            parts = urlsplit(call.url)
            self.address = parts.hostname or "", parts.port or 80
        except ValueError:
            raise BadAnswer("a URL that cannot be asked") from None
        scope = self.address[0].partition("%")[2]  # ours alone
        host = parts.netloc.replace(f"%{scope}", "") if scope else parts.netloc
        target = quote(urlunsplit(("", "", parts.path or "/", parts.query, "")), safe=_ASCII)
        if not (_VISIBLE.fullmatch(host) and _VISIBLE.fullmatch(target)):
            raise BadAnswer("a URL that cannot be asked")
        body = call.body.encode()
        fields = {
            "Host": host,
            "Connection": "close",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            **call.headers,
        }
        lines = [f"{call.method} {target} HTTP/1.1", *map(": ".join, fields.items()), "", ""]
        self.request = "\r\n".join(lines).encode() + body
        self._received = bytearray()  # of the head, and then of chunks that are not whole
        self._sought = 0  # bytes of it in which the head does not end
        self._length: int | None = None
        self._chunked = False
        self._chunk_left = 0  # bytes of the present chunk that have not come
        self._content = bytearray()
        self.status = 0  # of HTTP, only for the record: the answer's text has all that matters

    @property
    def refuses(self) -> bool:
        """Whether the status received is an error."""
        return self.status >= 300

    @property
    def answered(self) -> bool:
        """Whether what was received is an answer even if no more comes: a body may be missing."""
        return self.refuses or (self.status > 0 and not self._content)

    def receive(self, data: bytes) -> str | None:
        """The text of the answer once it is whole; `data` is empty at the connection's end.

        A body that ends before its length counts as far as it goes, and XML that is not at its end
        there as far as it goes on. Raises BadAnswer, and ConnectionResetError if nothing came.
        """
        if not (data or self._received or self.status):
            raise ConnectionResetError
        self._received += data
        while not self.status:
            if self._takes_head(ended=not data):
                continue
            if not data:  # after RFC 9110's 100 alone
                raise ConnectionResetError
            return None
        if len(self._content) + len(self._received) > LARGEST:
            raise BadAnswer(f"an answer of more than {LARGEST // 1024} KiB")
        if self._takes_body() or not data or self._has_its_length or self._is_at_its_end:
            return self._content.decode(errors="replace")
        return None

    @property
    def _has_its_length(self) -> bool:
        """XML that is not at its end is longer than the length says."""
        if self._length is None or len(self._content) < self._length:
            return False
        return self.refuses or not _BEGIN.match(self._content) or self._is_at_its_end

    @property
    def _is_at_its_end(self) -> bool:
        return _END.search(self._content[-_END_WITHIN_BYTES:]) is not None

    def _takes_head(self, *, ended: bool) -> bool:
        """Whether a head was there to be taken from what was received."""
        if self._received.startswith((b"\r", b"\n")):
            self._received = self._received.lstrip(b"\r\n")
        end = _HEAD_END.search(self._received, max(self._sought - _HEAD_END_BYTES, 0))
        self._sought = 0 if end else len(self._received)
        if end is None and not ended and len(self._received) < _LARGEST_HEAD:
            return False
        at, after = end.span() if end else (len(self._received), len(self._received))
        status, *lines = bytes(self._received[:at]).splitlines() or [b""]
        match = _STATUS.match(status)
        if match is None:
            raise BadAnswer("an answer that is not HTTP")
        self._received = self._received[after:]
        if match[1].startswith(b"1"):  # RFC 9110 §15.2: the answer follows
            return bool(self._received)
        self.status = int(match[1])
        fields = [
            (field[1].lower(), field[2].strip(b" \t"))
            for line in lines
            if (field := _FIELD.fullmatch(line))
        ]
        self._chunked = any(
            name == b"transfer-encoding" and value.lower().endswith(b"chunked")
            for name, value in fields
        )
        lengths = {
            int(value)
            for name, value in fields
            if name == b"content-length" and re.fullmatch(rb"\d{1,9}", value)
        }
        if self.status == _NO_CONTENT:
            self._length = 0
        elif len(lengths) == 1 and not self._chunked:
            self._length = lengths.pop()
        return True

    def _takes_body(self) -> bool:
        """Add what was received to the content. Whether it ends by a last chunk (RFC 9112 §7.1)."""
        if not self._chunked:
            self._content += self._received
            self._received.clear()
            end = self._length or 0
            if _END.search(self._content, max(end - _END_WITHIN_BYTES, 0), end):
                del self._content[end:]  # what follows is no part of it
            return False
        while True:
            part = self._received[: self._chunk_left]
            self._content += part
            self._chunk_left -= len(part)
            del self._received[: len(part)]
            if self._chunk_left:
                return False
            if not (chunk := _CHUNK.match(self._received)):
                if len(self._received) > _LARGEST_CHUNK_LINE:
                    raise BadAnswer("a chunk that does not begin")
                return False
            self._chunk_left = int(chunk[1], 16)
            del self._received[: chunk.end()]
            if not self._chunk_left:
                return True
