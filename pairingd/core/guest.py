"""Parse what people type for a guest into an identity.

    octocat                github:octocat
    gitlab:name            any provider of the configuration
    https://host/path      the URL itself (plain http:// only to loopback)
    file:/path             an absolute path on the host
    key:ssh-ed25519 AAAA…  key:SHA256:…, the fingerprint

Nothing else gets into a URL or a file name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from pairingd.core.addresses import ip_version, parse_address
from pairingd.core.key_formats import several_keys, visible
from pairingd.core.keys import ANOTHER_KEY, NotAccepted, WrongKind, parse_key, type_of
from pairingd.core.model import Key
from pairingd.core.news import distinct_part, short_name
from pairingd.core.ports import MAX_PORT
from pairingd.core.refusal import Refused
from pairingd.core.text import QUOTES, quoted, shell

DEFAULT_PROVIDER = "github"
URL_PROVIDERS = frozenset({"http", "https"})
MAX_GUESTS = 32  # in one request
MAX_URL = 2048
MAX_PATH = 1024  # PATH_MAX of macOS, the smaller one

# "/", "%", "?" and "#" must never be allowed here: the name goes into the provider's URL.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_MAX_NAME_CHARS = {"github": 39}
_MAX_OTHER_NAME_CHARS = 64

# RFC 3986, without user information (an identity must hold no secret) and fragment.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:[/?][a-z0-9._~!$&'()*+,;=:@%/?-]*)?)",
    re.ASCII | re.IGNORECASE,
)
# The hosts of account pages, by provider.
_FORGES = {
    **dict.fromkeys(("github.com", "www.github.com"), "github"),
    **dict.fromkeys(("gitlab.com", "www.gitlab.com"), "gitlab"),
    "codeberg.org": "codeberg",
    **dict.fromkeys(("sr.ht", "git.sr.ht", "meta.sr.ht"), "sourcehut"),
}
_PAGE = re.compile(
    r"(?P<scheme>https?://)?(?P<host>[a-z.]+)/(?P<name>[@~]?[^/?#]+)/?(?P<rest>.*)",
    re.ASCII | re.IGNORECASE,
)
_PASTED_KEY = re.compile(
    r"(?:^|\s)(?P<type>(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+\s+)?(?P<blob>AAAA[0-9A-Za-z+/=]*)",
    re.ASCII,
)

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Guest(Struct, frozen=True):
    """`str()` is the identity. A URL is its own name; only a `key:` guest has a `key`."""

    provider: str
    name: str
    key: Key | None = None

    def __str__(self) -> str:
        return self.name if self.provider in URL_PROVIDERS else f"{self.provider}:{self.name}"


def few(texts: Sequence[str]) -> Sequence[str]:
    """Return them unchanged. Raises Refused `too-many-guests` for more than MAX_GUESTS."""
    if len(texts) > MAX_GUESTS:
        raise Refused(
            "too-many-guests",
            f"{len(texts)} guests at once; the limit is {MAX_GUESTS}",
            "use several commands",
        )
    return texts


def expand(texts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Replace each group `@NAME` by its members. If config.toml has no groups, `@NAME` is an
    account, as on forges.

    Raises Refused `no-such-group`.
    """
    expanded: list[str] = []
    for text in texts:
        name = text.removeprefix("@")
        if name == text or not groups:
            expanded.append(name)
        elif name in groups:
            expanded += groups[name]
        else:
            known = ", ".join(f"@{group}" for group in sorted(groups))
            raise Refused(
                "no-such-group",
                f"config.toml has no group {quoted(name)}",
                f"its groups are {known}; for an account leave the @ out",
            )
    return expanded


def parse_guests(texts: Sequence[str], providers: Collection[str]) -> list[Guest]:
    """Return each guest once, in its first form. Raises Refused as `few` and `parse_guest` do."""
    guests: dict[str, Guest] = {}
    for text in few(texts):
        guest = parse_guest(text, providers)
        guests.setdefault(canonical(str(guest)), guest)
    return list(guests.values())


def parse_guest(text: str, providers: Collection[str]) -> Guest:
    """Return the guest that `text` names.

    Raises Refused `bad-guest`, `unknown-provider`, or for a literal key `no-acceptable-keys`.
    """
    if text[:4].lower() == "key:":  # as `$(cat id.pub)` has them, with a tab or Windows' line end
        text = f"key:{visible(text[4:])}".replace("\t", " ")
    if not text.isprintable():
        raise _bad_guest(text, "has characters that cannot be printed")
    text = _account(text, providers)
    prefix, colon, rest = text.partition(":")
    provider = prefix.lower() if colon else DEFAULT_PROVIDER
    if provider == "key":
        return _by_key(text, rest)
    if provider == "file":
        return _by_path(text, rest)
    if provider in URL_PROVIDERS:
        return _by_url(text)
    if provider not in providers:
        raise _unknown_provider(text, prefix, providers)
    name = (rest if colon else text).removeprefix("@")
    if not colon and name.endswith(".pub"):
        raise _bad_guest(text, "is a file's name")
    if provider == "sourcehut":
        name = name.removeprefix("~")
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME_CHARS.get(
        provider, _MAX_OTHER_NAME_CHARS
    ):
        raise _bad_guest(text, f"cannot be an account's name on {provider}")
    return Guest(provider, name)


def _account(text: str, providers: Collection[str]) -> str:
    """Return `github:octocat` for `https://github.com/octocat`; a URL of keys stays as it is."""
    page = _PAGE.fullmatch(text)
    provider = _FORGES.get(page["host"].lower(), "") if page else ""
    if not page or provider not in providers:
        return text
    if page["rest"] or (page["scheme"] and page["name"].endswith(".keys")):
        return text
    return f"{provider}:{page['name'].removesuffix('.keys')}"


@lru_cache(maxsize=2048)  # each verb compares the guests of all live invitations
def canonical(identity: str) -> str:
    """Equal for two identities of one guest: on forges the case of a name does not count."""
    provider = identity.partition(":")[0]
    return identity if provider in {"key", "file", *URL_PROVIDERS} else identity.casefold()


def matches(query: str, identity: str) -> bool:
    """Whether `query` names that guest: by identity, by name alone, or by the key itself."""
    return canonical(identity) in _named_by(query, identity.partition(":")[0])


@lru_cache(maxsize=16)  # most guests have the same provider
def _named_by(query: str, provider: str) -> frozenset[str]:
    return frozenset(_identity(text, provider) for text in (query, f"{provider}:{query}"))


def find(query: str, identities: Sequence[str]) -> str:
    """Return the identity that `query` names. Raises Refused `no-such-guest`, `ambiguous-guest`."""
    matching = [identity for identity in identities if matches(query, identity)]
    matching = matching or [identity for identity in identities if _is_shown_as(query, identity)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise Refused(
            "ambiguous-guest",
            f"{quoted(query)} matches {len(matching)} guests: {', '.join(matching)}",
            f"name one in full: {', '.join(matching)}",
        )
    raise Refused("no-such-guest", f"no live guest is called {quoted(query)}", _who(identities))


def _is_shown_as(query: str, identity: str) -> bool:
    """Whether it is that guest's name in a status line, cropped or not."""
    shown = {short_name(identity, len(query)), distinct_part(identity)}
    return query != "…" and query in shown


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, without a DNS query."""
    address = parse_address(host.strip("[]"))
    return address.is_loopback if address else host.lower() == "localhost"


def _by_key(text: str, line: str) -> Guest:
    try:
        key = parse_key(line.strip())
    except WrongKind as error:
        raise Refused(
            "no-acceptable-keys", f"{quoted(text)} is {error.reason}", ANOTHER_KEY
        ) from None
    except NotAccepted as error:
        raise _bad_guest(text, f"holds no usable key: {error.reason}") from None
    return Guest("key", key.fingerprint, key)


def _by_path(text: str, path: str) -> Guest:
    if not path.startswith("/") or len(path.encode()) > MAX_PATH:
        raise _bad_guest(text, f"is not an absolute path of at most {MAX_PATH} bytes")
    return Guest("file", path)


def _by_url(text: str) -> Guest:
    url = _URL.fullmatch(text)
    if not url or len(text) > MAX_URL:
        raise _bad_guest(text, "is not a URL of ASCII characters with neither @host nor #fragment")
    scheme, host = url["scheme"].lower(), url["host"].lower()
    port = int(url["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port <= MAX_PORT or (host.startswith("[") and ip_version(host.strip("[]")) != 6):
        raise _bad_guest(text, "has a malformed address or port")
    if scheme == "http" and not is_loopback(host):
        raise Refused(
            "bad-guest",
            f"{quoted(text)}: keys are not fetched over plain http",
            "use https://…; plain http:// is for loopback only",
        )
    suffix = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return Guest(scheme, f"{scheme}://{host}{suffix}{url['rest']}")


def _identity(text: str, provider: str) -> str:
    try:
        return canonical(str(parse_guest(text, (provider,))))
    except Refused:
        return canonical(text)


def _bad_guest(text: str, reason: str) -> Refused:
    if several_keys(text):
        return Refused(
            "bad-guest",
            f"{quoted(text)} holds several keys",
            "write them into a file, one a line, and: pairctl invite file:PATH",
        )
    hint = (
        "write octocat (on GitHub), gitlab:NAME, codeberg:NAME, sourcehut:NAME, https://…, "
        'file:/PATH or "key:ssh-ed25519 AAAA…"'
    )
    if text.isprintable() and len(text) <= MAX_PATH:
        if key := _pasted_key(text):
            hint = f"for a public key: pairctl invite {shell('key:' + key)}"
        elif (page := _PAGE.fullmatch(text)) and page["host"].lower() in _FORGES:
            hint = f"for the account: pairctl invite {shell(page['host'] + '/' + page['name'])}"
        elif ":" not in text and ("/" in text or text.endswith(".pub")):
            hint = f"for a file: pairctl invite {shell('file:' + text)}"
    return Refused("bad-guest", f"{quoted(text)} {reason}", hint)


def _pasted_key(text: str) -> str:
    """The public key in a line that was pasted, with its comment, and its type if that is missing;
    or "".
    """
    match = _PASTED_KEY.search(text)
    if match is None:
        return ""
    type_ = (match["type"] or "").strip() or type_of(match["blob"])
    rest = text[match.end() :].rstrip(QUOTES)
    comment = rest if rest[:1].isspace() else ""
    return f"{type_} {match['blob']}{comment}" if type_ else ""


def _unknown_provider(text: str, name: str, providers: Collection[str]) -> Refused:
    if _pasted_key(text):
        return _bad_guest(text, "is a public key with other text around it")
    return Refused(
        "unknown-provider",
        f"no identity provider is called {quoted(name)}",
        f'use one of {", ".join(sorted(providers))}, https://…, file:/PATH and "key:TYPE BASE64"; '
        "config.toml can add others",
    )


def _who(identities: Sequence[str]) -> str:
    match identities:
        case []:
            return "no guest is live now; pairctl invite GUEST invites one"
        case [identity]:
            return f"the live guest is {identity}"
        case _:
            return f"the live guests are {', '.join(identities)}"
