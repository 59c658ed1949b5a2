"""What of /etc is shown in a box."""

from __future__ import annotations

from pathlib import Path

from pairingd.box import etc


def test_what_not_everybody_may_read_is_left_out_or_hidden(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("")
    (tmp_path / "shells").write_text("")
    (tmp_path / "shells").chmod(0o640)
    (tmp_path / "shadow").write_text("")
    private = tmp_path / "ssl" / "private"
    private.mkdir(parents=True)
    (private / "key").write_text("")
    private.chmod(0o710)
    (tmp_path / "ssl" / "own.key").write_text("")
    (tmp_path / "ssl" / "own.key").chmod(0o640)
    (tmp_path / "ssl" / "cert").write_text("")
    (tmp_path / "ssl" / "link").symlink_to("own.key")
    (tmp_path / "java-17-openjdk").mkdir()
    shown = {Path(path).name for _, path in etc.shown(str(tmp_path))}
    assert shown == {"passwd", "ssl", "java-17-openjdk"}
    hidden = {Path(path).name for path in etc.hidden(str(tmp_path / "ssl"))}
    assert hidden == {"private", "own.key"}


def test_a_link_out_of_etc_is_shown_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "resolv.conf").symlink_to("../real")
    (tmp_path / "etc" / "hosts").symlink_to("../absent")
    shown = list(etc.shown(str(tmp_path / "etc")))
    assert shown == [(str(tmp_path / "real"), str(tmp_path / "etc" / "resolv.conf"))]
