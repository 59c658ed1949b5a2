"""Which of a server's sessions is the shared one, as told by a server that lies."""

from __future__ import annotations

import pytest

from pairingd.core.shared_session import MAX_SESSIONS, TmuxSession, find, watching


def listed(id_: str = "$3", mark: str = "pairing", name: str = "pairing") -> str:
    return f"100\t{id_}\t{mark}\t{name}\n"


def test_the_marked_session_is_the_shared_one_whatever_its_name() -> None:
    said = listed("$1", "", "pairing") + listed("$2", "pairing", "renamed")
    assert find(said, "pairing") == TmuxSession("100", "$2", "renamed")


def test_a_session_of_an_earlier_configuration_is_the_shared_one_while_there_is_no_other() -> None:
    earlier = listed("$1", "earlier", "renamed")
    assert find(earlier, "pairing") == TmuxSession("100", "$1", "renamed")
    assert find(earlier + listed("$2", ""), "pairing") == TmuxSession("100", "$2", "pairing")
    assert find(listed("$1", "", "other"), "pairing") is None


@pytest.mark.parametrize(
    "id_", ["", "3", "$", "$3;", '$3" command="sh', "$x", "$3 $4", "$" + "9" * 30]
)
def test_an_id_that_is_none_of_tmuxs_is_passed_over(id_: str) -> None:
    assert find(listed(id_), "pairing") is None


def test_no_more_than_max_sessions_are_read() -> None:
    others = listed(mark="", name="other") * MAX_SESSIONS
    assert find(others + listed(), "pairing") is None


def test_a_name_with_control_characters_is_made_printable() -> None:
    found = find(listed(name="\x1b]52;c;cm0=\x07" + "x" * 300), "pairing")
    assert found
    assert found.name.isprintable()
    assert len(found.name) <= 100


def test_the_daemon_s_client_starts_no_server() -> None:
    argv = watching("/run/tmux.sock")
    assert argv[argv.index("-S") + 1] == "/run/tmux.sock"
    assert {"-N", "-C"} < set(argv)
