"""`make docs`: docs/protocol.md, out of the protocol's own models.

Nothing of the protocol is written here twice: methods, schemas and numbers come from
pairingd.protocol, and the example conversation is checked against them before it is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, Field, create_model

from pairingd.protocol import params, results, wire
from pairingd.protocol.methods import METHODS, Method
from pairingd.server.server import HELLO_LIMIT_S, MAX_CONNECTIONS
from tests.pairctl.samples import BOX_SETTINGS

FILE = Path(__file__).parent.parent / "docs" / "protocol.md"

HEAD = """\
# The control protocol

Made by `make docs` from `pairingd/protocol/`; do not edit.

`pairctl` and the daemon use it; any program of the same user can. This is protocol {protocol}.

## Connection and framing

- A Unix stream socket, mode 0600, in a directory of mode 0700. The daemon also compares the peer's user id with
  its own, and closes other users' connections without a reply. A client should check the daemon's user id before it reads
  or writes (`SO_PEERCRED`, `LOCAL_PEERCRED`), as `pairctl` does.
- Its path: `$PAIRING_HOME/pairingd.sock` if that variable is set; else on macOS
  `~/Library/Application Support/pairing/pairingd.sock`, on Linux `$XDG_RUNTIME_DIR/pairing/pairingd.sock`, or
  `~/.local/state/pairing/pairingd.sock` if `XDG_RUNTIME_DIR` is unset (`XDG_STATE_HOME` is honoured).
- The second line of `pairingd.lock`, beside `state.db`, names the socket of the daemon that holds that lock (flock), whatever
  `XDG_RUNTIME_DIR` was for it; an empty line means beside the lock. The first line is its pid. If the socket is gone, SIGUSR1
  has the daemon bind it again.
- [JSON-RPC 2.0](https://www.jsonrpc.org/specification), one JSON object a line, UTF-8, `\\n` at its end. No batches.
  `params` is an object and can be omitted. `id` is a string, a number or null. Blank lines are ignored.
- A request is at most {max_frame} bytes, newline included. The daemon discards a longer one, answers {invalid_request} and
  keeps the connection. A reply can be longer, for example a history.
- The daemon serves at most {max_connections} connections. For one more it closes a connection without a `hello`, else the longest
  idle one, else the watching one whose last request is oldest. The last frame on it is an error
  {refused} with code `dropped` and `id` null. A connection whose request is being answered is never closed: if all are busy, the
  new one gets code `busy` and is closed. Those on which `ask` is being answered do not count; there may be as many of them.
- The daemon closes a connection that has not sent `hello` within {hello_seconds:.0f} s, with code `no-hello` in the last frame.
- Requests on one connection are answered in order. To send two at once, open a second connection.
- The first request must be `hello`; the daemon answers any other with {hello_first} until then. It answers `hello`
  for any protocol number; the client compares the numbers and stops if they differ.
- A request is bound to its connection. The notification `cancel`, without params, cancels the request that is being answered; so
  does a client that closes the connection (not one that only ends its writing). It has then changed nothing and fails with
  code `cancelled`; or it holds already and fails with code `goes-on`.
- A request without `id` is a notification: it is carried out and gets no reply, not even an error.
- The `id` of an error is that of its request. It is null if the daemon could not read one, or if the error is about the
  connection.
- Times are RFC 3339 in UTC with `Z`, durations seconds, ports integers. Full keys appear only in
  `known_hosts`. `null` means unknown or absent.
- A client should ignore unknown members: a daemon of the same protocol can add some.

## Errors

`error.data` is an object with `code`, `message` and `hint`; [errors.md](errors.md) lists the codes. It can have more members (`retry_after` in seconds, `upnp` for the router's own code).

| code | meaning |
|---|---|
{errors}

## Notifications

The daemon sends notifications without a request; they have no `id`.

| method | when | params |
|---|---|---|
| `progress` | during `invite` or `gateway`, before the reply | [Progress](#progress) |
| `event` | after `watch`, for each new line of the history | [Event](#event) |

The daemon closes the connection of a client that falls 1000 events behind.

`kind` of an event is stable, and new kinds can be added; `text` is for people. The kinds and their `data`:

| kind | data | meaning |
|---|---|---|
{events}

## An example

`>` is sent to the daemon, `<` by the daemon. The fingerprint is shortened, and only the first event is shown.

```
{example}
```

## Methods
"""

TYPES = """\
## Types

`#/types/NAME` in a schema refers to the type of that name below.
"""

ERRORS: Mapping[int, str] = {
    wire.PARSE_ERROR: "not UTF-8, or not JSON",
    wire.INVALID_REQUEST: "not a JSON-RPC 2.0 request, or a frame too long",
    wire.METHOD_NOT_FOUND: "no such method",
    wire.INVALID_PARAMS: "params are an array, or do not match the method's schema; the message says where",
    wire.INTERNAL_ERROR: "a bug in the daemon; see its log",
    wire.REFUSED: "refused or failed; `error.data` has the reason. Nothing is half done, except as in [Changed](#changed)",
    wire.HELLO_FIRST: "`hello` must come first",
}

# Every kind the daemon writes, tests/test_protocol_document.py holds it.
EVENTS: Mapping[str, tuple[str, str]] = {
    "invited": ("invitation, guest, expires_at", "a guest was invited"),
    "extended": (
        "invitation, guest, expires_at, changes",
        "a guest's deadline was moved; `changes` as in [Receipt](#receipt)",
    ),
    "role": ("invitation, guest, expires_at, changes", "a guest's access was changed"),
    "expired": ("invitation, guest, expires_at, cause", "a guest's time is up"),
    "revoked": ("invitation, guest, expires_at, cause", "the host revoked a guest"),
    "ended": ("invitation, guest, expires_at, cause", "the invitation ended with the session"),
    "session-ended": ("", "no invitation is live any more"),
    "opened": ("invitation, guest, command", "a scheduled guest may enter"),
    "logged-in": ("invitation, guest, peer, fingerprint, pid", "a guest's key was accepted"),
    "joined": ("invitation, guest, peer, fingerprint, pid", "a guest's terminal is in the session"),
    "left": (
        "invitation, guest, peer, pid, why, about, typed_at",
        "a guest who had joined is disconnected; `why` and the rest as in [Receipt](#receipt)",
    ),
    "logged-out": (
        "invitation, guest, peer, pid, why, about, typed_at",
        "a login that had not joined is disconnected",
    ),
    "refused": (
        "peer, fingerprints, times, message, hint, guest",
        (
            "logins failed, timed out, or exceeded a guest's connection limit; `guest` is set where the"
            " key is a guest's. A repeated knock is a line when the number of times has doubled, and"
            " when the session is over"
        ),
    ),
    "banned": (
        "peer, seconds, until, hint",
        "an address is kept out, for its logins failed too often; again for each longer time",
    ),
    "waiting": ("invitation, guest, peer, fingerprint, pid", "a guest waits for approval"),
    "approved": ("invitation, guest, peer, fingerprint, pid", "the host let a guest in"),
    "denied": (
        "invitation, guest, peer, fingerprint, pid",
        "a guest was not let in: by the host, or because nobody answered or was attached",
    ),
    "withdrew": ("invitation, guest, peer, fingerprint, pid", "a guest left before an answer"),
    "door-opened": ("", "the door is open"),
    "door-closed": ("", "the door is closed"),
    "mapping-opened": ("external_host, external_port, protocol", "the router forwards a port"),
    "unverified": ("network", "nothing shows that guests on the internet can connect"),
    "mapping-closed": ("", "the router's port is closed"),
    "endpoint-changed": (
        "command, external_host, external_port; or command, invitation, guest",
        "the endpoint for guests changed; or that of one who is dialed",
    ),
    "dialing": ("invitation, guest, address", "the guest is dialed from now on (`--from`)"),
    "dial-ended": ("invitation", "they no longer are"),
    "mapping-lost": (
        "external_port",
        "the router lost the mapping, or gave the port to another device",
    ),
    "relay-opened": ("host, port", "the relay forwards a port to the door"),
    "relay-closed": ("", "the relay no longer forwards to the door"),
    "hole-opened": ("host, port", "the provider's NAT may lead there to the door"),
    "hole-closed": ("", "it no longer does"),
    "hostname-verified": ("hostname, address", "the name leads to this network"),
    "hostname-updated": ("hostname, address", "the update command was run; `text` has the outcome"),
    "tmux-ended": ("", "the tmux session ended"),
    "trouble": ("code, hint", "something failed and will be retried; `text` is the cause"),
    "resolved": ("code", "what a `trouble` with this code said has passed"),
    "recovered": ("", "a connection left by a crash was ended"),
}

_INVITATION: dict[str, Any] = {
    "id": "5dbb7bc9",
    "guest": "github:octocat",
    "access": "write",
    "issued_at": "2026-03-14T14:40:05Z",
    "expires_at": "2026-03-14T16:40:05Z",
    "keys": [{"type": "ssh-ed25519", "bits": 256, "fingerprint": "SHA256:ko5Z…", "comment": ""}],
    "state": "live",
    "connections": [],
}
_REVOKED = {**_INVITATION, "state": "revoked"}
_HELLO = {
    "version": "0.1.0",
    "protocol": wire.PROTOCOL,
    "pid": 4711,
    "session": "pairing",
    "tmux": "/usr/bin/tmux",
    "tmux_socket": "/home/mark/.local/state/pairing/tmux.sock",
    "attach": False,
    "ask": False,
    "box": BOX_SETTINGS,
    "boxed": None,
    "account": "",
    "as_account": None,
}
_NO_SUCH_GUEST = {
    "code": "no-such-guest",
    "message": "no live guest is called 'nobody'",
    "hint": "the live guest is github:octocat",
}
_EVENT = {
    "id": 7,
    "at": "2026-03-14T14:41:12Z",
    "session": "9f275827",
    "kind": "revoked",
    "text": "github:octocat: invitation revoked",
    "data": {
        "invitation": "5dbb7bc9",
        "guest": "github:octocat",
        "expires_at": "2026-03-14T16:40:05Z",
    },
}


def document() -> str:
    types = Types()
    methods = "\n".join(_method(name, method, types) for name, method in METHODS.items())
    types.of(results.Progress)
    types.of(results.Event)
    head = HEAD.format(
        protocol=wire.PROTOCOL,
        max_frame=wire.MAX_FRAME,
        invalid_request=wire.INVALID_REQUEST,
        hello_first=wire.HELLO_FIRST,
        max_connections=MAX_CONNECTIONS,
        hello_seconds=HELLO_LIMIT_S,
        refused=wire.REFUSED,
        errors="\n".join(f"| {code} | {meaning} |" for code, meaning in ERRORS.items()),
        events="\n".join(
            f"| `{kind}` | {data or '—'} | {meaning} |" for kind, (data, meaning) in EVENTS.items()
        ),
        example="\n".join(_conversation(types)),
    )
    return f"{head}\n{methods}\n{TYPES}\n{types.described()}"


_LEFT_OUT: Any = Field(default_factory=lambda: None)  # no default that the schema would name


class Types:
    """The TypedDicts of results.py, as pydantic models: it takes none of `typing` before 3.12."""

    def __init__(self) -> None:
        self._models: dict[str, type[BaseModel]] = {}

    def of(self, hint: Any) -> Any:
        """`hint` with every TypedDict in it replaced."""
        if is_typeddict(hint):
            return self._model(hint)
        inner = tuple(self.of(one) for one in get_args(hint))
        match get_origin(hint):
            case origin if origin in {Union, UnionType}:
                return Union[inner]  # noqa: UP007 - the members are known only now
            case origin if origin in {list, dict}:
                return origin[inner]
            case _:
                return hint

    def described(self) -> str:
        return "\n".join(self._described(name) for name in sorted(self._models))

    def _model(self, typed: Any) -> type[BaseModel]:
        name = typed.__name__
        if name not in self._models:
            fields: dict[str, Any] = {
                key: (self.of(_bare(hint)), ... if _is_required(typed, key, hint) else _LEFT_OUT)
                for key, hint in get_type_hints(typed, include_extras=True).items()
            }
            self._models[name] = create_model(name, __doc__=typed.__doc__, **fields)
        return self._models[name]

    def _described(self, name: str) -> str:
        model = self._models[name]
        return f"### {name}\n\n{_prose(model.__doc__)}{_schema(model)}"


def _is_required(typed: Any, key: str, hint: Any) -> bool:
    """Annotations are strings, in which TypedDict sees no NotRequired (typing, __required_keys__)."""
    return key in typed.__required_keys__ and get_origin(hint) is not NotRequired


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is NotRequired else hint


def _method(name: str, method: Method[Any, Any], types: Types) -> str:
    answer = types.of(method.result).__name__
    return f"### `{name}`\n\n{method.about}\n\n{_takes(method.params)}\nAnswers [{answer}](#{answer.lower()}).\n"


def _takes(kind: type[Any]) -> str:
    if kind is params.Nothing:
        return "Takes no params.\n"
    own_words = None if (kind.__doc__ or "").startswith(f"{kind.__name__}(") else kind.__doc__
    return _prose(own_words) + _schema(params.model(kind))


def _prose(docstring: str | None) -> str:
    return " ".join(docstring.split()) + "\n\n" if docstring else ""


def _schema(model: type[BaseModel]) -> str:
    return _shown(model.model_json_schema(ref_template="#/types/{model}"))


def _shown(full: dict[str, Any]) -> str:
    """One line a member: such a schema can be read."""
    schema = _plain(full)
    members = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(value)}"
        for name, value in schema["properties"].items()
    )
    lines = ['  "type": "object"', f'  "properties": {{\n{members}\n  }}']
    lines += [
        f"  {json.dumps(key)}: {json.dumps(schema[key])}"
        for key in ("required", "additionalProperties")
        if key in schema
    ]
    return "```json\n{\n" + ",\n".join(lines) + "\n}\n```\n"


def _plain(schema: Any) -> Any:
    """Without the titles, which only say the names again."""
    if isinstance(schema, dict):
        return {
            key: _plain(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema


def _conversation(types: Types) -> Iterator[str]:
    def asks(number: int, method: str, given: dict[str, Any]) -> str:
        params.read_by_pydantic(METHODS[method].params, given)
        return "> " + _frame(id=number, method=method, params=given)

    def answers(number: int, method: str, result: dict[str, Any]) -> str:
        return "< " + _frame(id=number, result=checked(METHODS[method].result, result))

    def tells(method: str, kind: Any, told: dict[str, Any]) -> str:
        return "< " + _frame(method=method, params=checked(kind, told))

    def checked(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
        model: type[BaseModel] = types.of(kind)
        return model.model_validate_json(json.dumps(value), strict=True).model_dump(
            mode="json", exclude_unset=True
        )

    yield asks(1, "hello", {"version": "0.1.0", "protocol": wire.PROTOCOL})
    yield answers(1, "hello", _HELLO)
    yield asks(2, "watch", {"after": 6})
    yield answers(2, "watch", {"events": []})
    yield asks(3, "revoke", {"guests": ["nobody"]})
    error = {"code": wire.REFUSED, "message": _NO_SUCH_GUEST["message"], "data": _NO_SUCH_GUEST}
    yield "< " + _frame(id=3, error=error)
    yield asks(4, "revoke", {"guests": ["octocat"]})
    yield tells("event", results.Event, _EVENT)
    yield answers(4, "revoke", {"invitations": [_REVOKED], "warnings": []})


def _frame(**members: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", **members}, ensure_ascii=False)


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
