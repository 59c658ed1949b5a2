"""What the host wants. Facts about the world are observed, never stored here.

All times are wall-clock seconds since the epoch: a deadline must hold across sleep, when a
monotonic clock stands still. Deadlines are whole seconds, the grain of sshd's
`expiry-time` (sshd(8), AUTHORIZED_KEYS FILE FORMAT), so that all four locks agree on them.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from math import inf

from msgspec import Struct, field

from pairingd.core.network import Network
from pairingd.core.records import replace


class Access(StrEnum):
    """What a guest may do in the session; `read` is tmux's read-only attach."""

    WRITE = "write"
    READ = "read"


class Standing(StrEnum):
    """An invitation's state. Only `live` admits its guest; the others are final."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ENDED = "ended"


class Cause(StrEnum):
    """Why an invitation is over, or a guest is out."""

    EXPIRED = "expired"
    REVOKED = "revoked"
    ENDED = "ended"
    LEFT = "left"
    TMUX_GONE = "tmux-gone"
    DAEMON_STOPPED = "daemon-stopped"
    DENIED = "denied"
    IDLE = "idle"
    USED = "used"


class Conditions(Struct, frozen=True):
    """Conditions of an invitation beside its deadline.

    `ask`: the host approves each visit. `wait`: guests may ask also while nobody is attached.
    `once`: the first visit uses it up. `opens_at`: nobody enters before. `join_by`: it ends then,
    unless the guest has come. `idle_seconds`: it ends when the guest is not connected, or nobody
    types, for so long.
    """

    ask: bool = False
    wait: bool = False
    once: bool = False
    opens_at: int | None = None
    join_by: int | None = None
    idle_seconds: int | None = None


class Key(Struct, frozen=True):
    """One public key, RFC 4253 §6.6 blob in base64. `bits` is 256 for Ed25519."""

    type: str
    blob: str
    bits: int
    fingerprint: str
    comment: str


class Rights(Struct, frozen=True):
    """The terms of an invitation, without its keys. `used`: its one visit has begun."""

    invitation: str
    access: Access
    expires_at: int
    used: bool = False

    def within(self, other: Rights) -> Rights:
        """Return the rights that both give."""
        reads = Access.READ in {self.access, other.access}
        return Rights(
            self.invitation,
            Access.READ if reads else Access.WRITE,
            min(self.expires_at, other.expires_at),
            self.used or other.used,
        )

    def cover(self, other: Rights) -> bool:
        return other.within(self) == other


class Grant(Struct, frozen=True):
    """One line of authorized_keys: this key may enter on this invitation until `expires_at`. `ask`:
    only after the host's approval.
    """

    invitation: str
    key: Key
    expires_at: int
    ask: bool = False


class HostPort(Struct, frozen=True):
    """The host and port of the command by which guests enter."""

    host: str
    port: int


class Dial(Struct, frozen=True):
    """The host connects from `host_port` to the guest, who connects from `guest_port` of `address`
    at the same time (RFC 9293 §3.5, simultaneous open). The next visit needs other ports.

    `printed` is the endpoint of the guest's last command; None before the first.
    """

    address: str
    host_port: int
    guest_port: int
    printed: HostPort | None = field(default=None, name="told")


class Invitation(Struct, frozen=True, dict=True):
    """One guest's right to enter. `guest` is an identity such as `github:octocat`.

    `came_at` is when the guest first entered the session, `active_at` the last activity that counts
    for `idle_seconds`. `cause` says why it is over.
    """

    id: str
    guest: str
    access: Access
    keys: tuple[Key, ...]
    issued_at: int
    expires_at: int
    standing: Standing
    over_at: int | None = None
    cause: Cause | None = None
    conditions: Conditions = Conditions()
    came_at: int | None = None
    active_at: int | None = None
    dial: Dial | None = None

    @property
    def live(self) -> bool:
        return self.standing is Standing.LIVE

    @property
    def deadline(self) -> int:
        """When time alone ends it: `expires_at`, or `join_by` until the guest has come."""
        join_by = self.conditions.join_by
        return self.expires_at if join_by is None or self.came_at else min(self.expires_at, join_by)

    @property
    def idle_at(self) -> int | None:
        """When it will have been idle for too long, without activity until then."""
        seconds = self.conditions.idle_seconds
        if seconds is None:
            return None
        return max(self.issued_at, self.conditions.opens_at or 0, self.active_at or 0) + seconds

    def is_open(self, now: float) -> bool:
        """Whether the guest may enter at `now`, also before the next Tick."""
        return self.live and (self.conditions.opens_at or 0) <= now < self.deadline

    def is_scheduled(self, now: float) -> bool:
        return self.live and now < (self.conditions.opens_at or 0)

    @cached_property
    def rights(self) -> Rights:
        used = self.conditions.once and self.came_at is not None
        return Rights(self.id, self.access, self.expires_at, used)

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        """None for one that is used up: the guest may stay, but not enter again."""
        if self.rights.used:
            return ()
        return tuple(Grant(self.id, key, self.deadline, self.conditions.ask) for key in self.keys)


class Session(Struct, frozen=True, dict=True):
    """From the first invitation until nobody may enter any more; a receipt covers one session.

    `external_port` is the port to request of the router. `door_port` is the door's first port: a
    restarted daemon requests it again, so that the guests' commands stay valid.

    `port_chosen`: the host named the external port, so no other will do.

    `printed` is the endpoint of the guests' last printed command, `announced` the endpoint last
    reported to the host. If they differ, the guests' command may lead nowhere.

    `tmux` is the program with which a client created the tmux session, if the daemon finds none or
    another one; a restarted daemon runs it again. "" if the daemon's own will do.

    `box` is the id of the box in which the tmux session runs, which ends in @NAME for an account's;
    "" without a box. No guest of this session enters another box, whatever runs there.
    """

    id: str
    started_at: int
    external_port: int
    door_port: int | None = None
    invitations: tuple[Invitation, ...] = ()
    ended_at: int | None = None
    printed: HostPort | None = field(default=None, name="told")
    announced: HostPort | None = None
    tmux: str = ""
    port_chosen: bool = False
    box: str = ""

    @property
    def account(self) -> str:
        """The user as whom guests log in; "" for the host."""
        return self.box.partition("@")[2]

    @cached_property
    def live(self) -> tuple[Invitation, ...]:
        return tuple(invitation for invitation in self.invitations if invitation.live)

    @cached_property
    def timed(self) -> tuple[Invitation, ...]:
        """The live invitations that open or end by more than their deadline."""
        return tuple(
            invitation
            for invitation in self.live
            if invitation.conditions.opens_at or invitation.conditions.idle_seconds is not None
        )

    @cached_property
    def first_deadline(self) -> float:
        """When time alone ends a live invitation; infinity if none is live."""
        return min((invitation.deadline for invitation in self.live), default=inf)


class State(Struct, frozen=True):
    """The whole intent: the current session, or the last one, or none."""

    session: Session | None = None

    @property
    def live(self) -> tuple[Invitation, ...]:
        return self.session.live if self.session else ()

    def invitation(self, id_: str | None) -> Invitation | None:
        """Return that invitation of the session, live or over."""
        invitations = self.session.invitations if self.session else ()
        return next((invitation for invitation in invitations if invitation.id == id_), None)


class Mapping(Struct, frozen=True):
    """A journal entry: a mapping that was requested of a gateway and is not confirmed gone.

    Written before the request, erased after the mapping was observed to be absent.
    `network` is the identity of its network; no other network's gateway gets its delete.
    `handle` is what the protocol needs to undo it (control URL, PCP nonce).
    `granted_until` is None until the gateway has confirmed it. `renew_at` is None until then, and
    again once no gateway there speaks its protocol, so that pairingd only closes it.
    """

    id: str
    protocol: str
    network: str
    gateway: str
    external_host: str
    external_port: int
    internal_host: str
    internal_port: int
    token: str
    handle: tuple[tuple[str, str], ...] = ()
    granted_until: float | None = None
    renew_at: float | None = None

    @property
    def beyond(self) -> bool:
        """Whether the gateway is a second router, which leads to the first."""
        return bool(Network.of(self.network).behind)

    @property
    def source(self) -> str:
        """Our own address, from which requests to the gateway go."""
        return Network.of(self.network).address if self.beyond else self.internal_host

    def leads_to(self, inner: Mapping) -> bool:
        """Whether it is a second router's, and forwards to the port of `inner` on the first."""
        network = Network.of(self.network)
        first = replace(network, gateway=inner.gateway, behind="").identity
        return self.beyond and (first, self.internal_host, self.internal_port) == (
            inner.network,
            inner.external_host,
            inner.external_port,
        )

    @property
    def permanent(self) -> bool:
        """Whether the gateway keeps it for ever; `granted_until` is then only our own limit."""
        return "permanent" in dict(self.handle)

    @property
    def unshown(self) -> bool:
        """Whether the gateway grants it but does not list it as enabled."""
        return "unshown" in dict(self.handle)

    def is_held(self, now: float) -> bool:
        """Whether it is granted beyond `now` and can be renewed."""
        return self.renew_at is not None and (self.granted_until or 0.0) > now

    def is_over(self, now: float) -> bool:
        """Whether its lease has ended, so that it is gone even without confirmation."""
        until = self.granted_until
        return not self.permanent and until is not None and until <= now


class Problem(Struct, frozen=True):
    """A warning: code, cause and remedy as in an error, but nothing failed."""

    code: str
    message: str
    hint: str
