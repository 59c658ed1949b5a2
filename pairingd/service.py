"""The verbs of the control socket. Each changes the intent, then waits until the world follows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor

import pairingd
from pairingd import report
from pairingd.clock import Clock
from pairingd.config import Settings
from pairingd.core import rules
from pairingd.core.durations import utc
from pairingd.core.guest import Guest, few, find, parse_guests
from pairingd.core.model import Access, Invitation, Mapping
from pairingd.core.text import quoted, shell
from pairingd.core.ways import (
    Endpoint,
    Ways,
    endpoint_changed,
    ssh_command,
    unclosed,
    way_told,
)
from pairingd.errors import Misconfigured, PairingError, WorldError
from pairingd.intent import Intent
from pairingd.protocol import results, wire
from pairingd.reconcile.access import AccessLane
from pairingd.reconcile.lane import Lane
from pairingd.reconcile.mapping import MappingLane
from pairingd.reconcile.relay import RelayLane
from pairingd.store import Store
from pairingd.user import user_name
from pairingd.world.gateway.refusals import search_unwanted
from pairingd.world.gateway.router import Router
from pairingd.world.identity import Fetched, IdentityProviders
from pairingd.world.network import lan_address
from pairingd.world.sshd import HostKey, Sshd
from pairingd.world.tmux import Running, Tmux

ROUTER_PATIENCE = 12.0  # seconds an invitation waits for the router; the work goes on afterwards

OTHERS_PATIENCE = 8.0  # and for IPv6 or a relay, where the router has not helped

CLOSING_PATIENCE = 2.0  # seconds that who ends it all waits for the ways in to be closed behind

Notify = Callable[[results.Progress], None]


@dataclass(slots=True)
class Service:
    """The verbs are the methods of control.protocol, by name. Each answers JSON of control.results,
    or raises PairingError and has changed nothing; but see `_change`.
    """

    settings: Settings
    store: Store
    intent: Intent
    providers: IdentityProviders
    sshd: Sshd
    tmux: Tmux
    access: AccessLane
    router: Router
    mapping: MappingLane
    pinhole: MappingLane
    relay: RelayLane
    clock: Clock
    started_at: float
    request_stop: Callable[[], None]

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return self.access, self.mapping, self.pinhole, self.relay

    async def hello(self) -> results.Hello:
        """The client compares the versions; a daemon cannot mend a client."""
        return {
            "version": pairingd.__version__,
            "protocol": wire.PROTOCOL,
            "pid": os.getpid(),
            "session": self.tmux.session,
            "tmux": self.tmux.command,
            "tmux_socket": str(self.tmux.socket),
        }

    async def invite(
        self,
        notify: Notify,
        *,
        guests: Sequence[str],
        ttl: int | None = None,
        access: str | None = None,
        port: int | None = None,
    ) -> results.Invited:
        """All the guests or none; returns once they can enter, as far as can be seen from here."""
        ttl = ttl or self.settings.config.guests.ttl
        if ttl > self.settings.config.guests.max_ttl:
            raise rules.too_long(self.settings.config.guests.max_ttl)
        if not self.intent.state.live:
            self.clock.trust()
        wanted = parse_guests(guests, self.settings.config.providers)
        looking = asyncio.create_task(self.mapping.warm_up())
        try:
            await self.sshd.prepare()
            fetched = await self._fetch(wanted, notify)
            await self._require_session(notify)
            ids = self._invite(fetched, ttl, access, port)
        except BaseException:
            looking.cancel()
            raise
        await self._open_door(ids, notify)
        await self._wait_for_router(notify)
        await self._wait_for_other_ways()
        warnings = [report.problem(each) for one in fetched.values() for each in one.warnings]
        return await self._invited(ids, warnings)

    async def gateway(self, notify: Notify, *, description_urls: Sequence[str]) -> results.Gateway:
        """For a daemon that macOS refuses the search, and not the talk with the gateway itself."""
        if not self.mapping.enabled:
            raise search_unwanted()
        network = await self.mapping.look_around()
        if network and network.gateway:
            await self.router.told(network, description_urls)
        await self._wait_for_router(notify, anew=True)
        return {"mapping": self._mapping()}

    async def show(self, *, guest: str) -> results.Invited:
        return await self._invited([self._live(guest).id], [])

    async def status(
        self,
        *,
        all: bool = False,  # noqa: A002 - the protocol's word
    ) -> results.Status:
        state = self.intent.state
        shown: Sequence[Invitation] = state.live
        if all:
            shown = [one for session in self.store.sessions() for one in session.invitations]
        running, clients = await self._observe_session()
        port = self.access.door.port
        connections = self.access.door.connections.values()
        warnings = self._warnings()
        try:
            endpoints = self._told_endpoints()
        except Misconfigured as no_account:
            endpoints = []
            if (problem := report.problem(no_account)) not in warnings:
                warnings.append(problem)
        return {
            "daemon": {
                "version": pairingd.__version__,
                "pid": os.getpid(),
                "started_at": utc(self.started_at),
            },
            "session": {
                "name": self.tmux.session,
                "socket": str(self.tmux.socket),
                "running": running,
                "clients": clients,
            },
            "invitations": [report.invitation(one, connections) for one in shown],
            "door": {"open": port is not None, "port": port},
            "mapping": self._mapping(),
            "endpoints": endpoints,
            "warnings": warnings,
        }

    async def extend(
        self, *, guest: str, seconds: int | None = None, until: datetime | None = None
    ) -> results.Changed:
        invitation = self._live(guest)
        if (seconds is None) == (until is None):
            raise PairingError(
                "bad-deadline", "name either a duration or a time", "pairctl extend GUEST 1h"
            )
        if until is not None:
            expires_at = floor(until.timestamp())
        else:
            expires_at = invitation.expires_at + (seconds or 0)
        return await self._change(
            rules.Extend(invitation.id, expires_at, self.settings.config.guests.max_ttl),
            [invitation.id],
        )

    async def revoke(self, *, guests: Sequence[str]) -> results.Changed:
        ids = tuple(self._live(guest).id for guest in few(guests))
        return await self._change(rules.Revoke(ids), ids)

    async def role(self, *, guest: str, access: str) -> results.Changed:
        invitation = self._live(guest)
        return await self._change(rules.SetAccess(invitation.id, Access(access)), [invitation.id])

    async def end(self) -> results.Changed:
        ids = [one.id for one in self.intent.state.live]
        return await self._change(rules.End(), ids)

    async def log(self, *, after: int = 0, limit: int = 1000) -> results.Log:
        events = self.store.history(after, limit)
        return {"events": [report.event(one) for one in events]}

    async def receipt(self, *, session: str | None = None) -> results.Receipt:
        last = self.store.session_ids(5)
        if session is None:
            if not last:
                raise PairingError("no-session", "there was no session yet", "pairctl invite GUEST")
            session = last[-1]
        found = self.store.session(session)
        if found is None:
            known = ", ".join(last) or "none"
            raise PairingError(
                "no-such-session", f"no session {quoted(session)}", f"the last ones: {known}"
            )
        connections = self.access.door.connections.values()
        return report.receipt(found, self.store.history_of(found.id), connections)

    async def config(self) -> results.Settings:
        return report.settings(self.settings)

    async def stop(self) -> results.Stopping:
        self.request_stop()
        return {"pid": os.getpid()}

    async def _fetch(self, guests: list[Guest], notify: Notify) -> dict[Guest, Fetched]:
        notify({"step": "keys", "state": "begun", "text": "fetching keys"})
        try:
            fetched = await self.providers.fetch_all(guests)
        except PairingError as error:
            notify({"step": "keys", "state": "failed", "text": error.message})
            raise
        count = sum(len(one.keys) for one in fetched.values())
        text = f"{count} key{'' if count == 1 else 's'}"
        notify({"step": "keys", "state": "done", "text": text})
        return fetched

    async def _require_session(self, notify: Notify) -> None:
        running = await self.tmux.running()
        if running is Running.YES:
            notify({"step": "session", "state": "done", "text": self.tmux.session})
            return
        notify({"step": "session", "state": "failed", "text": "no tmux session"})
        if not self.tmux.command:
            raise Misconfigured(
                "no-tmux", "there is no tmux", "install it: apt install tmux, brew install tmux"
            )
        if running is Running.UNKNOWN:
            raise self.tmux.unknown()
        raise WorldError(
            "no-session",
            "the shared tmux session is not running",
            shell(
                *("tmux", "-S", str(self.tmux.socket)),
                *("new-session", "-d", "-s", self.tmux.session),
            ),
        )

    def _invite(
        self, fetched: dict[Guest, Fetched], ttl: int, access: str | None, port: int | None
    ) -> tuple[str, ...]:
        now = floor(self.clock())
        session = self.intent.state.session
        in_use = session.external_port if session and session.live else None
        invitations = tuple(
            Invitation(
                id=secrets.token_hex(4),
                guest=str(guest),
                access=Access(access or self.settings.config.guests.access),
                keys=one.keys,
                issued_at=now,
                expires_at=now + ttl,
            )
            for guest, one in fetched.items()
        )
        self.intent.apply(
            rules.Invite(
                session=secrets.token_hex(4),
                invitations=invitations,
                external_port=port or in_use or self.settings.config.router.external_port,
                port_chosen=port is not None,
            )
        )
        return tuple(one.id for one in invitations)

    async def _open_door(self, ids: tuple[str, ...], notify: Notify) -> None:
        """Or withdraw the invitations whole: nobody has been told of them yet."""
        notify({"step": "door", "state": "begun", "text": "opening the door"})
        await self.access.settle()
        port = self.access.door.port
        # The pass may be well and the door shut: pairingd ends, or tmux has ended meanwhile.
        if failure := self.access.error or (None if port else _door_shut()):
            live = {one.id for one in self.intent.state.live}
            self.intent.apply(rules.Revoke(tuple(one for one in ids if one in live)))
            notify({"step": "door", "state": "failed", "text": failure.message})
            raise failure
        notify({"step": "door", "state": "done", "text": f"open on port {port}"})

    async def _wait_for_router(self, notify: Notify, *, anew: bool = False) -> None:
        if not self.mapping.wanted:
            return
        notify({"step": "router", "state": "begun", "text": "asking the router"})
        try:
            async with asyncio.timeout(ROUTER_PATIENCE):
                # What is known of this door's mapping holds for the next guest, too; a router
                # that failed is asked again in the background, unless it is worth it now.
                if anew or not (self.mapping.current or self.mapping.error):
                    await self.mapping.settle()
        except TimeoutError:
            notify({"step": "router", "state": "failed", "text": "the router is slow"})
            return
        held = self.mapping.current
        if held:
            text = f"forwards port {held.external_port}"
            notify({"step": "router", "state": "done", "text": text})
        elif self.mapping.error:
            text = self.mapping.error.message
            notify({"step": "router", "state": "failed", "text": text})

    async def _wait_for_other_ways(self) -> None:
        """They have begun when the door opened; without the router they are worth a moment more."""
        if self._ways().reachability(self.mapping.error) == "internet":
            return
        begun: list[Lane] = []
        if self.pinhole.wanted and not (self.pinhole.current or self.pinhole.error):
            begun.append(self.pinhole)
        if self.relay.wanted and not (self.relay.current or self.relay.error):
            begun.append(self.relay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OTHERS_PATIENCE):
                await asyncio.gather(*(lane.settle() for lane in begun))

    async def _wait_for_closing(self) -> None:
        """They lead to a shut door by now, so a slow router is not worth a longer wait."""
        ways = (self.mapping, self.pinhole, self.relay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_PATIENCE):
                await asyncio.gather(*(lane.settle() for lane in ways))

    def _unclosed(self, ways: Sequence[Mapping]) -> list[results.Problem]:
        """Which of `ways` are not seen to be gone."""
        left = {one.id for one in self.store.mappings()}
        return [report.problem(unclosed(one)) for one in ways if one.id in left]

    def _mapping(self) -> results.MappingInfo | None:
        lane = self.mapping
        gateway = lane.network.gateway if lane.network else ""
        return report.mapping(lane.current, lane.error, gateway, wanted=lane.wanted)

    async def _change(self, event: rules.Event, ids: Sequence[str]) -> results.Changed:
        """What could not be done yet is a warning, for the change holds; but an error where
        somebody who is inside may still use what was taken away.
        """
        ways = [lane.current for lane in (self.mapping, self.pinhole)]
        self.intent.apply(event)
        await self.access.settle()
        failure = self.access.error
        troubles = {one.code: one for one in (failure, self.intent.unsaved) if one}
        warnings = [report.problem(one) for one in troubles.values()]
        if ids and self.access.door.port is None:
            await self._wait_for_closing()
            warnings += self._unclosed([one for one in ways if one])
        told = self._told(ids)
        inside = any(one["connections"] for one in told)
        if failure and inside and not isinstance(event, rules.Extend):
            raise failure
        return {"invitations": told, "warnings": warnings}

    def _told(self, ids: Sequence[str]) -> list[results.InvitationInfo]:
        session = self.intent.state.session
        connections = self.access.door.connections.values()
        return [
            report.invitation(one, connections)
            for one in (session.invitations if session else ())
            if one.id in ids
        ]

    def _live(self, query: str) -> Invitation:
        live = {one.guest: one for one in self.intent.apply(rules.Tick()).live}
        return live[find(query, list(live))]

    async def _invited(
        self, ids: Sequence[str], warnings: list[results.Problem]
    ) -> results.Invited:
        host_key = await self.sshd.host_key()
        endpoints, user = self._endpoints(), user_name()
        if not endpoints:
            raise self.access.error or _door_shut()
        best = endpoints[0]
        self.intent.apply(rules.WayTold(way_told(endpoints)))
        return {
            "invitations": self._told(ids),
            "command": ssh_command(user, best.host, best.port),
            "pinned_command": report.pinned(user, best.host, best.port, host_key),
            "endpoints": [report.endpoint(user, one) for one in endpoints],
            "host_key": self._host_key(best, host_key),
            "reachability": self._ways().reachability(self.mapping.error),
            "warnings": [*warnings, *self._warnings()],
        }

    @staticmethod
    def _host_key(best: Endpoint, host_key: HostKey) -> results.HostKey:
        return {
            "type": host_key.type,
            "fingerprint": host_key.fingerprint,
            "known_hosts": report.known_hosts(best.host, best.port, host_key),
        }

    def _told_endpoints(self) -> list[results.Endpoint]:
        """Raises Misconfigured `no-account`."""
        return [report.endpoint(user_name(), one) for one in self._endpoints()]

    def _endpoints(self) -> list[Endpoint]:
        """None while the door is shut."""
        port = self.access.door.port
        if port is None:
            return []
        lan_host = self.settings.config.door.address or lan_address() or "127.0.0.1"
        return self._ways().endpoints(lan_host, port)

    def _ways(self) -> Ways:
        return Ways(
            mapping=self.mapping.current,
            pinhole=self.pinhole.current,
            by_hand=self._by_hand(),
            relay=self.relay.current,
            seen=self.mapping.seen | self.pinhole.seen,
        )

    def _by_hand(self) -> tuple[str, int] | None:
        router, session = self.settings.config.router, self.intent.state.session
        if router.enabled or not router.external_host or session is None:
            return None
        return router.external_host, session.external_port

    def _warnings(self) -> list[results.Problem]:
        found: list[results.Problem] = []
        if os.getuid() == 0:
            found.append(
                {
                    "code": "running-as-root",
                    "message": "pairingd runs as root: a write guest is root here",
                    "hint": "run it as a normal user, unless this is a container made for it",
                }
            )
        if self.store.set_aside:
            found.append(
                {
                    "code": "state-unreadable",
                    "message": "the stored state could not be read; everything was closed",
                    "hint": f"it was set aside as {self.store.set_aside}; invite the guests again",
                }
            )
        if changed := endpoint_changed(self.intent.state.session):
            found.append(report.problem(changed))
        found += map(report.problem, self._ways().problems())
        if self.mapping.error and self.mapping.wanted:
            found.append(report.problem(self.mapping.error))
        if self.relay.error and self.relay.wanted:
            found.append(report.problem(self.relay.error))
        troubles = (*self.intent.withdrawn, self.access.error, self.intent.unsaved)
        found += [
            report.problem(one) for one in {one.code: one for one in troubles if one}.values()
        ]
        return found

    async def _observe_session(self) -> tuple[bool, int]:
        if not self.tmux.socket.exists():
            return False, 0
        try:
            return True, len(await self.tmux.terminals())
        except WorldError:
            return False, 0


def _door_shut() -> WorldError:
    return WorldError("door-shut", "the door is not open", "pairctl status shows why")
