"""What is not a key list is named, with a remedy."""

from __future__ import annotations

import pytest

from pairingd.core.key_formats import named, whole
from tests.core.test_keys import ed25519

KEY = ed25519(1, "ann").decode()


@pytest.mark.parametrize("bom", ["\ufeff", ""])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [KEY, "---- BEGIN SSH2 PUBLIC KEY ----", "PuTTY-User-Key-File-3:"])
def test_a_file_in_another_encoding_is_named_with_iconv_s_name(
    text: str, codec: str, bom: str
) -> None:
    form = whole((bom + text).encode(codec))
    assert f"text in {codec[:6].upper()}" in form.name
    assert f"iconv -f {codec[:6].upper()}" in form.remedy


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\n <!DOCTYPE html>", "an HTML page"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "an HTML page"),
        (b"256 SHA256:" + b"A" * 43 + b" ann (ED25519)\n", "a fingerprint"),
        (b"# mine\nhello\n-----BEGIN CERTIFICATE-----\n", "an X.509 certificate"),
        (b"-----BEGIN RSA PRIVATE KEY-----\n", "a private key"),
        (b'[{"id": 1, "key": "ssh-ed25519 AAAA"}]', "JSON"),
        (b'[\n  {\n    "id": 1\n  }\n]\n', "JSON"),
        (b'{"message": "Not Found"}', "JSON"),
        (b"[]", "JSON"),
        (b"{\\rtf1\\ansi\n\\f0 ssh-ed25519 AAAA", "text in RTF, as TextEdit saves it"),
        (b"\x89PNG\0\0\n", "something else"),
        (b"", "something else"),
    ],
)
def test_a_file_without_a_key_is_named_by_the_first_line_that_has_a_name(
    content: bytes, name: str
) -> None:
    assert whole(content).name == name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f'"{KEY}"', "a key in quotes"),
        (f"no-pty {KEY}", "options before a key"),
        (f"github.com {KEY}", "a line of known_hosts, with a host's key"),
        (f"[github.com]:22 {KEY}", "a line of known_hosts, with a host's key"),
        (f"my key {KEY}", "text before a key: my key"),
        (KEY.replace("", "\0"), "text in UTF-16"),
        ("hello", "not a public key"),
        ("", "not a public key"),
        ("an ssh-ed25519 key", "not a public key"),
    ],
)
def test_a_line_is_named_by_the_text_before_its_key(line: str, name: str) -> None:
    assert named(line).name == name


def test_a_byte_order_mark_is_cut_off_for_ssh_keygen() -> None:
    form = whole(b"\xef\xbb\xbf---- BEGIN SSH2 PUBLIC KEY ----\n")
    assert "tail -c +4 {file} | ssh-keygen -i -f /dev/stdin >" in form.remedy
