"""The core against a simulated world that fails, forgets and crashes at any step.

The promise: whatever has happened, once a pass runs undisturbed, no key, connection, door or
mapping outlives its invitation; and a plan cut short anywhere is simply made anew. No invitation is
live again, or on better terms, after a start: whatever was not saved, or lost, or the clock says.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct, field

from pairingd.core import plan
from pairingd.core.events import (
    Active,
    Begin,
    Came,
    CommandAnnounced,
    CommandPrinted,
    End,
    Event,
    Extend,
    Invite,
    Rested,
    Revoke,
    SetAccess,
    Tick,
    Went,
)
from pairingd.core.model import Access, Conditions, Grant, HostPort, Rights, State
from pairingd.core.refusal import Refused
from pairingd.core.rules import gives_rights, step
from tests.core.make import HOME, OFFICE, START, invitation, key
from tests.core.simulated_gateway import Lane

MAX_TTL = 3000
GUESTS = ("github:ann", "github:bob", "gitlab:cy")


conditions = st.builds(
    Conditions,
    once=st.booleans(),
    opens_at=st.none() | st.integers(START, START + 6000),
    join_by=st.none() | st.integers(START, START + 6000),
    idle_seconds=st.none() | st.integers(1, 2000),
)


class Broken(Exception):
    """An effect failed, or the daemon was killed in the middle of a pass."""


class World(Struct):
    """What is really there. It lasts when the daemon dies, but for the door."""

    grants: tuple[Grant, ...] = ()
    door: int | None = None
    connections: dict[int, plan.Connection] = field(default_factory=dict)
    lane: Lane = field(default_factory=lambda: Lane({"home": HOME, "office": OFFICE}, place="home"))
    next_id: int = 100
    budget: int | None = None  # effects until everything breaks; None: nothing does
    saved: list[State] = field(default_factory=lambda: [State()])  # the newest last
    marks: set[Rights] = field(default_factory=set)  # pairingd.state.live
    full: bool = False  # the disk

    def effect(self) -> None:
        if self.budget is not None:
            if self.budget == 0:
                raise Broken
            self.budget -= 1

    def fresh(self) -> int:
        self.next_id += 1
        return self.next_id


class Daemon(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.world.lane.effect = self.world.effect
        self.state = State()
        self.now = float(START)
        self.unobservable = False
        self.over: set[str] = set()

    # What people and time do.

    def request(self, event: Event) -> None:
        before = self.state
        try:
            self.change(event)
        except Refused:
            assert self.state == before

    def change(self, event: Event) -> None:
        """As the intent and its store do it."""
        world, after = self.world, step(self.state, event, self.now)
        rights = {invited.id: invited.rights for invited in after.live}
        world.marks = {
            mark.within(rights[mark.invitation])
            for mark in world.marks
            if mark.invitation in rights
        }
        if not world.full:
            world.saved.append(after)
            world.marks = set(rights.values())
        elif gives_rights(self.state, after):
            return
        self.state = after

    @rule(
        guest=st.sampled_from(GUESTS),
        ttl=st.integers(1, 4000),
        access=st.sampled_from(Access),
        conditions=st.just(Conditions()) | conditions,
    )
    def invite(self, guest: str, ttl: int, access: Access, conditions: Conditions) -> None:
        new = invitation(
            guest,
            id=f"i{self.world.fresh()}",
            issued_at=int(self.now),
            ttl=ttl,
            access=access,
            keys=(key(guest), key(guest + "-laptop")),
            conditions=conditions,
        )
        self.request(Invite(f"s{self.world.fresh()}", (new,), 22, max_ttl=MAX_TTL))

    @precondition(lambda self: self.state.live)
    @rule(data=st.data(), seconds=st.integers(-100, 4000))
    def extend(self, data: st.DataObject, seconds: int) -> None:
        invited = data.draw(st.sampled_from(self.state.live))
        self.request(Extend(invited.id, invited.expires_at + seconds, MAX_TTL))

    @precondition(lambda self: self.state.live)
    @rule(data=st.data(), access=st.sampled_from(Access))
    def set_access(self, data: st.DataObject, access: Access) -> None:
        self.request(SetAccess(data.draw(st.sampled_from(self.state.live)).id, access))

    @precondition(lambda self: self.state.live)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        self.request(Revoke((data.draw(st.sampled_from(self.state.live)).id,)))

    @rule()
    def end(self) -> None:
        self.request(End())

    @rule(event=st.sampled_from([CommandPrinted, CommandAnnounced]), host=st.sampled_from("ab"))
    def endpoint_is_printed_or_announced(
        self, event: type[CommandPrinted | CommandAnnounced], host: str
    ) -> None:
        live = [invited.id for invited in self.state.live if invited.deadline > self.now]
        self.request(event(HostPort(host, 22)))
        assert [invited.id for invited in self.state.live] == live

    @rule(seconds=st.floats(0.1, 3000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(network=st.sampled_from(["home", "office", None]))
    def laptop_moves(self, network: str | None) -> None:
        self.world.lane.place = network

    @rule()
    def router_reboots(self) -> None:
        for router in self.world.lane.routers.values():
            router.rows.clear()

    @precondition(lambda self: self.world.door is not None and self.world.grants)
    @rule(data=st.data())
    def guest_enters(self, data: st.DataObject) -> None:
        grant = data.draw(st.sampled_from(self.world.grants))
        if grant.expires_at >= self.now:  # sshd's own lock, expiry-time
            pid = self.world.fresh()
            try:
                self.change(Came(grant.invitation))
            except Refused:
                return
            self.world.connections[pid] = plan.Connection(pid, True, grant.invitation)

    @precondition(lambda self: self.world.connections)
    @rule(data=st.data())
    def guest_leaves(self, data: st.DataObject) -> None:
        pid = data.draw(st.sampled_from(sorted(self.world.connections)))
        gone = self.world.connections.pop(pid)
        left = {connection.invitation for connection in self.world.connections.values()}
        if gone.invitation and gone.invitation not in left:
            self.change(Went(gone.invitation))

    @precondition(lambda self: self.state.live)
    @rule(data=st.data())
    def somebody_types(self, data: st.DataObject) -> None:
        invited = data.draw(st.sampled_from(self.state.live))
        self.change(Active(invited.id, int(self.now)))

    @precondition(lambda self: self.world.door is not None)
    @rule()
    def stranger_knocks(self) -> None:
        pid = self.world.fresh()
        self.world.connections[pid] = plan.Connection(pid, False, None)

    @rule(full=st.booleans())
    def disk_fills(self, *, full: bool) -> None:
        self.world.full = full

    @rule(lost=st.integers(0, 3), back=st.sampled_from([0, 0, 0, 5, 3600]))
    def killed(self, lost: int, back: float) -> None:
        """kill -9, then a new start, which ends the connections that the journal names.

        The last saved states may be `lost`, and the clock set `back`.
        """
        world, before = (
            self.world,
            {invited.id: invited.rights for invited in self.state.live},
        )
        world.door = None
        world.connections.clear()
        world.lane.crash()
        del world.saved[max(len(world.saved) - lost, 1) :]
        self.state = world.saved[-1]
        self.change(Begin(frozenset(world.marks), bool(back), MAX_TTL))
        assert all(before[invited.id].cover(invited.rights) for invited in self.state.live)
        assert not (back and self.state.live)

    # What the daemon does.

    @rule(budget=st.integers(0, 6), unobservable=st.booleans())
    def disturbed_pass(self, budget: int, *, unobservable: bool) -> None:
        self.world.budget = budget
        self.unobservable = unobservable
        try:
            self.reconcile()
        except Broken:
            pass
        finally:
            self.world.budget = None
            self.unobservable = False

    @rule()
    def quiet_pass(self) -> None:
        self.reconcile()
        self.nothing_outlives_its_invitation()
        assert self.access_actions() == []
        # A lost mapping is found missing at a look, which the first round may be too early for.
        self.reconcile()
        assert self.world.lane.idle()

    def reconcile(self) -> None:
        self.change(Tick())
        self.change(Rested())
        for action in self.access_actions():
            self.world.effect()
            self.apply_access(action)
        self.world.lane.now = self.now
        self.world.lane.round(self.ports())

    def access_actions(self) -> list[plan.AccessAction]:
        world = self.world
        return plan.access(
            plan.desired(self.state, self.now),
            plan.Observed(
                None if self.unobservable else world.grants,
                world.door,
                tuple(world.connections.values()),
            ),
        )

    def apply_access(self, action: plan.AccessAction) -> None:
        match action:
            case plan.WriteGrants(grants):
                self.world.grants = grants
            case plan.CloseDoor():
                self.world.door = None
            case plan.Cut(pid):
                del self.world.connections[pid]
            case plan.OpenDoor(port):
                self.world.door = port or 40000

    def ports(self) -> tuple[int, int] | None:
        return None if self.world.door is None else (self.world.door, 22)

    # What must hold.

    def nothing_outlives_its_invitation(self) -> None:
        live = {invited.id: invited for invited in self.state.live if invited.is_open(self.now)}
        world = self.world
        # The keys of one visit go when it begins; whoever is in stays.
        may_come = {invited.id for invited in live.values() if not invited.rights.used}
        assert {grant.invitation for grant in world.grants} == may_come
        assert (world.door is not None) == bool(live)
        assert {
            connection.invitation
            for connection in world.connections.values()
            if connection.authenticated
        } <= set(live)
        assert live or not world.connections
        network = world.lane.at()
        here = [
            entry
            for entry in world.lane.journal.values()
            if network and entry.network == network.identity
        ]
        if not live:
            assert here == []

    @invariant()
    def every_mapping_on_a_router_is_in_the_journal(self) -> None:
        for router in self.world.lane.routers.values():
            assert {owner for owner, _ in router.rows.values()} <= set(self.world.lane.journal)

    @invariant()
    def no_deadline_is_further_ahead_than_max_ttl(self) -> None:
        for invited in self.state.live:
            assert invited.expires_at <= max(self.now, invited.conditions.opens_at or 0) + MAX_TTL

    @invariant()
    def nobody_is_in_before_it_opens(self) -> None:
        opens = {invited.id: invited.conditions.opens_at or 0 for invited in self.state.live}
        for connection in self.world.connections.values():
            assert opens.get(connection.invitation or "", 0) <= self.now

    @invariant()
    def one_visit_is_one_visit(self) -> None:
        session = self.state.session
        for invited in session.invitations if session else ():
            if not invited.live:  # they are cut with the next pass, however many have just come
                continue
            visits = [
                connection
                for connection in self.world.connections.values()
                if connection.invitation == invited.id
            ]
            assert not invited.conditions.once or len(visits) <= 1

    @invariant()
    def a_session_has_an_endpoint_only_while_somebody_may_enter(self) -> None:
        session = self.state.session
        assert not session or session.live or (session.printed, session.announced) == (None, None)

    @invariant()
    def a_printed_endpoint_is_announced(self) -> None:
        session = self.state.session
        assert not session or not session.printed or session.announced

    @invariant()
    def what_is_over_stays_over(self) -> None:
        assert not self.over & {invited.id for invited in self.state.live}
        session = self.state.session
        self.over |= (
            {invited.id for invited in session.invitations if not invited.live}
            if session
            else set()
        )


TestDaemon = Daemon.TestCase
TestDaemon.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
