"""Which algorithms the door offers: PREFERRED, as far as this very sshd knows them.

ssh-audit objects only that curve25519 alone is not post-quantum; clients from before 2022 have
nothing better. A name that sshd does not know stops it, so pairingd asks sshd itself, and does not
go by its version: builds leave algorithms out, and distributions add them to older ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pairingd.process.programs import Finished

# sshd_config(5). Best first, for those who read the list; the client's order decides.
_CHACHA20 = "chacha20-poly1305@openssh.com"
PREFERRED = {
    "KexAlgorithms": (
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
    ),
    "Ciphers": (
        _CHACHA20,
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    ),
    "MACs": (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "umac-128-etm@openssh.com",
    ),
    "HostKeyAlgorithms": ("ssh-ed25519",),
    # The signatures of every key that core.keys accepts.
    "PubkeyAcceptedAlgorithms": (
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ),
}
_STRICT_KEX = "kex-strict-s-v00@openssh.com"  # OpenSSH's PROTOCOL, 1.9

Ask = Callable[..., Awaitable[Finished]]


async def algorithms(host_key: Path, ask: Ask) -> str:
    """Lines for the sshd_config of the sshd that `ask` runs with the arguments it is given.

    A list without any name that it knows is left empty, and `sshd -t` refuses it.
    """
    bare = ("-f", "none", "-o", f'HostKey="{host_key}"')
    settings, strict = await asyncio.gather(ask("-T", *bare), _is_strict(ask, bare))
    defaults = dict(line.split(" ", 1) for line in settings.stdout.splitlines() if " " in line)

    async def knows(keyword: str, name: str) -> bool:
        if name == _CHACHA20 and not strict:
            return False
        if name in defaults.get(keyword.lower(), "").split(","):
            return True
        return (await ask("-t", *bare, "-o", f"{keyword}={name}")).status == 0

    async def line(keyword: str, names: Sequence[str]) -> str:
        known = await asyncio.gather(*(knows(keyword, name) for name in names))
        offered = (name for name, is_known in zip(names, known, strict=True) if is_known)
        return f"{keyword} {','.join(offered)}\n"

    return "".join(await asyncio.gather(*(line(*each) for each in PREFERRED.items())))


async def _is_strict(ask: Ask, bare: Sequence[str]) -> bool:
    """Whether it offers strict key exchange, without which ChaCha20 is open to CVE-2023-48795.

    Its version does not show it: distributions have added it to releases before 9.6.
    """
    return _STRICT_KEX in (await ask("-i", "-e", *bare, given=b"SSH-2.0-pairing\r\n")).stdout
