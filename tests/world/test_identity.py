"""Guests' keys come from forges that may be slow, hostile or not there."""

from __future__ import annotations

import asyncio
import email.utils
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.guest import Guest, parse_guest
from pairingd.errors import IdentityError
from pairingd.home.config import Provider
from pairingd.world.identity import (
    MAX_BYTES,
    MAX_REDIRECTS,
    IdentityProviders,
    key_file,
    retry_after,
)
from tests.core.test_keys import ed25519, line, mpint, rsa
from tests.fakes.forge import (
    Forge,
    Reply,
    drip,
    endless,
    meeting,
    self_signed,
    server_context,
    silence,
)

GENEROUS = 30.0  # seconds, where a limit is not what is tested
SOON = 0.2
AT_9, AT_99, AT_200 = (email.utils.formatdate(at, usegmt=True) for at in (9, 99, 1_000_200))


@pytest.fixture
async def forge() -> AsyncIterator[Forge]:
    async with Forge() as forge:
        yield forge


@pytest.fixture
async def providers(forge: Forge) -> AsyncIterator[IdentityProviders]:
    providers = providers_of(forge)
    yield providers
    await providers.aclose()


def providers_of(forge: Forge, *, whole_seconds: float = GENEROUS) -> IdentityProviders:
    forges = {name: Provider(keys_url=f"{forge.url}/{{name}}.keys") for name in ("github", "work")}
    return IdentityProviders(forges, connect_seconds=GENEROUS, whole_seconds=whole_seconds)


def guest(text: str = "ann") -> Guest:
    return parse_guest(text, ("github", "work"))


async def failure(providers: IdentityProviders, who: Guest | None = None) -> IdentityError:
    """What `keys` raises; its texts are one printable line each and name the guest."""
    who = who or guest()
    with pytest.raises(IdentityError) as caught:
        await providers.keys(who)
    error = caught.value
    assert error.message.startswith(f"{who}: ")
    assert error.hint
    assert (error.message + error.hint).isprintable()
    return error


class TestForge:
    async def test_gives_keys(self, forge: Forge, providers: IdentityProviders) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519(1, "one") + b"\n" + ed25519(2) + b"\n")
        fetched = await providers.keys(guest())
        assert [key.comment for key in fetched.keys] == ["one", ""]
        assert not fetched.warnings

    async def test_of_the_configuration_is_asked_at_its_own_url(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/bob.keys"] = Reply(ed25519())
        await providers.keys(guest("work:bob"))
        assert [request.path for request in forge.requests] == ["/bob.keys"]

    async def test_is_asked_over_one_connection_kept_alive(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519())
        for _ in range(3):
            await providers.keys(guest())
        assert len(forge.requests) == 3
        assert forge.connections == 1

    async def test_is_asked_again_after_a_close(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519())
        await providers.keys(guest())
        await providers.aclose()
        await providers.keys(guest())
        assert forge.connections == 2

    async def test_gets_no_cookie_back(self, forge: Forge, providers: IdentityProviders) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519(), headers={"Set-Cookie": "id=1; Path=/"})
        for _ in range(2):
            await providers.keys(guest())
        assert not any("cookie" in request.headers for request in forge.requests)

    async def test_on_loopback_is_never_asked_through_a_proxy(
        self, forge: Forge, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
        forge.replies["/ann.keys"] = Reply(ed25519())
        assert (await providers.keys(guest())).keys

    async def test_that_knows_no_such_user(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        for status in (404, 410):
            forge.replies["/ann.keys"] = Reply(b"Not Found", status)
            for who in (guest(), guest(f"{forge.url}/ann.keys")):
                assert (await failure(providers, who)).code == "no-such-user"

    async def test_whose_user_has_no_keys(self, forge: Forge, providers: IdentityProviders) -> None:
        for body in (b"", b"\n", b"# nothing yet\n"):
            forge.replies["/ann.keys"] = Reply(body)
            assert (await failure(providers)).code == "no-keys"

    async def test_whose_user_has_only_unacceptable_keys_tells_why_of_each(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(rsa(1024) + b"\n" + line("ssh-dss", mpint(7)))
        error = await failure(providers)
        assert error.code == "no-acceptable-keys"
        assert "line 1: an RSA key of 1024 bits" in error.message
        assert "line 2: a DSA key" in error.message

    async def test_with_very_many_unacceptable_keys_gives_a_short_message(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply((rsa(1024) + b"\n") * 50)
        error = await failure(providers)
        assert error.message.endswith("; and 45 more")

    async def test_that_answers_with_an_html_page(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        page = b"\n<!DOCTYPE html><html><body>\n" + ed25519() + b"\n</body></html>"
        forge.replies["/ann.keys"] = Reply(page, headers={"Content-Type": "text/html"})
        assert (await failure(providers)).code == "not-a-key-list"

    @pytest.mark.parametrize(
        ("body", "form"),
        [
            (b'[{"key": "ssh-ed25519 AAAA"}]', "JSON"),
            (b"hello\nworld", "something else"),
            (b"\x00\xff" * 1000, "something else"),
        ],
    )
    async def test_that_answers_with_no_key_list(
        self, forge: Forge, providers: IdentityProviders, body: bytes, form: str
    ) -> None:
        forge.replies["/ann.keys"] = Reply(body)
        error = await failure(providers)
        assert error.code == "not-a-key-list"
        assert error.message.endswith(f"not a list of public keys but {form}")

    async def test_that_compresses_unasked(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        assert (await failure(providers)).code == "not-a-key-list"
        assert forge.requests[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("name", ["", "Identity"])
    async def test_that_names_no_compression(
        self, forge: Forge, providers: IdentityProviders, name: str
    ) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519(), headers={"Content-Encoding": name})
        assert (await providers.keys(guest())).keys

    @pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 451])
    async def test_that_refuses(
        self, forge: Forge, providers: IdentityProviders, status: int
    ) -> None:
        forge.replies["/ann.keys"] = Reply(status=status, headers={"Content-Length": "0"})
        error = await failure(providers)
        assert error.code == "forge-refused"
        assert str(status) in error.message


class TestRateLimit:
    @pytest.mark.parametrize(
        ("status", "headers"),
        [
            (429, {"Retry-After": "90"}),
            (403, {"Retry-After": "90"}),
            (403, {"X-RateLimit-Remaining": "0", "Retry-After": "90"}),
        ],
    )
    async def test_is_reported_with_the_time_to_wait(
        self,
        forge: Forge,
        providers: IdentityProviders,
        status: int,
        headers: dict[str, str],
    ) -> None:
        forge.replies["/ann.keys"] = Reply(status=status, headers=headers)
        error = await failure(providers)
        assert error.code == "rate-limited"
        assert error.data == {"retry_after": 90}
        assert "try again in 1m30s" in error.hint

    async def test_without_a_time_is_reported_too(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(status=429)
        error = await failure(providers)
        assert error.code == "rate-limited"
        assert "retry_after" not in error.data

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "0"}, 1),
            ({"Retry-After": "90"}, 90),
            ({"Retry-After": "999999999999"}, 7 * 86400),
            ({"Retry-After": "-5"}, None),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "9" * 5000}, None),
            ({"Retry-After": email.utils.formatdate(1_000_060, usegmt=True)}, 60),
            ({"Retry-After": email.utils.formatdate(1, usegmt=True)}, 1),
            ({"X-RateLimit-Reset": "1000300"}, 300),
            ({"X-RateLimit-Reset": "tomorrow"}, None),
            ({"X-RateLimit-Reset": "1000300", "Retry-After": "7"}, 7),
            ({"X-RateLimit-Reset": "1000300", "Retry-After": "soon"}, 300),
            ({"X-RateLimit-Reset": "1000300", "Date": AT_200}, 100),
            ({"Retry-After": AT_99, "Date": AT_9}, 90),
            ({}, None),
        ],
    )
    def test_time_is_read(self, headers: dict[str, str], seconds: int | None) -> None:
        assert retry_after(headers, now=1_000_000) == seconds

    @given(st.text())
    def test_time_of_any_text_is_sane(self, text: str) -> None:
        seconds = retry_after({"Retry-After": text}, now=1_000_000)
        assert seconds is None or 1 <= seconds <= 7 * 86400


class TestUnreachable:
    async def test_port_closed(self) -> None:
        providers = IdentityProviders({})
        error = await failure(providers, guest(f"http://127.0.0.1:{closed_port()}/ann"))
        assert error.code == "forge-unreachable"
        assert "127.0.0.1: Connection refused" in error.message
        await providers.aclose()

    async def test_name_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forget_proxies(monkeypatch)
        providers = IdentityProviders({})
        error = await failure(providers, guest("https://a..b.invalid/ann"))
        assert error.code == "forge-unreachable"
        assert error.message.endswith(": the name could not be resolved")
        await providers.aclose()

    @pytest.mark.parametrize(
        "url",
        [
            "https://999.1.1.1/{name}",
            "https://127.0.0.1:99999/{name}",
            "https://xn--0.invalid/{name}",
            "https://[::1/{name}",
        ],
    )
    async def test_url_that_cannot_be_resolved(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forget_proxies(monkeypatch)
        providers = IdentityProviders({"work": Provider(keys_url=url)})
        error = await failure(providers, guest("work:ann"))
        assert error.code == "forge-unreachable"
        where = url.replace("{name}", "ann")
        expected = f"work:ann: cannot fetch {where}: the name could not be resolved"
        assert error.message == expected
        await providers.aclose()

    async def test_no_connection_in_time(
        self, forge: Forge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A plain server leaves a TLS handshake unanswered; that is part of connecting."""
        forget_proxies(monkeypatch)
        providers = IdentityProviders({}, connect_seconds=SOON, whole_seconds=GENEROUS)
        error = await failure(providers, guest(f"{forge.url.replace('http:', 'https:')}/ann"))
        assert error.code == "forge-unreachable"
        assert "no connection to 127.0.0.1 within 0.2 s" in error.message
        await providers.aclose()

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_server_error(
        self, forge: Forge, providers: IdentityProviders, status: int
    ) -> None:
        forge.replies["/ann.keys"] = Reply(status=status)
        error = await failure(providers)
        assert (error.code, error.data) == ("forge-unreachable", {})
        forge.replies["/ann.keys"] = Reply(status=status, headers={"Retry-After": "90"})
        error = await failure(providers)
        assert (error.code, error.data) == ("forge-unreachable", {"retry_after": 90})
        assert error.hint.startswith("try again in 1m30s")

    @pytest.mark.attack("a forge drips its answer, or says nothing", "given up after ten seconds")
    @pytest.mark.parametrize("stream", [drip, silence])
    async def test_answer_that_takes_too_long(
        self, forge: Forge, stream: Callable[[], AsyncIterator[bytes]]
    ) -> None:
        forge.replies["/ann.keys"] = Reply(stream)
        providers = providers_of(forge, whole_seconds=SOON)
        error = await failure(providers)
        assert error.code == "forge-unreachable"
        assert "within 0.2 s" in error.message
        await providers.aclose()

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x1b[31mrubbish\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nssh-",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ],
        ids=["nothing", "rubbish", "ssh", "cut short", "endless header", "bad chunk"],
    )
    async def test_answer_that_is_not_http(
        self, forge: Forge, providers: IdentityProviders, raw: bytes
    ) -> None:
        forge.replies["/ann.keys"] = Reply(raw=raw)
        error = await failure(providers)
        assert error.code == "forge-unreachable"
        assert "bytearray" not in error.message

    async def test_answer_that_is_not_http_is_quoted(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        assert "illegal status line: SSH-2.0-OpenSSH_9.2" in (await failure(providers)).message

    async def test_proxy_that_cannot_be_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "nonsense://127.0.0.1")
        error = await failure(IdentityProviders({}), guest("https://example.invalid/ann"))
        assert error.code == "forge-unreachable"
        assert "HTTPS_PROXY" in error.hint


class TestTooLong:
    async def test_body_with_a_length(self, forge: Forge, providers: IdentityProviders) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519() + b"\n" + b"#" * MAX_BYTES)
        assert (await failure(providers)).code == "key-list-too-long"

    @pytest.mark.attack("a forge answers without an end", "given up at 256 KiB")
    async def test_body_without_end(self, forge: Forge, providers: IdentityProviders) -> None:
        forge.replies["/ann.keys"] = Reply(endless)
        assert (await failure(providers)).code == "key-list-too-long"

    async def test_body_just_within_is_read(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        body = ed25519() + b"\n#"
        forge.replies["/ann.keys"] = Reply(body.ljust(MAX_BYTES, b"#"))
        assert (await providers.keys(guest())).keys


class TestRedirect:
    async def test_on_loopback_is_followed_to_its_limit(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        redirect(forge, "/ann.keys", "/1")
        for hop in range(1, MAX_REDIRECTS):
            redirect(forge, f"/{hop}", f"/{hop + 1}")
        forge.replies[f"/{MAX_REDIRECTS}"] = Reply(ed25519())
        assert (await providers.keys(guest())).keys

    async def test_in_a_circle_ends(self, forge: Forge, providers: IdentityProviders) -> None:
        redirect(forge, "/ann.keys", "/ann.keys")
        assert (await failure(providers)).code == "bad-redirect"
        assert len(forge.requests) == MAX_REDIRECTS + 1

    @pytest.mark.attack("a forge redirects from https or loopback to plain http", "not followed")
    @pytest.mark.parametrize(
        "location",
        [
            "http://example.invalid/",
            "http://192.0.2.1/",
            "http://0.0.0.0/",
            "https://127.0.0.1/",
            "//example.invalid/x",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "http://user@example.invalid/",
            "http://127.0.0.1:0/",
        ],
    )
    async def test_off_loopback_http_is_not_followed(
        self, forge: Forge, providers: IdentityProviders, location: str
    ) -> None:
        redirect(forge, "/ann.keys", location)
        assert (await failure(providers)).code == "bad-redirect"
        assert len(forge.requests) == 1

    @pytest.mark.parametrize(
        "location",
        [
            "",
            "http://[",
            "x://[",
            ":x://]",
            "http://\x7f/",
            "javascript:alert(1)",
            f"https://xn--{'a' * 300}.org/",
            f"http://127.0.0.1/{'a' * 70000}",
            "http://127.0.0.1:99999/",
            "http://999.1.1.1/",
            "http://xn--0.invalid/",
        ],
    )
    async def test_to_no_url_is_an_error_too(
        self, forge: Forge, providers: IdentityProviders, location: str
    ) -> None:
        redirect(forge, "/ann.keys", location)
        assert (await failure(providers)).code == "bad-redirect"

    async def test_status_without_a_location_is_no_redirect(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(status=302)
        assert (await failure(providers)).code == "forge-refused"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
class TestOverTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        return self_signed(tmp_path)

    @pytest.fixture
    async def tls_forge(
        self, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Forge]:
        forget_proxies(monkeypatch)
        async with Forge(tls=server_context(certificate)) as forge:
            yield forge

    @pytest.fixture
    async def tls_providers(
        self, tls_forge: Forge, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[IdentityProviders]:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        providers = providers_of(tls_forge)
        yield providers
        await providers.aclose()

    async def test_keys_are_fetched_and_redirects_to_https_followed(
        self, tls_forge: Forge, tls_providers: IdentityProviders
    ) -> None:
        redirect(tls_forge, "/ann.keys", f"{tls_forge.url}/moved")
        tls_forge.replies["/moved"] = Reply(ed25519())
        assert (await tls_providers.keys(guest())).keys

    async def test_a_redirect_to_plain_http_is_not_followed_even_to_loopback(
        self, forge: Forge, tls_forge: Forge, tls_providers: IdentityProviders
    ) -> None:
        redirect(tls_forge, "/ann.keys", f"{forge.url}/ann.keys")
        forge.replies["/ann.keys"] = Reply(ed25519())
        assert (await failure(tls_providers)).code == "bad-redirect"
        assert not forge.requests

    @pytest.mark.attack(
        "somebody answers in a forge's place with a certificate of their own", "not trusted"
    )
    async def test_an_unknown_certificate_is_not_trusted(self, tls_forge: Forge) -> None:
        tls_forge.replies["/ann.keys"] = Reply(ed25519())
        providers = providers_of(tls_forge)
        error = await failure(providers)
        assert error.code == "forge-unreachable"
        assert "TLS with 127.0.0.1 failed" in error.message
        assert not tls_forge.requests
        await providers.aclose()


class TestFile:
    async def test_gives_keys_and_no_network_is_needed(self, tmp_path: Path) -> None:
        path = tmp_path / "my key.pub"
        path.write_bytes(ed25519(1, "ann"))
        fetched = await IdentityProviders({}).keys(guest(f"file:{path}"))
        assert [key.comment for key in fetched.keys] == ["ann"]

    async def test_absent(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for path in (tmp_path / "absent", tmp_path / "file" / "below"):
            assert (await failure(IdentityProviders({}), guest(f"file:{path}"))).code == (
                "no-such-file"
            )

    async def test_that_is_no_regular_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
            error = await failure(IdentityProviders({}), guest(f"file:{path}"))
            assert error.code == "unreadable-file"

    async def test_that_holds_nothing_to_read_now(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """As /proc/kmsg is, which takes root, and messages of the kernel from whoever reads it."""
        ours, theirs = os.pipe()
        monkeypatch.setattr(key_file, "_open_without_waiting", lambda *_: ours)
        os.set_blocking(ours, False)
        error = await failure(IdentityProviders({}), guest(f"file:{tmp_path}"))
        assert error.code == "unreadable-file"
        os.close(theirs)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    async def test_that_may_not_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.touch(mode=0)
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "unreadable-file"

    async def test_too_long(self, tmp_path: Path) -> None:
        path = tmp_path / "long"
        path.write_bytes(b"#" * (MAX_BYTES + 1))
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "key-list-too-long"

    async def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty"
        path.touch()
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "no-keys"
        assert error.message == f"file:{path}: the file holds no SSH key"

    @pytest.mark.parametrize("bom", [True, False], ids=["BOM", "no BOM"])
    @pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
    async def test_in_another_encoding_is_named_with_the_command_that_converts_it(
        self, tmp_path: Path, codec: str, bom: bool
    ) -> None:
        path = tmp_path / "my keys.pub"
        text = f"# mine\r\n{ed25519(1, 'ann').decode()}\r\n{ed25519(2).decode()}\r\n"
        path.write_bytes(("\ufeff" * bom + text).encode(codec))
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "not-a-key-list"
        assert f"text in {codec[:6].upper()}" in error.message
        converted = await run_hint(error.hint, tmp_path)
        fetched = await IdentityProviders({}).keys(guest(f"file:{converted}"))
        assert [key.comment for key in fetched.keys] == ["ann", ""]

    @pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize(
        ("form", "option"), [("RFC4716", ""), ("PEM", " -m PEM"), ("PKCS8", " -m PKCS8")]
    )
    async def test_in_another_format_is_named_with_the_command_that_converts_it(
        self, tmp_path: Path, rsa_key: Path, form: str, option: str, bom: bytes
    ) -> None:
        path = tmp_path / "it's.pub"
        path.write_bytes(bom + ssh_keygen("-e", "-m", form, "-f", f"{rsa_key}.pub"))
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "not-a-key-list"
        assert f"ssh-keygen -i{option} -f " in error.hint
        converted = await run_hint(error.hint, tmp_path)
        fetched = await IdentityProviders({}).keys(guest(f"file:{converted}"))
        assert fetched.keys[0].bits == 3072

    @pytest.mark.parametrize(
        ("content", "name"),
        [
            (b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "PuTTY (.ppk)"),
            (b"PuTTY-User-Key-File-2: ssh-rsa\r\nComment: x\r\n", "PuTTY (.ppk)"),
            (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAA\n", "a private key"),
            (b"-----BEGIN RSA PRIVATE KEY-----\nAA\n", "a private key"),
            (b"-----BEGIN CERTIFICATE-----\nAA\n", "an X.509 certificate"),
            (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nAA\n", "an OpenPGP key"),
            (b"256 SHA256:" + b"A" * 43 + b" ann (ED25519)\n", "a fingerprint"),
            (
                b"{\\rtf1\\ansi\\cocoartf2639\n\\f0\\fs24 \\cf0 " + ed25519() + b"}",
                "text in RTF",
            ),
        ],
    )
    async def test_of_something_else_is_named(
        self, tmp_path: Path, content: bytes, name: str
    ) -> None:
        path = tmp_path / "id"
        path.write_bytes(content)
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "not-a-key-list"
        assert name in error.message
        assert "{" not in error.hint

    async def test_of_known_hosts_hints_at_a_public_key(self, tmp_path: Path) -> None:
        path = tmp_path / "known_hosts"
        path.write_bytes(b"github.com " + ed25519())
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "no-acceptable-keys"
        assert error.message.endswith("line 1: a line of known_hosts, with a host's key")
        assert "as a .pub file does" in error.hint

    async def test_of_a_private_key_is_named_as_that(self, tmp_path: Path) -> None:
        path = tmp_path / "id"
        path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
        error = await failure(IdentityProviders({}), guest(f"file:{path}"))
        assert error.code == "not-a-key-list"
        assert "a private key" in error.message


class TestKey:
    async def test_is_its_own_list(self) -> None:
        text = ed25519(1, "ann").decode()
        fetched = await IdentityProviders({}).keys(guest(f"key:{text}"))
        assert [key.comment for key in fetched.keys] == ["ann"]


class TestWarnings:
    async def test_report_a_weak_key(self) -> None:
        fetched = await IdentityProviders({}).keys(guest(f"key:{rsa(2048).decode()}"))
        (warning,) = fetched.warnings
        assert warning.code == "weak-key"
        assert "2048 bits" in warning.message

    async def test_report_refused_lines_beside_accepted_ones(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519() + b"\n" + rsa(1024))
        fetched = await providers.keys(guest())
        (warning,) = fetched.warnings
        assert len(fetched.keys) == 1
        assert warning.code == "refused-keys"
        assert "line 2: an RSA key of 1024 bits" in warning.message


class TestClock:
    @pytest.mark.parametrize(
        ("seconds", "headers", "expected"),
        [
            (-7200, {}, "2h fast"),
            (7200, {}, "2h slow"),
            (90000, {}, "1d1h slow"),
            (-7200, {"Age": "7200"}, None),
            (-20, {}, None),
            (0, {"Date": "yesterday"}, None),
            (0, {"Date": ""}, None),
        ],
    )
    async def test_that_differs_from_the_forges_gets_a_warning(
        self,
        forge: Forge,
        providers: IdentityProviders,
        seconds: int,
        headers: dict[str, str],
        expected: str | None,
    ) -> None:
        date = email.utils.formatdate(time.time() + seconds, usegmt=True)
        forge.replies["/ann.keys"] = Reply(ed25519(), headers={"Date": date} | headers)
        warnings = (await providers.keys(guest())).warnings
        assert [warning.code for warning in warnings] == (["clock-wrong"] if expected else [])
        assert not expected or expected in warnings[0].message

    async def test_is_compared_in_an_error_too(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        date = email.utils.formatdate(time.time() - 7200, usegmt=True)
        forge.replies["/ann.keys"] = Reply(status=404, headers={"Date": date})
        await failure(providers)
        assert providers.forge.clock_offset == pytest.approx(7200, abs=60)


class TestFetchAll:
    async def test_asks_for_all_at_the_same_time_and_keeps_their_order(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        together = meeting(3, ed25519())
        guests = [guest(name) for name in ("cat", "ann", "bob")]
        for each in guests:
            forge.replies[f"/{each.name}.keys"] = Reply(together)
        assert list(await providers.fetch_all(guests)) == guests

    async def test_gives_all_or_nothing_and_does_not_wait_for_the_rest(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/slow.keys"] = Reply(silence)
        forge.replies["/good.keys"] = Reply(ed25519())
        with pytest.raises(IdentityError) as caught:
            await providers.fetch_all([guest("slow"), guest("good"), guest("bad")])
        assert caught.value.code == "no-such-user"
        assert "github:bad" in caught.value.message

    async def test_asks_once_for_a_guest_named_twice(
        self, forge: Forge, providers: IdentityProviders
    ) -> None:
        forge.replies["/ann.keys"] = Reply(ed25519())
        assert len(await providers.fetch_all([guest(), guest()])) == 1
        assert len(forge.requests) == 1

    async def test_can_be_cancelled(self, forge: Forge, providers: IdentityProviders) -> None:
        asked = asyncio.Event()

        async def silent() -> AsyncIterator[bytes]:
            asked.set()
            await asyncio.Event().wait()
            yield b""

        forge.replies["/ann.keys"] = Reply(silent)
        task = asyncio.create_task(providers.fetch_all([guest()]))
        await asyncio.wait_for(asked.wait(), GENEROUS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_httpx_is_not_imported_before_it_is_needed() -> None:
    code = "import pairingd.world.identity, sys; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def rsa_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To find one takes a second and a half."""
    key = tmp_path_factory.mktemp("rsa") / "id"
    ssh_keygen("-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", str(key))
    return key


def ssh_keygen(*arguments: str) -> bytes:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True).stdout


async def run_hint(hint: str, directory: Path) -> Path:
    """What the command in `hint` made, run as it is printed."""
    command = hint.removeprefix("convert it: ").partition(", and")[0]
    done = await asyncio.create_subprocess_shell(command, cwd=directory)
    assert await done.wait() == 0
    return directory / "converted.pub"


def redirect(forge: Forge, path: str, location: str) -> None:
    forge.replies[path] = Reply(status=302, headers={"Location": location})


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def forget_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
