"""Recognise text that is not a line `TYPE BASE64 [COMMENT]`: its lines, its name, its remedy.

People have keys in many formats, and paste them from many places. Each unsupported format has a
name and a one-line remedy that leads to a supported one. `{file}` in a remedy is the file's path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from pairingd.core.text import QUOTES, one_line

ONE_A_LINE = "it must hold one public key a line, as a .pub file does"

_TYPE = r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa|webauthn-sk-ecdsa)-[a-z0-9][a-z0-9@.-]{1,60}"
KEY_TYPE = re.compile(_TYPE, re.ASCII)
# The length of the type comes first in a blob (RFC 4253 §6.6), and its upper bytes are zero.
_KEY = re.compile(rf"({_TYPE})\s+AAAA", re.ASCII)  # anywhere, as in quotes

_MAX_FOREIGN_CHARS = 40  # of foreign text in a name


class Format(Struct, frozen=True):
    """`type` is the key type that the line names, "" where it names none."""

    name: str
    remedy: str = ONE_A_LINE
    type: str = ""


_CONVERTED = "> converted.pub, and invite with that file"
_UNKNOWN = Format("not a public key")
_PRIVATE = Format(
    "a private key", "use the .pub file beside it; a private key stays with its owner"
)
# By the block's first line.
_BLOCKS = (
    (re.compile(r"-+ ?BEGIN .*PRIVATE KEY"), _PRIVATE),
    (
        re.compile(r"PuTTY-User-Key-File-\d+:"),
        Format(
            "a private key of PuTTY (.ppk)",
            f"convert its public half: puttygen {{file}} -L {_CONVERTED}",
        ),
    ),
    (
        re.compile(r"-+ ?BEGIN SSH2 PUBLIC KEY"),
        Format(
            "a public key in SSH2 form (RFC 4716), as PuTTYgen saves it",
            f"convert it: ssh-keygen -i -f {{file}} {_CONVERTED}",
        ),
    ),
    (
        re.compile(r"-+BEGIN RSA PUBLIC KEY"),
        Format(
            "a public key in PEM form",
            f"convert it: ssh-keygen -i -m PEM -f {{file}} {_CONVERTED}",
        ),
    ),
    (
        re.compile(r"-+BEGIN PUBLIC KEY"),
        Format(
            "a public key in PKCS8 form",
            f"convert it: ssh-keygen -i -m PKCS8 -f {{file}} {_CONVERTED}",
        ),
    ),
    (re.compile(r"-+BEGIN PGP "), Format("an OpenPGP key or message")),
    (re.compile(r"-+BEGIN (?:TRUSTED )?CERTIFICATE-"), Format("an X.509 certificate")),
    (
        re.compile(r"\{\\rtf"),
        Format(
            "text in RTF, as TextEdit saves it",
            "save it as plain text (in TextEdit: Format > Make Plain Text)",
        ),
    ),
    (re.compile(r'\{|\[\s*(?:[{"\]]|$)'), Format("JSON")),  # not [HOST]:PORT of known_hosts
)
_BLOCK_ENDS = re.compile(r"-+ ?END |Private-(?:MAC|Hash):")

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}|(?:MD5:)?[0-9a-f]{2}(?::[0-9a-f]{2}){15}")
# sshd(8), AUTHORIZED_KEYS FILE FORMAT.
_OPTION = re.compile(
    r"(?:(?:no-)?(?:agent-forwarding|port-forwarding|pty|user-rc|x11-forwarding)"
    r"|cert-authority|no-touch-required|restrict|verify-required"
    r"|(?:command|environment|expiry-time|from|permitlisten|permitopen|principals|tunnel)=)"
    r"(?=[\s,\"]|$)",
    re.IGNORECASE,
)
# sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
_KNOWN_HOST = re.compile(
    r"@(?:cert-authority|revoked)\s+\S+|\|1\|\S+|localhost|[\w*?!\[\]-]*[.:,][\w*?:\[]\S*", re.ASCII
)

_UTF8_MARK = b"\xef\xbb\xbf"
_BYTE_ORDER_MARKS = (  # the longer first: UTF-16's begins UTF-32's
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Yield each line that is neither blank nor a remark, with its number as in an editor.

    LF ends a line. CR, VT, FF, NEL, U+2028 and the like also end one if a key follows, which else
    would be lost in the comment before it. Of a block in another format it yields the first line.
    """
    in_block = False
    for number, raw in enumerate(content.split(b"\n"), start=1):
        first, *rest = _decoded(raw).splitlines() or [""]
        for part in (first, *filter(_KEY.search, rest)):
            line = visible(part)
            if in_block and not KEY_TYPE.match(line):
                in_block = not _BLOCK_ENDS.match(line)
            elif line and not line.startswith("#"):
                in_block = any(begin.match(line) for begin, _ in _BLOCKS)
                yield number, line


def second_key(comment: str) -> bool:
    """Whether the comment of a key holds another key."""
    return _KEY.search(one_line(comment, len(comment))) is not None


def several_keys(text: str) -> bool:
    """Whether `text`, of one line or more, holds more than one key."""
    return len(_KEY.findall(text)) > 1


def named(line: str) -> Format:
    """Return the format of a line that does not begin with a key type."""
    if "\0" in line and KEY_TYPE.search(line.replace("\0", "")):
        return Format("text in UTF-16", "write it in UTF-8, as the other lines are")
    for begin, block in _BLOCKS:
        if begin.match(line):
            return block
    key = _KEY.search(line)
    if not key:
        return Format("a fingerprint") if _FINGERPRINT.search(line) else _UNKNOWN
    key_type, before = key[1], line[: key.start()].strip()
    if not before.strip(QUOTES):
        return Format("a key in quotes", type=key_type)
    if _OPTION.match(before):
        return Format("options before a key", type=key_type)
    if _KNOWN_HOST.fullmatch(before):
        return Format("a line of known_hosts, with a host's key", type=key_type)
    return Format(f"text before a key: {one_line(before, _MAX_FOREIGN_CHARS)}", type=key_type)


def whole(content: bytes) -> Format:
    """Return the format of `content` as a whole, if no line of it is a key."""
    if encoding := _encoding(content):
        return Format(
            f"text in {encoding[:6]}, as PowerShell writes it",
            f"convert it: iconv -f {encoding} -t UTF-8 {{file}} {_CONVERTED}",
        )
    if is_page(content):
        return Format("an HTML page")
    formats = (named(line) for _, line in lines(content))
    form = next((form for form in formats if form != _UNKNOWN), Format("something else"))
    if content.startswith(_UTF8_MARK):  # which ssh-keygen refuses
        piped = form.remedy.replace("-f {file}", "-f /dev/stdin")
        form = Format(form.name, piped.replace("ssh-keygen", "tail -c +4 {file} | ssh-keygen"))
    return form


def is_page(content: bytes) -> bool:
    return content.removeprefix(_UTF8_MARK).lstrip().startswith(b"<")


def _encoding(content: bytes) -> str:
    """Return its name for iconv(1), "" for UTF-8 and for binary data."""
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return name
    if b"\0" in content:
        for name in ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE"):
            text = content.decode(name, errors="replace")
            if KEY_TYPE.search(text) or "BEGIN " in text or "PuTTY-User-Key" in text:
                return name
    return ""


def visible(line: str) -> str:
    """Without what cannot be seen at its ends, such as the zero-width spaces of chat programs."""
    seen = [place for place, c in enumerate(line) if c.isprintable() and c != " "]
    return line[seen[0] : seen[-1] + 1] if seen else ""


def _decoded(line: bytes) -> str:
    """Decode UTF-8, else Latin-1, in which every byte is a character."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
