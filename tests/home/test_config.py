from __future__ import annotations

import os
from pathlib import Path

import pytest

from pairingd.errors import Misconfigured
from pairingd.home.config import Config, load, parse
from pairingd.replies import report


def refusal(text: str | bytes) -> Misconfigured:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(Misconfigured) as caught:
        parse(content, "config.toml")
    assert caught.value.code == "bad-config"
    assert caught.value.message.startswith("config.toml: ")
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_without_a_file_the_defaults_are_in_force(tmp_path: Path) -> None:
    assert load(tmp_path / "config.toml").config == Config()


def test_the_documented_defaults() -> None:
    shown = {
        setting["key"]: setting["value"]
        for setting in report.settings(load(Path("/nowhere")))["settings"]
    }
    assert shown["guests.ttl"] == "2h"
    assert shown["guests.max_ttl"] == "24h"
    assert shown["router.external_port"] == 22
    assert shown["router.protocols"] == ["pcp", "natpmp", "upnp"]
    assert shown["router.lease"] == "10m"
    assert shown["tmux.session"] == "pairing"
    assert shown["sshd.command"] == "/usr/sbin/sshd"
    assert shown["providers.github.keys_url"] == "https://github.com/{name}.keys"


def test_each_setting_is_shown_with_its_source() -> None:
    settings = report.settings(parse(b'[guests]\nttl = "90m"', "here.toml"))["settings"]
    sources = {setting["key"]: (setting["value"], setting["source"]) for setting in settings}
    assert sources["guests.ttl"] == ("90m", "here.toml")
    assert sources["guests.access"] == ("write", "default")


def test_a_configured_provider_is_added_to_the_known_ones() -> None:
    text = b'[providers.work]\nkeys_url = "https://git.example.org/{name}.keys"'
    assert {"github", "work"} <= set(parse(text, "x").config.providers)


@pytest.mark.parametrize("name", ["team", "Team", "my_team", "my-team", "2026"])
def test_a_group_has_any_bare_name_and_files_of_the_home_directory(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/mark")
    text = f'[groups]\n{name} = ["octocat", "gitlab:ann", "file:~/ann.pub", "FILE:/bob.pub"]'
    assert parse(text.encode(), "x").config.groups[name] == (
        *("octocat", "gitlab:ann"),
        *("file:/home/mark/ann.pub", "FILE:/bob.pub"),
    )


def test_the_default_ttl_is_at_most_max_ttl() -> None:
    settings = parse(b'[guests]\nmax_ttl = "1h"', "here.toml")
    shown = {one["key"]: one for one in report.settings(settings)["settings"]}
    assert shown["guests.ttl"] == {"key": "guests.ttl", "value": "1h", "source": "default"}
    assert parse(b'[guests]\nmax_ttl = "3h"', "here.toml").config.guests.ttl == 7200


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ('[guests]\nttk = "2h"', "guests.ttk", "ttl, max_ttl, access"),
        ("[guest]\n", "guest", "guests"),
        ('[guests]\nttl = "soon"', "guests.ttl", "1h30m"),
        ('[guests]\nttl = "3h"\nmax_ttl = "2h"', "guests.max_ttl", "no shorter"),
        ("[guests]\nttl = 7200", "guests.ttl", "in quotes"),
        ('[guests]\nttl = "0s"', "guests.ttl", "1h30m"),
        ('[guests]\nttl = "2d"', 'guests.max_ttl, "24h"', 'no shorter than "2d"'),
        ('[guests]\nttl = "2h"\nmax_ttl = "1h"', 'guests.max_ttl, "1h"', "shorten guests.ttl"),
        ("guests = 1", "guests = 1", "a table"),
        ("[door]\nport = true", "door.port = true", "integer"),
        ("[door]\nport = 2020-01-01", "door.port = 2020-01-01", "integer"),
        ("[router]\nprotocols = []", "router.protocols = []", "enabled = false"),
        ('[router]\nprotocols = "upnp"', "router.protocols", "a list of 'pcp', 'natpmp' or 'upnp'"),
        ("[router]\nlease = 600", "router.lease = 600", 'a duration in quotes from "5s" to "7d"'),
        (
            '[box]\nread = "~"',
            "box.read = '~'",
            "a list of paths in quotes that begin with / or ~/",
        ),
        (
            "[box]\nread = [5]",
            "box.read = [5]",
            "a list of paths in quotes that begin with / or ~/",
        ),
        ("[box]\nenv = 5", "box.env = 5", "a list of names of environment variables"),
        ('[box]\nprocesses = "9"', "box.processes = '9'", "an integer from 0 to 1000000"),
        ("[box]\nmemory = 5", "box.memory = 5", "a size in quotes"),
        ("[box]\nnetwork = 5", "box.network = 5", "'none', 'internet' or 'full'"),
        ("[door]\naddress = 5", "door.address = 5", 'an IP address in quotes, or ""'),
        ("[tmux]\ncommand = 5", "tmux.command = 5", 'an absolute path in quotes, or ""'),
        ("[sshd]\ncommand = 5", "sshd.command = 5", "an absolute path in quotes, not empty"),
        ("[router]\nupdate = []", "router.update = []", "a command line in quotes"),
        ("[cgnat]\nstun = 5", "cgnat.stun = 5", "IPv4 address, in quotes"),
        ("[guests]\naccount = 5", "guests.account = 5", "pairctl account create"),
        ("[groups]\nteam = 5", "groups.team = 5", "a list of guests"),
        ("[providers.x]\nkeys_url = 5", "providers.x.keys_url = 5", "{name} once"),
        ('[groups]\nteam = "ann"', "groups.team = 'ann'", "a list of guests"),
        ('[groups]\nteam = ["file:x"]', "groups.team: 'file:x' is not an absolute path", "file:/"),
        ('[groups]\nteam = ["forge:ann"]', "groups.team: no identity provider", "github"),
        ('door = "x"', "door = 'x'", "a table with address, port"),
        ('[router]\nlease = "4s"', "router.lease = '4s'", '"5s"'),
        ('[router]\ngateway = "home"', "router.gateway", "an IPv4 address"),
        ('[router]\ngateway = "fe80::1"', "router.gateway", "an IPv4 address"),
        ('[router]\ndescription_url = "http://[fe80::1]/"', "router.description_url", "no IPv6"),
        ('[providers.x]\nkeys_url = "https://a:b@c/{name}"', "providers.x.keys_url", "@host"),
        ("[providers.x]\n", "providers.x is not a table with keys_url", "keys_url"),
        ("[door.port]\n", "door.port = a table is not allowed", "integer"),
        ('[guests]\naccess = "rw"', "guests.access", "'write' or 'read'"),
        ('[door]\nport = "22"', "door.port = '22'", "an integer from 0 to 65535"),
        ("[door]\nport = 70000", "door.port", "65535"),
        ('[door]\naddress = "home"', "door.address", "IP address"),
        ('[router]\nprotocols = ["igd"]', "router.protocols.0", "'pcp', 'natpmp' or 'upnp'"),
        ('[router]\nenabled = "no"', "router.enabled", "boolean"),
        ('[router]\nexternal_host = "home"', "router.external_host", "IP address"),
        ('[router]\ndescription_url = "http://[::1"', "router.description_url", "http:// URL"),
        ('[router]\ndescription_url = "http://gw:99999/"', "router.description_url", "http:// URL"),
        ('[router]\ndescription_url = "http://me:pw@gw/"', "router.description_url", "http:// URL"),
        ('[router]\nsecond_gateway = "5.5.5.1"', "router.second_gateway", '"off"'),
        ('[router]\nsecond_gateway = "fe80::1"', "router.second_gateway", "private IPv4"),
        ('[router]\nsecond_gateway = "on"', "router.second_gateway", "private IPv4"),
        (
            '[router]\nsecond_description_url = "http://gw/"',
            "second_description_url",
            "private IPv4",
        ),
        ('[router]\nsecond_description_url = "x"', "second_description_url", "http:// URL"),
        ('[router.command]\nopen = "a \'b"', "router.command.open", "command line"),
        ('[router.command]\nopen = " "', "router.command.open", "command line"),
        ('[relay]\nssh = "-oProxyCommand=x"', "relay.ssh", "host"),
        ('[relay]\nssh = "a b"', "relay.ssh", "host"),
        ('[relay]\nport = "any"', "relay.port", "assigned"),
        ("[relay]\nport = 65536", "relay.port", "65535"),
        ('[relay]\njoin = "both"', "relay.join", "auto"),
        ('[relay]\ncommand = "/usr/bin/ssh"', "relay.command", "table"),
        ('[relay.command]\nrun = "x"\nsays = "("', "relay.command.says", "regular expression"),
        ('[relay.command]\nrun = "x"\nsays = "(?P<host>.)"', "relay.command.says", "port"),
        ('[door]\naddress = "224.0.0.1"', "door.address", "an IP address"),
        ('[door]\naddress = "255.255.255.255"', "door.address", "an IP address"),
        ('[door]\naddress = "fe80::1%a b"', "door.address", "an IP address"),
        ('[router]\ngateway = "0.0.0.0"', "router.gateway", "IPv4 address of a machine"),
        ('[router]\ngateway = "ff02::1"', "router.gateway", "IPv4 address of a machine"),
        ('[router]\nexternal_host = "::"', "router.external_host", "a host name"),
        ('[router]\nexternal_host = "fe80::1%eth0"', "router.external_host", "a host name"),
        ('[relay]\nbind = "224.0.0.1"', "relay.bind", "an IP address"),
        ('[relay]\nssh = "me@"', "relay.ssh", "[user@]host"),
        ('[relay]\nssh = "me@[::1]"', "relay.ssh", "[user@]host"),
        ('[relay]\nssh = "ssh://vps:0"', "relay.ssh", "[:port]"),
        ('[relay]\nssh = "ssh://vps:65536"', "relay.ssh", "[:port]"),
        (f'[relay]\nssh = "{"a" * 257}"', "relay.ssh", "host"),
        ('[relay]\nssh_program = "/a\\u0000"', "relay.ssh_program = '/a\\x00'", "absolute"),
        ('[relay.command]\nrun = "a \\u0000"', "relay.command.run", "command line"),
        ("[router.command]\nopen = \"'' b\"", "router.command.open", "command line"),
        ('[relay.command]\nrun = "x"\nsays = "a{99999999999}"', "relay.command.says", "too large"),
        (f'[relay.command]\nrun = "x"\nsays = "{"(" * 2000}"', "relay.command.says", "recursion"),
        ('[sshd]\ncommand = "/a\\nb"', "sshd.command = '/a\\nb'", "absolute"),
        ('[tmux]\ncommand = "/a\\u0000"', "tmux.command", "absolute"),
        ('[box]\nread = ["/a\\u0000"]', "box.read", "paths"),
        ('[router]\ndescription_url = "http://gw/ x"', "router.description_url", "http:// URL"),
        ('[router]\ndescription_url = "http://gw/\\r"', "router.description_url", "http:// URL"),
        ('[router]\nsecond_description_url = "http://off/"', "second_description_url", "IPv4"),
        ('[router]\nhostname = "a.b1"', "router.hostname", "a host name with a dot"),
        ('[guests]\nmax_ttl = "36501d"', "guests.max_ttl", '"36500d"'),
        ('[guests]\nttl = "36501d"', "guests.ttl", '"36500d"'),
        ('[guests]\n"ttl " = "2h"', "unknown key guests.'ttl '", "ttl, max_ttl"),
        ('"" = 1', "unknown key ''", "guests"),
        ('[tmux]\nsession = "a:b"', "tmux.session", "letters"),
        ('[tmux]\ncommand = "tmux"', "tmux.command", "absolute"),
        ('[sshd]\ncommand = ""', "sshd.command", "not empty"),
        ('[providers.x]\nkeys_url = "http://git.example.org/{name}"', "keys_url", "https://"),
        ('[providers.x]\nkeys_url = "https://git.example.org/keys"', "keys_url", "{name}"),
        ('[providers.x]\nkeys_url = "https://{name}.example.org/"', "keys_url", "{name}"),
        ('[providers.x]\nkeys_url = "https://[{name}"', "keys_url", "{name}"),
        ('[providers.x]\nkeys_url = "https://a.org/{name}/{x}"', "keys_url", "no other braces"),
        ('[providers.x]\nkeys_url = "https://me@example.org/{name}"', "keys_url", "https://"),
        ('[providers.file]\nkeys_url = "https://a.org/{name}"', "providers", "none of file"),
        ('[providers.x]\nurl = "https://a.org/{name}"', "providers.x", "keys_url"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_allowed(text: str, key: str, allowed: str) -> None:
    error = refusal(text)
    assert key in error.message
    assert allowed in error.hint


@pytest.mark.parametrize(
    "text",
    [
        '[door]\naddress = "fe80::1%eth0.1"',
        '[relay]\nbind = "::"',
        '[router]\nexternal_host = "2001:db8::7"\nenabled = false\n[door]\nport = 50022',
        '[relay]\nssh = "vps"',
        '[relay]\nssh = "me+box@2001:db8::1"',
        '[relay]\nssh = "me@corp.example@bastion"',
        '[relay]\nssh = "ssh://me@vps:2222"',
        '[relay]\nssh = "ssh://me@[2001:db8::1]:2222"',
        '[router]\nhostname = "me.example.xn--p1ai"',
        '[router]\nsecond_description_url = "http://10.0.0.1:5000/a?b=%20"',
        '[guests]\nmax_ttl = "36500d"',
        '[sshd]\ncommand = "/opt/é\N{IDEOGRAPHIC SPACE}b/sshd"',
    ],
)
def test_a_value_that_the_program_behind_it_takes_is_accepted(text: str) -> None:
    assert parse(text.encode(), "x").given


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ('[router.command]\nopen = "a"', "both"),
        ('[router]\nexternal_host = "5.5.5.1"\n[door]\nport = 50022', "enabled = false"),
        ('[router]\nenabled = false\nexternal_host = "home.example.org"', "door.port"),
        (
            '[router]\nenabled = false\nexternal_host = "::1"\ncommand.open = "a"\ncommand.close = "b"',
            "door.port",
        ),
    ],
)
def test_keys_that_conflict_are_refused_with_the_remedy(text: str, mend: str) -> None:
    assert mend in refusal(text).hint


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "0::0"])
def test_the_wildcard_address_is_read_as_no_address(address: str) -> None:
    assert parse(f'[door]\naddress = "{address}"'.encode(), "x").config.door.address == ""


def test_a_syntax_error_is_named_with_its_line() -> None:
    assert "line 2" in refusal('[guests]\nttl = 2h"').message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[guests]\nask = true\nask = false", 3),
        ("[guests]\nask = true\nask = false\n", 3),
        ("[guests]\n\nask =", 3),
        ('[guests]\nttl = "2h\n\n', 2),
        ('[guests]\nttl = """2h\n\n', 2),
    ],
)
def test_a_syntax_error_on_the_last_line_is_named_with_its_line(text: str, line: int) -> None:
    assert f"at line {line}" in refusal(text).message


@pytest.mark.parametrize("table", ["door", "router.command"])
def test_a_table_that_is_there_twice_is_named_as_in_the_file(table: str) -> None:
    assert f"Cannot declare [{table}] twice" in refusal(f"[{table}]\n[{table}]\n").message


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    assert "not UTF-8 (at line 2)" in refusal(b"#\n\xff\xfe").message


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 10_000])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("a = 1\n\n", "\nb = 1\nb = 2")])
def test_a_number_too_long_or_nesting_too_deep_is_refused_with_its_line(
    text: str, before: str, after: str
) -> None:
    line = before.count("\n") + 1
    assert refusal(before + text + after).message.endswith(f"too long (at line {line})")


@pytest.mark.parametrize(
    "text",
    [
        '"\\u001b[2J' + "a" * 5000 + '" = 1',
        '[guests]\nttl = "\\u001b[2J' + "a" * 5000 + '"',
        "[guests]\nttl = [" + '"x", ' * 2000 + "]",
        "a." * 20_000 + "a = 1",
    ],
    ids=["key", "text", "list", "file"],
)
def test_an_error_message_is_short_and_printable(text: str) -> None:
    error = refusal(text)
    assert (error.message + error.hint).isprintable()
    assert len(error.message + error.hint) < 400


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse(b"\xef\xbb\xbf[door]\nport = 50022", "x").config.door.port == 50022


def test_a_fifo_instead_of_the_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    with pytest.raises(Misconfigured, match="is not a file"):
        load(tmp_path / "config.toml")


def test_a_file_that_cannot_be_read_is_not_taken_for_an_absent_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        load(tmp_path)
