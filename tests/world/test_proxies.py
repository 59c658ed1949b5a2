"""The proxy that leads to a forge: which one, around which hosts, and who is blamed."""

from __future__ import annotations

import shutil
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.guest import parse_guest
from pairingd.errors import IdentityError
from pairingd.home.config import Provider
from pairingd.world.identity import IdentityProviders
from pairingd.world.identity.proxies import bypassed, proxy_for
from tests.core.test_keys import ed25519
from tests.fakes.forge import Forge, Reply, self_signed, server_context
from tests.fakes.proxy import Proxy
from tests.waiting import WAIT_S
from tests.world.test_identity import closed_port

ANN = parse_guest("ann", ("github",))
UNREADABLE = (
    "[::1]",
    "fe80::/10",
    "[::1]:8080",
    "[fd00::]/8",
    "[",
    "]",
    "::1]",
    "a:b:c",
    "*.",
    "%",
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.delenv(name, raising=False)


class TestNoProxy:
    @pytest.mark.parametrize(
        ("no_proxy", "host", "port"),
        [
            ("github.com", "github.com", 443),
            ("GitHub.com", "github.com", 443),
            (".github.com", "github.com", 443),
            ("example.org, github.com", "github.com", 443),
            ("example.org github.com", "github.com", 443),
            ("hub.example.org", "git.hub.example.org", 443),
            ("*.example.org", "git.example.org", 443),
            ("*", "github.com", 443),
            ("x,*", "github.com", 443),
            ("github.com:443", "github.com", 443),
            ("https://github.com", "github.com", 443),
            ("https://github.com/", "github.com", 443),
            ("192.0.2.0/24", "192.0.2.9", 443),
            ("192.0.2.9", "192.0.2.9", 443),
            ("192.0.2.9:8443", "192.0.2.9", 8443),
            ("[::1]", "::1", 443),
            ("::1", "::1", 443),
            ("0:0::1", "::1", 443),
            ("[::1]:8443", "::1", 8443),
            ("2001:db8::/32", "2001:db8::9", 443),
            ("[2001:db8::]/32", "2001:db8::9", 443),
            *((f"{entry},github.com", "github.com", 443) for entry in UNREADABLE),
        ],
    )
    def test_names_the_host(self, no_proxy: str, host: str, port: int) -> None:
        assert bypassed(no_proxy, host, port)

    @pytest.mark.parametrize(
        ("no_proxy", "host", "port"),
        [
            ("", "github.com", 443),
            (",", "github.com", 443),
            ("hub.com", "github.com", 443),
            ("api.github.com", "github.com", 443),
            ("github.com:8443", "github.com", 443),
            ("192.0.2.0/24", "192.0.3.9", 443),
            ("192.0.2.0/99", "192.0.2.9", 443),
            ("192.0.2.9:80", "192.0.2.9", 443),
            ("[::1]:80", "::1", 443),
            ("2001:db8::/32", "2001:db9::9", 443),
            ("2001:db8::/32", "192.0.2.9", 443),
            ("2.9", "192.0.2.9", 443),
            *((entry, "github.com", 443) for entry in UNREADABLE),
        ],
    )
    def test_does_not_name_it(self, no_proxy: str, host: str, port: int) -> None:
        assert not bypassed(no_proxy, host, port)

    @given(st.text(), st.sampled_from(["github.com", "192.0.2.9", "::1"]))
    def test_of_any_text_is_read(self, no_proxy: str, host: str) -> None:
        bypassed(no_proxy, host, 443)


class TestChoice:
    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ({"https_proxy": "http://a:1", "all_proxy": "socks5://b:2"}, "http://a:1"),
            ({"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "nonsense"}, "http://a:1"),
            ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "http://a:1"),
            ({"all_proxy": "http://b:2"}, "http://b:2"),
            ({"https_proxy": "a:1"}, "http://a:1"),
            ({"http_proxy": "http://c:3"}, None),
            ({"https_proxy": "http://a:1", "no_proxy": "github.com"}, None),
            ({"https_proxy": "", "all_proxy": ""}, None),
        ],
    )
    def test_is_the_variables(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        proxy = proxy_for("github.com", 443)
        assert (proxy and proxy.url) == expected

    def test_message_names_the_variable_and_no_password(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for url, expected in (
            ("http://ann:se%40cr@et@proxy:3128/", "the proxy http://proxy:3128 (HTTPS_PROXY)"),
            ("http://ann:secret@[::1]:3128", "the proxy http://[::1]:3128 (HTTPS_PROXY)"),
            ("http://ann:secret@\x1b[31m", "the proxy of HTTPS_PROXY"),
            ("ann:secret@proxy:3128", "the proxy http://proxy:3128 (HTTPS_PROXY)"),
        ):
            monkeypatch.setenv("HTTPS_PROXY", url)
            assert str(proxy_for("github.com", 443)) == expected


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
class TestFetch:
    @pytest.fixture
    async def forge(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forge]:
        certificate = self_signed(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with Forge(tls=server_context(certificate)) as forge:
            forge.replies["/ann.keys"] = Reply(ed25519())
            yield forge

    @pytest.fixture
    async def providers(self, forge: Forge) -> AsyncIterator[IdentityProviders]:
        providers = IdentityProviders({"github": Provider(keys_url=f"{forge.url}/{{name}}.keys")})
        yield providers
        await providers.aclose()

    async def test_goes_through_the_proxy(
        self, forge: Forge, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Proxy() as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            assert (await providers.keys(ANN)).keys
            assert proxy.targets == [forge.url.removeprefix("https://")]
            await providers.aclose()

    @pytest.mark.parametrize("entry", UNREADABLE)
    async def test_an_entry_of_no_proxy_that_matches_nothing_is_ignored(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch, entry: str
    ) -> None:
        monkeypatch.setenv("no_proxy", f"localhost,{entry}")
        assert (await providers.keys(ANN)).keys
        async with Proxy() as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            assert (await providers.keys(ANN)).keys
            assert len(proxy.targets) == 1
            await providers.aclose()

    async def test_goes_around_the_proxy_where_no_proxy_names_the_network(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port()}")
        monkeypatch.setenv("no_proxy", "[::1],127.0.0.0/8")
        assert (await providers.keys(ANN)).keys

    async def test_uses_https_proxy_whatever_all_proxy_is(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Proxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
            assert (await providers.keys(ANN)).keys
            assert len(proxy.targets) == 1
            await providers.aclose()

    async def test_sends_the_password_to_the_proxy_and_never_to_the_screen(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
            monkeypatch.setenv("https_proxy", f"http://ann:secret@{proxy.address}")
            error = await failure(providers)
            assert "Basic " in proxy.heads[0]
        assert "secret" not in error.message + error.hint
        assert error.message == (
            f"github:ann: the proxy http://{proxy.address} (https_proxy) answers: "
            "407 Proxy Authentication Required"
        )

    @pytest.mark.parametrize(
        "reply",
        [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"\r\n"],
    )
    async def test_reports_a_proxy_that_does_not_tunnel(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch, reply: bytes
    ) -> None:
        async with Proxy(reply) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            error = await failure(providers)
        assert f"the proxy {proxy.url} (https_proxy)" in error.message
        assert "https_proxy" in error.hint

    async def test_reports_a_dead_proxy_and_not_the_forge(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"http://127.0.0.1:{closed_port()}"
        monkeypatch.setenv("ALL_PROXY", url)
        error = await failure(providers)
        assert error.message == f"github:ann: the proxy {url} (ALL_PROXY): Connection refused"
        assert "ALL_PROXY" in error.hint

    async def test_reports_a_proxy_whose_name_does_not_resolve(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
        error = await failure(providers)
        assert error.message == (
            "github:ann: the proxy http://proxy.invalid:3128 (https_proxy): "
            "its name could not be resolved"
        )

    async def test_reports_a_proxy_that_sends_no_reply(
        self, forge: Forge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        github = {"github": Provider(keys_url=f"{forge.url}/{{name}}.keys")}
        providers = IdentityProviders(github, connect_seconds=WAIT_S, whole_seconds=1)
        async with Proxy(b"") as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            error = await failure(providers)
            await providers.aclose()
        assert f"the proxy {proxy.url} (https_proxy) sent no complete reply" in error.message

    async def test_reports_the_forge_behind_a_proxy_that_works(
        self, forge: Forge, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forge.replies["/ann.keys"] = Reply(raw=b"")
        async with Proxy() as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            error = await failure(providers)
            await providers.aclose()
        assert "proxy" not in error.message
        assert error.message.startswith("github:ann: 127.0.0.1: ")

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("socks5://127.0.0.1:1080", "speaks SOCKS, which needs the Python package socksio"),
            ("socks5h://127.0.0.1:1080", "speaks SOCKS, which needs the Python package socksio"),
            ("socks4://127.0.0.1:1080", "is not an http:// or https:// proxy"),
            ("socks://127.0.0.1:1080", "is not an http:// or https:// proxy"),
            ("http://[::1", "its address is not http://[NAME:PASSWORD@]HOST:PORT"),
            ("http://127.0.0.1:x", "its address is not http://[NAME:PASSWORD@]HOST:PORT"),
            ("http://127.0.0.1:99999", "its address is not http://[NAME:PASSWORD@]HOST:PORT"),
            (
                "http://ann:se#cret@127.0.0.1:3128",
                "its address is not http://[NAME:PASSWORD@]HOST:PORT",
            ),
            (
                "http://ann:se/cret@127.0.0.1:3128",
                "its address is not http://[NAME:PASSWORD@]HOST:PORT",
            ),
        ],
    )
    async def test_names_a_proxy_that_cannot_be_used_in_a_whole_sentence(
        self, providers: IdentityProviders, monkeypatch: pytest.MonkeyPatch, url: str, expected: str
    ) -> None:
        monkeypatch.setenv("all_proxy", url)
        error = await failure(providers)
        assert "all_proxy" in error.message
        assert error.message.endswith(expected)
        assert "cret" not in f"{error.message}{error.hint}"
        # Where https_proxy is set, it counts.
        assert ("https_proxy" if "SOCKS" in expected else "all_proxy") in error.hint


async def failure(providers: IdentityProviders) -> IdentityError:
    with pytest.raises(IdentityError) as caught:
        await providers.keys(ANN)
    assert caught.value.code == "forge-unreachable"
    return caught.value


class TestSystemSettings:
    """Only on macOS does urllib have its functions: these stand for what the system says."""

    @pytest.fixture(autouse=True)
    def settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if sys.platform == "darwin":
            pytest.skip("System Settings are this machine's own")
        proxies = {"http": "http://c:3", "https": "http://10.0.0.1:3128"}
        monkeypatch.setattr(urllib.request, "getproxies", lambda: proxies)
        monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: host == "intern")

    def test_are_named_as_such(self) -> None:
        proxy = proxy_for("github.com", 443)
        assert proxy
        assert str(proxy) == ("the proxy http://10.0.0.1:3128 (System Settings, Network, Proxies)")
        assert "System Settings" in proxy.remedy
        assert "unset" not in proxy.remedy

    def test_exceptions_count(self) -> None:
        assert proxy_for("intern", 443) is None

    def test_are_ignored_if_any_variable_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "x")
        assert proxy_for("github.com", 443) is None
