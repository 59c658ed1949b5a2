"""The machine: its user, what starts the daemon, its firewall, its SSH server, its sleep."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from pairingd.core.text import shell
from pairingd.doctor.command import output
from pairingd.doctor.finding import Finding, State, Subject, exists, home, tilde
from pairingd.errors import Misconfigured
from pairingd.home.paths import config_home
from pairingd.machine.user import user_name

_AGENTS = ("io.github.pairing.pairingd", "homebrew.mxcl.pairing")  # of `install`, of Homebrew
_FIREWALL = "/usr/libexec/ApplicationFirewall/socketfilterfw"
_SSHDS = frozenset({"sshd", "sshd-session", "sshd-auth"})  # recent systems list them as Block
# firewalld's zones that let anyone reach a high port.
_OPEN_ZONES = frozenset({"trusted", "FedoraWorkstation"})
_EXAMPLE_PORT = 49222
_BANNER_TIMEOUT_S = 2.0


async def user(_subject: Subject) -> AsyncIterator[Finding]:
    try:
        name = user_name()
    except Misconfigured as error:
        yield Finding.fail("user", error.message, error.hint)
        return
    if os.geteuid() != 0:
        yield Finding.ok("user", f"write guests are {name} here")
        return
    danger = "pairing runs as root: write guests are root here"
    yield Finding.warn("user", danger, "run it as an ordinary user, unless in a container")


async def service(_subject: Subject) -> AsyncIterator[Finding]:
    """Whether launchd or systemd starts the daemon at login; otherwise `pairctl` does."""
    finding = await (_launchd() if sys.platform == "darwin" else _systemd())
    none = "not installed to start at login; pairctl starts the daemon when it is needed"
    yield finding or Finding.ok("service", none)


async def _launchd() -> Finding | None:
    agents = (home() / "Library" / "LaunchAgents" / f"{label}.plist" for label in _AGENTS)
    agent = next(filter(exists, agents), None)
    if agent is None:
        return None
    answer = await output("/bin/launchctl", "print", f"gui/{os.getuid()}/{agent.stem}")
    if answer is not None and answer[0] == 0:
        return Finding.ok("service", f"launchd has {agent.stem}")
    return Finding.warn(
        "service",
        f"{tilde(agent)} is installed, and launchd has not loaded it",
        "allow it in System Settings > General > Login Items, then pairctl install",
    )


async def _systemd() -> Finding | None:
    """The state by its name in systemctl(1); a message about the bus is none."""
    unit = Path(config_home(os.environ, str(home())), "systemd", "user", "pairingd.service")
    if not exists(unit):
        return None
    status, printed = await output("systemctl", "--user", "is-active", "pairingd") or (1, "")
    if status == 0:
        return Finding.ok("service", "systemd runs pairingd.service")
    state = printed.strip()
    if not re.fullmatch(r"[a-z-]+", state):
        return Finding.warn(
            "service",
            f"{tilde(unit)} is installed, and the user's systemd does not answer",
            "log in as that user: after sudo or su there is none",
        )
    return Finding.warn(
        "service",
        f"{tilde(unit)} is installed, and pairingd.service is {state}",
        "pairctl start; journalctl --user -u pairingd may say why",
    )


async def remote_login(subject: Subject) -> AsyncIterator[Finding]:
    """The system's own sshd: a router that ignores the internal port forwards guests to it."""
    if not await _greets_as_ssh("127.0.0.1", 22):
        yield Finding.ok("remote-login", "no SSH server of the system's own on port 22")
        return
    listening = "an SSH server of the system's own listens on port 22"
    router = subject.settings.config.router
    if not router.enabled or router.external_port != 22:
        yield Finding.ok("remote-login", listening)
        return
    remedy = "switch it off (Remote Login), or set [router] external_port to a high one"
    if sys.platform != "darwin":
        remedy = "switch it off if you can, or set [router] external_port to a high one"
    yield Finding.warn(
        "remote-login", f"{listening}; some routers would forward guests to it", remedy
    )


async def _greets_as_ssh(host: str, port: int) -> bool:
    """RFC 4253 §4.2."""
    try:
        async with asyncio.timeout(_BANNER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return await reader.readexactly(4) == b"SSH-"
            finally:
                writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return False


async def firewall(subject: Subject) -> AsyncIterator[Finding]:
    if sys.platform == "darwin":
        options = ("--getglobalstate", "--getblockall", "--listapps")
        answers = [await output(_FIREWALL, option) for option in options]
        state, block_all, apps = (answer[1] if answer else "" for answer in answers)
        yield application_firewall(state, block_all, apps, image(subject.daemon.pid))
        return
    name = await _packet_filter()
    port = subject.settings.config.door.port
    if not name:
        unseen = "" if os.geteuid() == 0 else "; nftables shows its rules to root alone"
        yield Finding.ok("firewall", f"neither ufw nor firewalld filters the door{unseen}")
        return
    if port:
        yield Finding.ok("firewall", f"{name} is on; it must allow the door's port {port}")
        return
    allow = {
        "ufw": f"ufw allow {_EXAMPLE_PORT}/tcp",
        "firewalld": f"firewall-cmd --permanent --add-port={_EXAMPLE_PORT}/tcp",
    }.get(name, f"tcp dport {_EXAMPLE_PORT} accept")
    drops = f"{name} is on, and may drop connections to the door's random port"
    yield Finding.warn(
        "firewall", drops, f"set [door] port = {_EXAMPLE_PORT}, and allow it: {allow}"
    )


def image(pid: int) -> str:
    """The program that process `pid` runs, from the kernel; 0 for this process.

    A framework's `bin/python3` only execs `…/Python.app/Contents/MacOS/Python`, but is itself
    in sys.executable.
    """
    import psutil

    try:
        return psutil.Process(pid or None).exe()
    except psutil.Error:
        return psutil.Process().exe()


def application_firewall(state: str, block_all: str, apps: str, image: str) -> Finding:
    """From the output of socketfilterfw --getglobalstate, --getblockall and --listapps.

    `image` is the program that accepts the door's connections and hands them to sshd.
    """
    if not state:
        problem = "the firewall's state could not be read"
        return Finding.warn("firewall", problem, "see System Settings > Network > Firewall")
    if re.search(r"State = 0", state):
        return Finding.ok("firewall", "macOS's application firewall is off")
    settings = "System Settings > Network > Firewall > Options"
    if re.search(r"State = 2", state) or re.search(
        r"set to block all|block all (state set to )?enabled", block_all, re.IGNORECASE
    ):
        blocks = "macOS's firewall blocks all incoming connections"
        return Finding.fail("firewall", blocks, f"switch that off in {settings}")
    if not apps.strip():
        unseen = "macOS's firewall is on and does not show its rules"
        listed = shell("sudo", _FIREWALL, "--listapps")
        return Finding.warn("firewall", unseen, f"Python and sshd must be allowed in: {listed}")
    rules = re.findall(r"^\s*\d+\s*:\s*(\S.*?)\s*\n\s*\(\s*(Allow|Block)", apps, re.MULTILINE)
    blocked = [path for path, rule in rules if rule == "Block"]
    programs = [path for path in blocked if _is_image(path, image)]
    sshds = [path for path in blocked if Path(path).name in _SSHDS]
    unblock = "; ".join(
        shell("sudo", _FIREWALL, "--unblockapp", path) for path in (*programs, *sshds)
    )
    if programs:
        return Finding.fail("firewall", f"macOS's firewall blocks {programs[0]}", unblock)
    asks = not any(_is_image(path, image) for path, _ in rules)
    add = shell("sudo", _FIREWALL, "--add", image)
    if sshds:
        blocks = f"macOS's firewall blocks {', '.join(sshds)}, and may cut guests off"
        return Finding.warn("firewall", blocks, f"{unblock}; {add}" if asks else unblock)
    if asks:
        problem = "macOS's firewall may ask once whether python may accept connections"
        return Finding.warn("firewall", problem, f"answer Allow; or: {add}")
    return Finding.ok("firewall", "macOS's firewall allows the door's connections")


def _is_image(path: str, image: str) -> bool:
    """Whether a rule's path is `image`, or a bundle that contains it."""
    bundles = [str(parent) for parent in Path(image).parents if parent.suffix == ".app"]
    names = {image, *bundles}
    return path in names or os.path.realpath(path) in {os.path.realpath(name) for name in names}


async def _packet_filter() -> str:
    """The packet filter that is on, as far as this user may see; "" for none."""
    conf = Path("/etc/ufw/ufw.conf")
    with contextlib.suppress(OSError):
        if ufw_is_on(conf.read_text("ascii", "replace")):
            return "ufw"
    state = await output("firewall-cmd", "--state")
    if state is not None and state[0] == 0:
        zone = await output("firewall-cmd", "--get-default-zone")
        return "" if zone is not None and zone[1].strip() in _OPEN_ZONES else "firewalld"
    if os.geteuid() == 0:
        rules = await output("nft", "list", "ruleset")
        if rules is not None and drops_input(rules[1]):
            return "nftables"
    return ""


def ufw_is_on(conf: str) -> bool:
    """From ufw.conf, which a shell reads."""
    return re.search(r"""^ENABLED=["']?yes\b""", conf, re.MULTILINE | re.IGNORECASE) is not None


def drops_input(ruleset: str) -> bool:
    """nft(8): whether a base chain at the input hook has the policy drop."""
    return re.search(r"hook input [^;]*; policy drop;", ruleset) is not None


async def sleep(_subject: Subject) -> AsyncIterator[Finding]:
    if sys.platform == "darwin":
        answer = await output("/usr/bin/pmset", "-g")
        yield sleep_settings(answer[1] if answer else "")
        return
    if not any(Path("/proc/acpi/button").glob("lid/*")):
        return
    lid = "closing the lid may suspend this machine, and every guest with it"
    yield Finding("sleep", State.OK, lid, "HandleLidSwitch in logind.conf(5) decides")


def sleep_settings(text: str) -> Finding:
    """From `pmset -g`: the idle minutes until sleep, 0 for never."""
    minutes = re.search(r"^\s*sleep\s+(\d+)", text, re.MULTILINE)
    disabled = re.search(r"^\s*SleepDisabled\s+1", text, re.MULTILINE)
    idle = f"sleeps when idle for {minutes[1]} min" if minutes and minutes[1] != "0" else ""
    if disabled or (minutes and not idle):
        return Finding.ok("sleep", "this machine does not sleep by itself")
    lid = "closing the lid cuts every guest off"
    return Finding("sleep", State.OK, f"{idle}; {lid}" if idle else lid, "keep it open, on mains")


def macos() -> tuple[int, int]:
    """The version of macOS; zeros on another system."""
    parts = [*platform.mac_ver()[0].split("."), "0", "0"][:2]
    return int(parts[0] or 0), int(parts[1] or 0)
