"""asyncio and hashlib without OpenSSL, where Python has hashes of its own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.forge import Forge, Reply, self_signed, server_context
from tests.measured import unmeasured

IMPORTS = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from pairingd.process import openssl
with openssl.left_out():
    import asyncio, hashlib, hmac, secrets
loaded = [name for name in ("ssl", "_ssl", "_hashlib") if sys.modules.get(name)]
print(*loaded, hashlib.sha256(b"").hexdigest()[:8])
"""
EMPTY = "e3b0c442"  # the beginning of the hash of nothing

FETCHES = """
import sys
from pairingd.process import openssl
with openssl.left_out():
    from pairingd import wiring
from pairingd.core.guest import Guest
from pairingd.process import event_loop
from pairingd.world.identity.forge import Forge
forge = Forge(connect_seconds=60, whole_seconds=60)
answer = event_loop.run(forge.get(Guest("github", "ann"), sys.argv[1]))
sys.stdout.buffer.write(answer.content)
"""


def loaded(*missing: str) -> list[str]:
    done = subprocess.run(  # what measures coverage imports OpenSSL first
        [sys.executable, "-c", IMPORTS, *missing],
        check=True,
        capture_output=True,
        text=True,
        env=unmeasured(),
    )
    assert not done.stderr
    *modules, digest = done.stdout.split()
    assert digest == EMPTY
    return modules


def test_neither_loads_it() -> None:
    assert loaded() == []


@pytest.mark.parametrize("missing", [("_sha2", "_sha256"), ("_md5",), ("_sha1",), ("_sha3",)])
def test_hashes_come_from_it_where_python_has_none(missing: tuple[str, ...]) -> None:
    assert loaded(*missing) == ["_hashlib"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
async def test_keys_are_fetched_over_tls_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Forge(tls=server_context(certificate)) as forge:
        forge.replies["/ann"] = Reply(b"the keys")
        fetching = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FETCHES, f"{forge.url}/ann", stdout=subprocess.PIPE
        )
        content, _ = await fetching.communicate()
    assert content == b"the keys"
