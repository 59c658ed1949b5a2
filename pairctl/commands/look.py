"""`pairctl look`, for a friend of the host: whether an address shows a host key."""

from __future__ import annotations

import binascii
import re
import socket
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

from pairctl.failures import Usage
from pairctl.text import output
from pairingd.core.ports import at_port, parse_port
from pairingd.core.refusal import PairingError
from pairingd.core.ssh_wire import fingerprint
from pairingd.core.text import quoted

if TYPE_CHECKING:
    from argparse import Namespace

_REPLY_TIMEOUT_S = 5
_SSH_PORT = 22
_PAIRING_KEY_TYPES = "ed25519"  # of pairing's host keys
_OTHER_KEY_TYPES = "ecdsa,rsa"  # of other servers
_HOST_PORT = re.compile(r"(?:[^@\s]+@)?(?:\[([^\]\s]+)\]|([^\[\]:\s]+))(?::(\d{1,5}))?", re.ASCII)
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*(?:%\w+)?", re.ASCII)
_FINGERPRINT = re.compile(r"SHA256:([A-Za-z0-9+/]{43})=?", re.ASCII)  # as ssh-keygen -l prints it


def run(args: Namespace) -> int:
    """0 if the address shows the host key, else 1."""
    expected = _fingerprint(args.fingerprint)
    host, port = _place(args.place)
    shown = _keys(host, port, _PAIRING_KEY_TYPES)
    if expected not in shown.values():
        shown |= _keys(host, port, _OTHER_KEY_TYPES)
    verdict = "nobody"
    if shown:
        verdict = "that-host" if expected in shown.values() else "another-host"
    result = {
        "host": host,
        "port": port,
        "fingerprint": expected,
        "found": verdict,
        "keys": [
            {"type": type_, "fingerprint": fingerprint} for type_, fingerprint in shown.items()
        ],
    }
    reason = "" if shown or args.json else _why_no_key(host, port)
    output.result(result, partial(_render, reason=reason), as_json=args.json)
    return 0 if verdict == "that-host" else 1


def _render(result: dict[str, Any], _: output.View, reason: str) -> str:
    place = at_port(result["host"], result["port"])
    match result["found"]:
        case "that-host":
            return f"{place} is that host: it shows {result['fingerprint']}"
        case "another-host":
            shown = ", ".join(key["fingerprint"] for key in result["keys"])
            return f"{place} is another host: it shows {shown}"
        case _:
            return f"{place} is not reached: {reason}"


def _place(text: str) -> tuple[str, int]:
    """Raises Usage."""
    if _BARE_IPV6.fullmatch(text):
        return text, _SSH_PORT
    match = _HOST_PORT.fullmatch(text)
    host = (match[1] or match[2]) if match else ""
    port = parse_port(match[3] or str(_SSH_PORT)) if match else None
    if port is None or host.startswith("-") or not _is_name(host):
        example = "write it as 5.5.5.5:22 or [2001:db8::1]:22; the fingerprint comes after it"
        raise Usage("usage", f"not HOST:PORT: {quoted(text)}", example)
    return host, port


def _is_name(host: str) -> bool:
    """Whether a resolver can be asked for it: RFC 1035 §2.3.4 limits each label."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _fingerprint(text: str) -> str:
    """Raises Usage."""
    match = _FINGERPRINT.fullmatch(text)
    if not match:
        raise Usage(
            "usage",
            f"not a fingerprint: {quoted(text)}",
            "it is SHA256: and 43 characters, in the output of pairctl invite",
        )
    return f"SHA256:{match[1]}"


def _keys(host: str, port: int, kinds: str) -> dict[str, str]:
    """The fingerprints of the host keys shown there, by type. Raises PairingError."""
    scan = ("ssh-keyscan", "-T", str(_REPLY_TIMEOUT_S), "-p", str(port), "-t", kinds, "--", host)
    try:
        done = subprocess.run(
            scan,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            errors="replace",
            check=False,
            timeout=2 * _REPLY_TIMEOUT_S,  # ssh-keyscan's own -T begins anew with each byte
        )
    except subprocess.TimeoutExpired:
        return {}
    except OSError as error:
        raise PairingError(
            "no-ssh-keyscan",
            f"ssh-keyscan cannot be run: {error.strerror}",
            "install the OpenSSH client",
        ) from None
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    return {line[1]: _fingerprint_of(line[2]) for line in lines if len(line) == 3}


def _fingerprint_of(blob: str) -> str:
    try:
        return fingerprint(binascii.a2b_base64(blob))
    except binascii.Error:
        return "unreadable"


def _why_no_key(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), _REPLY_TIMEOUT_S).close()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return (error.strerror or "it cannot be connected to").lower()
    return "something takes connections there, and shows no host key"
