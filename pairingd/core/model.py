"""What the daemon wishes for. Facts about the world are observed, never stored here.

All times are wall-clock seconds since the epoch: a deadline must hold across sleep, and a
monotonic clock stands still meanwhile. Deadlines are whole seconds, the grain of sshd's
`expiry-time` (sshd(8), AUTHORIZED_KEYS FILE FORMAT), so that all four locks agree on them.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from msgspec import Struct, field

from pairingd.core.network import Network
from pairingd.core.records import replace


class Access(StrEnum):
    """What a guest may do in the session; `read` is tmux's read-only attach."""

    WRITE = "write"
    READ = "read"


class Standing(StrEnum):
    """Where an invitation is in its life. Only `live` lets anyone in; the others are final."""

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
    """What an invitation may be bound to, beside its deadline.

    `ask`: the host approves each visit. `wait`: guests may ask also while nobody is attached.
    `once`: the first visit uses it up. Nobody enters before `opens_at`. `join_by`: over by then,
    unless the guest has come. `idle_seconds`: over when the guest is not connected, or nobody
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
        """What both give."""
        reads = Access.READ in {self.access, other.access}
        return Rights(
            self.invitation,
            Access.READ if reads else Access.WRITE,
            min(self.expires_at, other.expires_at),
            self.used or other.used,
        )

    def cover(self, other: Rights) -> bool:
        return other.within(self) == other


class HostPort(Struct, frozen=True):
    """The host and port of the command by which guests enter."""

    host: str
    port: int


class Dial(Struct, frozen=True):
    """The host connects from `host_port` to the guest, who connects from `guest_port` of `address`
    at the same time (RFC 9293 §3.5, simultaneous open). One visit uses the ports up.

    `printed` is where the guest's last command leads; None before the first.
    """

    address: str
    host_port: int
    guest_port: int
    printed: HostPort | None = field(default=None, name="told")


class Invitation(Struct, frozen=True, dict=True):
    """One guest's right to enter. `guest` is an identity such as `github:octocat`.

    `came_at` is when the guest was in the session first, `active_at` the last sign of life that
    counts against `idle_seconds`. `cause` says why it is over.
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
        """When time alone ends it: `expires_at`, or sooner where nobody has come."""
        join_by = self.conditions.join_by
        return self.expires_at if join_by is None or self.came_at else min(self.expires_at, join_by)

    @property
    def idle_at(self) -> int | None:
        """When it has been idle for too long, unless a sign of life is seen until then."""
        seconds = self.conditions.idle_seconds
        if seconds is None:
            return None
        return max(self.issued_at, self.conditions.opens_at or 0, self.active_at or 0) + seconds

    def is_open(self, now: float) -> bool:
        """Whether the guest may enter at `now`, whether ticked or not."""
        return self.live and (self.conditions.opens_at or 0) <= now < self.deadline

    def is_scheduled(self, now: float) -> bool:
        return self.live and now < (self.conditions.opens_at or 0)

    @cached_property
    def rights(self) -> Rights:
        used = self.conditions.once and self.came_at is not None
        return Rights(self.id, self.access, self.expires_at, used)


class Session(Struct, frozen=True, dict=True):
    """From the first invitation until no one may enter any more; what a receipt is about.

    `external_port` is what the router is asked for. `door_port` is where the door was opened
    first: a restarted daemon asks for it again, so that the guests' commands stay true.

    `port_chosen`: the host named the external port, so that no other one will do.

    `printed` is where the guests' last printed command leads, `announced` where the last one leads
    that the host was shown. Where they differ, the guests' command may lead nowhere.

    `tmux` is the program with which a client has made the tmux session, where the daemon finds none
    or another one: a restarted daemon runs it again. "" where the daemon's own does.

    `box` is the id of the box in which the tmux session runs, which ends in @NAME where it is an
    account's; "" where it is in none. No guest of this session enters another one, whatever runs
    there.
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
        """The user by whom guests log in; "" where that is the host."""
        return self.box.partition("@")[2]

    @cached_property
    def live(self) -> tuple[Invitation, ...]:
        return tuple(invitation for invitation in self.invitations if invitation.live)


class State(Struct, frozen=True):
    """The whole intent: the session under way, or the last one, or none."""

    session: Session | None = None

    @property
    def live(self) -> tuple[Invitation, ...]:
        return self.session.live if self.session else ()


class Mapping(Struct, frozen=True):
    """A journal entry: a mapping that was asked of a gateway and is not confirmed gone.

    Written before the gateway is asked, erased after the mapping is seen to be absent.
    `network` names the network it was made in; a delete is never sent to another one.
    `handle` is what the protocol needs to undo it (control URL, PCP nonce).
    `granted_until` is None until the gateway has confirmed it; `renew_at` is None until then, and
    from when nobody there speaks its protocol any more, so that it is only to be closed.
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
        """Whether the gateway is a second router, that leads to the first."""
        return bool(Network.of(self.network).behind)

    @property
    def source(self) -> str:
        """Our own address, from which the gateway is asked."""
        return Network.of(self.network).address if self.beyond else self.internal_host

    def leads_to(self, inner: Mapping) -> bool:
        """Whether a second router forwards to the first one's port by this, and that by `inner`."""
        there = Network.of(self.network)
        first = replace(there, gateway=inner.gateway, behind="").identity
        return self.beyond and (first, self.internal_host, self.internal_port) == (
            inner.network,
            inner.external_host,
            inner.external_port,
        )

    @property
    def permanent(self) -> bool:
        """Whether the gateway keeps it without an end; `granted_until` is then only ours."""
        return "permanent" in dict(self.handle)

    @property
    def unshown(self) -> bool:
        """Whether the gateway says yes to it and shows it to nobody."""
        return "unshown" in dict(self.handle)

    def is_held(self, now: float) -> bool:
        """Whether the gateway has granted it for longer than `now`, and can be asked to go on."""
        return self.renew_at is not None and (self.granted_until or 0.0) > now

    def is_over(self, now: float) -> bool:
        """Whether its lease has run out, so that it is gone though nobody confirms it."""
        until = self.granted_until
        return not self.permanent and until is not None and until <= now


class Problem(Struct, frozen=True):
    """A warning: code, cause and remedy as an error's, but nothing failed."""

    code: str
    message: str
    hint: str
