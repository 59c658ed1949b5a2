"""Replies of a daemon, as the protocol has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pairingd.protocol.confinement import BoxSettings
    from pairingd.protocol.results import (
        Event,
        Hello,
        InvitationInfo,
        Invited,
        Knock,
        MappingInfo,
        Problem,
        Receipt,
        Receipts,
        Settings,
        Status,
    )

NOW = datetime(2026, 3, 14, 13, 40, 2, tzinfo=UTC).timestamp()  # 14:40:02 in Berlin

OCTOCAT: InvitationInfo = {
    "id": "i1",
    "guest": "github:octocat",
    "access": "write",
    "issued_at": "2026-03-14T13:40:00Z",
    "expires_at": "2026-03-14T15:40:00Z",
    "keys": [
        {
            "type": "ssh-ed25519",
            "bits": 256,
            "fingerprint": "SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE",
            "comment": "octocat@a-laptop-with-a-long-name",
        },
        {
            "type": "ssh-rsa",
            "bits": 4096,
            "fingerprint": "SHA256:Hs0yZ7bFzWmTqkJ5nC1rPcXG2sVJc0F0y3mWq5X8QkE",
            "comment": "",
        },
    ],
    "state": "live",
    "connections": [],
}
KEYED: InvitationInfo = {
    "id": "i2",
    "guest": "key:SHA256:Zr9yXo2x7v7Zk2cL0mJr6wK1q3yq8b8c2yqk3l5m7nE",
    "access": "read",
    "issued_at": "2026-03-14T13:40:00Z",
    "expires_at": "2026-03-15T13:40:00Z",
    "keys": [
        {
            "type": "sk-ssh-ed25519@openssh.com",
            "bits": 256,
            "fingerprint": "SHA256:Zr9yXo2x7v7Zk2cL0mJr6wK1q3yq8b8c2yqk3l5m7nE",
            "comment": "token",
        }
    ],
    "state": "live",
    "connections": [],
}
INVITED: Invited = {
    "invitations": [OCTOCAT],
    "command": "ssh mark@203.0.113.7",
    "pinned_command": "ssh -o KnownHostsCommand=none mark@203.0.113.7",
    "endpoints": [
        {
            "kind": "router",
            "host": "203.0.113.7",
            "port": 22,
            "command": "ssh mark@203.0.113.7",
            "protocol": "upnp",
            "verified": "readback",
        },
        {
            "kind": "lan",
            "host": "192.168.1.20",
            "port": 50213,
            "command": "ssh -p 50213 mark@192.168.1.20",
            "protocol": None,
            "verified": None,
        },
    ],
    "host_key": {
        "type": "ssh-ed25519",
        "fingerprint": "SHA256:9q8Jx1pYb3m0rZ6vC5tN2wK7sD4fG1hL0aQzXyWvUtR",
        "known_hosts": "[203.0.113.7]:22 ssh-ed25519 AAAA",
    },
    "reachability": "internet",
    "warnings": [],
}
IN_A_BOX: Invited = {
    **INVITED,
    "box": {"id": "b0c5", "directory": "/home/mark/project", "network": "none"},
}
AS_ACCOUNT: Invited = {**INVITED, "account": "pair"}
BOUND: Invited = {
    **INVITED,
    "invitations": [
        {**OCTOCAT, "ask": True},
        {
            **KEYED,
            "ask": True,
            "once": True,
            "join_by": "2026-03-15T10:50:00Z",
            "idle_seconds": 5400,
        },
    ],
}
SCHEDULED: InvitationInfo = {**OCTOCAT, "state": "scheduled", "opens_at": "2026-03-15T10:00:00Z"}
LAN_ONLY: Invited = {
    **INVITED,
    "invitations": [{**OCTOCAT, "access": "read"}, KEYED],
    "command": "ssh -p 50213 mark@192.168.1.20",
    "endpoints": INVITED["endpoints"][1:],
    "reachability": "lan",
    "warnings": [
        {
            "code": "no-gateway",
            "message": "no router answered on 192.168.1.1, so guests outside of this network "
            "cannot come in",
            "hint": "switch UPnP on in the router, or forward a port by hand",
        }
    ],
}
MAPPING: MappingInfo = {
    "state": "open",
    "protocol": "upnp",
    "gateway": "192.168.1.1",
    "external_host": "203.0.113.7",
    "external_port": 22,
    "internal_port": 50213,
    "expires_at": "2026-03-14T13:50:00Z",
    "error": None,
}
BOX_SETTINGS: BoxSettings = {
    "read": [],
    "write": [],
    "env": ["EDITOR"],
    "network": "none",
    "memory": 0,
    "processes": 0,
}
HELLO: Hello = {
    "version": "1",
    "protocol": 1,
    "pid": 1,
    "session": "pairing",
    "tmux": "/usr/bin/tmux",
    "tmux_socket": "/s/tmux.sock",
    "attach": False,
    "ask": False,
    "box": BOX_SETTINGS,
    "boxed": None,
    "account": "",
    "as_account": None,
}
STATUS: Status = {
    "daemon": {"version": "0.1.0", "pid": 4711, "started_at": "2026-03-13T08:00:00Z"},
    "session": {
        "name": "pairing",
        "socket": "/s/tmux.sock",
        "running": True,
        "clients": 2,
        "confinement": "plain",
        "id": None,
    },
    "invitations": [
        {
            **OCTOCAT,
            "issued_at": "2026-03-14T12:40:00Z",
            "connections": [
                {
                    "peer": "198.51.100.4:51234",
                    "since": "2026-03-14T13:01:00Z",
                    "pid": 4800,
                    "typed_at": None,
                }
            ],
        },
        KEYED,
    ],
    "door": {"open": True, "port": 50213},
    "mapping": MAPPING,
    "endpoints": INVITED["endpoints"],
    "warnings": LAN_ONLY["warnings"],
}
IDLE: Status = {
    **STATUS,
    "session": {
        "name": "pairing",
        "socket": "/s/tmux.sock",
        "running": False,
        "clients": 0,
        "confinement": "plain",
        "id": None,
    },
    "invitations": [],
    "door": {"open": False, "port": None},
    "mapping": None,
    "endpoints": [],
    "warnings": [],
}
DIALED: Status = {
    **STATUS,
    "endpoints": [
        {
            "kind": "dial",
            "host": "203.0.113.7",
            "port": 61000,
            "command": "ssh -o ProxyCommand=... mark@203.0.113.7",
            "protocol": None,
            "verified": None,
            "proxy": "nc -p 61001 203.0.113.7 61000",
            "guest": "github:octocat",
        },
        *INVITED["endpoints"],
    ],
    "warnings": [],
}
UNCONNECTED: Status = {
    **STATUS,
    "mapping": {**MAPPING, "external_host": None},
    "endpoints": LAN_ONLY["endpoints"],
    "warnings": [],
}
TWO_ROUTERS: Status = {
    **STATUS,
    "mapping": {**MAPPING, "external_host": "192.168.0.7"},
    "second_mapping": {
        **MAPPING,
        "gateway": "192.168.0.1",
        "protocol": "pcp",
        "internal_port": 22,
    },
}
SECOND_OPENING: Status = {
    **TWO_ROUTERS,
    "second_mapping": {**MAPPING, "state": "opening", "gateway": None},
}
SECOND_FAILED: Status = {
    **TWO_ROUTERS,
    "second_mapping": {**MAPPING, "state": "failed", "gateway": "192.168.0.1"},
}
BY_HAND: Status = {
    **STATUS,
    "mapping": None,
    "endpoints": [
        {
            "kind": "router",
            "host": "home.example.org",
            "port": 2022,
            "command": "ssh -p 2022 mark@home.example.org",
            "protocol": None,
            "verified": None,
        },
        *LAN_ONLY["endpoints"],
    ],
    "warnings": [],
}
STRANGERS_KEY = "SHA256:5q8Jx1pYb3m0rZ6vC5tN2wK7sD4fG1hL0aQzXyWvUtR"
ELSEWHERE: list[Knock] = [
    {
        "peer": f"203.0.113.{n}",
        "fingerprints": [],
        "times": 1,
        "first_at": "2026-03-14T13:09:00Z",
        "last_at": "2026-03-14T13:09:00Z",
        "banned_until": None,
        "message": f"a login from 203.0.113.{n} failed: it used another user name than the"
        " command has",
        "hint": "if it is a guest: send them the whole command again: pairctl invite --show"
        " github:octocat",
    }
    for n in range(10, 13)
]
KNOCKING: Status = {
    **STATUS,
    "warnings": [],
    "knocking": [
        {
            "peer": "203.0.113.9",
            "fingerprints": [STRANGERS_KEY],
            "times": 12,
            "first_at": "2026-03-14T13:10:00Z",
            "last_at": "2026-03-14T13:39:00Z",
            "banned_until": "2026-03-14T13:44:00Z",
            "message": f"a login from 203.0.113.9 failed: its key {STRANGERS_KEY} does not belong"
            " to github:octocat",
            "hint": "if it is github:octocat: ask them to run ssh -i PATH with the key"
            f" {OCTOCAT['keys'][0]['fingerprint']}; or let them publish this key, then: pairctl"
            " revoke github:octocat; pairctl invite github:octocat",
        },
        *ELSEWHERE,
    ],
}
TAKEN: Problem = {
    "code": "port-taken",
    "message": "the router forwards port 22 to another machine, 192.168.1.7, already",
    "hint": "choose another: --port 2222",
}
FAILED: Status = {
    **STATUS,
    "invitations": [{**OCTOCAT, "state": "revoked"}],
    "mapping": {
        "state": "failed",
        "protocol": None,
        "gateway": None,
        "external_host": None,
        "external_port": None,
        "internal_port": None,
        "expires_at": None,
        "error": TAKEN,
    },
}
WARNED: Status = {**FAILED, "warnings": [TAKEN]}
EVENTS: list[Event] = [
    {
        "id": 1,
        "at": "2026-03-13T13:40:00Z",
        "session": "s1",
        "kind": "invited",
        "text": "github:octocat is invited until 15:40",
        "data": {},
    },
    {
        "id": 2,
        "at": "2026-03-14T13:01:00Z",
        "session": "s1",
        "kind": "joined",
        "text": "github:octocat came in from 198.51.100.4",
        "data": {},
    },
]
RECEIPT: Receipt = {
    "session": "s1",
    "started_at": "2026-03-14T11:00:00Z",
    "ended_at": "2026-03-14T13:00:00Z",
    "invitations": [{**OCTOCAT, "state": "expired", "expires_at": "2026-03-14T13:00:00Z"}],
    "visits": [
        {
            "guest": "github:octocat",
            "peer": "198.51.100.4:51234",
            "fingerprint": OCTOCAT["keys"][0]["fingerprint"],
            "since": "2026-03-14T11:01:00Z",
            "until": "2026-03-14T13:00:00Z",
            "why": "expired",
            "about": "the time is up",
            "typed_at": "2026-03-14T12:58:00Z",
        },
        {
            "guest": "github:octocat",
            "peer": "[2001:db8:1234:5678:9abc:def0:1234:5678]:51235",
            "fingerprint": OCTOCAT["keys"][0]["fingerprint"],
            "since": "2026-03-14T12:00:00Z",
            "until": None,
            "why": None,
            "about": None,
            "typed_at": None,
        },
        {
            "guest": "github:octocat",
            "peer": "198.51.100.4:51240",
            "fingerprint": OCTOCAT["keys"][0]["fingerprint"],
            "since": "2026-03-14T12:30:00Z",
            "until": "2026-03-14T12:30:00Z",
            "why": "denied",
            "about": "nobody answered",
            "typed_at": None,
        },
    ],
    "changes": [
        {
            "at": "2026-03-14T11:30:00Z",
            "guest": "github:octocat",
            "what": "role",
            "from": "read",
            "to": "write",
            "by": "host",
        },
        {
            "at": "2026-03-14T12:30:00Z",
            "guest": "github:octocat",
            "what": "deadline",
            "from": "2026-03-14T12:45:00Z",
            "to": "2026-03-14T13:00:00Z",
            "by": "host",
        },
        {
            "at": "2026-03-14T12:50:00Z",
            "guest": "github:octocat",
            "what": "role",
            "from": "write",
            "to": "read",
            "by": "pairingd",
        },
    ],
    "refused": 13,
    "refusals": [
        {
            "at": "2026-03-14T12:10:00Z",
            "peer": "203.0.113.9",
            "fingerprints": [STRANGERS_KEY],
            "times": 12,
            "message": f"a login from 203.0.113.9 failed: its key {STRANGERS_KEY}"
            " does not belong to github:octocat",
        },
        {
            "at": "2026-03-14T12:20:00Z",
            "peer": "203.0.113.7",
            "fingerprints": [STRANGERS_KEY],
            "times": 1,
            "message": f"a login from 203.0.113.7 failed: its key {STRANGERS_KEY}"
            " is github:ann's, who may enter from 2026-03-14T16:00:00Z on",
        },
    ],
}
RECEIPTS: Receipts = {
    "sessions": [
        {
            "session": "s2",
            "started_at": "2026-03-14T13:20:00Z",
            "ended_at": None,
            "guests": [
                "github:octocat",
                "gitlab:a-name-of-thirty-nine-characters-or-so",
                "key:SHA256",
            ],
        },
        {
            "session": "s1",
            "started_at": "2026-03-13T11:00:00Z",
            "ended_at": "2026-03-13T13:00:00Z",
            "guests": ["github:octocat"],
        },
    ]
}
SETTINGS: Settings = {
    "file": "/home/mark/.config/pairing/config.toml",
    "settings": [
        {"key": "guests.ttl", "value": "2h", "source": "default"},
        {"key": "router.enabled", "value": True, "source": "config.toml"},
        {"key": "router.protocols", "value": ["pcp", "natpmp", "upnp"], "source": "default"},
    ],
}
