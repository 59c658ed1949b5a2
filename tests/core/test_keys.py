"""Public keys: which are accepted, and why each of the others is refused."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core import curves
from pairingd.core.keys import (
    MAX_COMMENT,
    MAX_LINE,
    MAX_LINES,
    KeyList,
    is_weak,
    parse_key_list,
)
from pairingd.core.model import Key
from pairingd.core.records import replace


def string(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def rendered(key: Key) -> str:
    return f"{key.type} {key.blob} {key.comment}".rstrip()


def mpint(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1) if value else b"")


def line(key_type: str, *fields: bytes, blob_type: str | None = None, comment: str = "") -> bytes:
    blob = string((blob_type or key_type).encode()) + b"".join(fields)
    return f"{key_type} {base64.b64encode(blob).decode()} {comment}".encode()


def point(seed: int = 0) -> bytes:
    """A public key of Ed25519, another one for each seed."""
    return hashlib.sha256(b"%d" % seed).digest()


def ed25519(seed: int = 0, comment: str = "") -> bytes:
    return line("ssh-ed25519", string(point(seed)), comment=comment)


def rsa(bits: int, exponent: int = 65537, *, odd: int = 1) -> bytes:
    return line("ssh-rsa", mpint(exponent), mpint((1 << (bits - 1)) | odd))


# The base points of SP 800-186.
BASE = {
    256: (
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    ),
    384: (
        "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
        "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"
    ),
    521: (
        "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ff"
        "a8de3348b3c1856a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17"
        "273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650"
    ),
}


def ecdsa(size: int, point: bytes | None = None, curve: str | None = None) -> bytes:
    return line(
        f"ecdsa-sha2-nistp{size}",
        string((curve or f"nistp{size}").encode()),
        string(b"\x04" + bytes.fromhex(BASE[size]) if point is None else point),
    )


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


KNOWN_HOSTS = "a line of known_hosts, with a host's key"


def only_reason(content: bytes) -> str:
    parsed = parse_key_list(content)
    assert not parsed.keys
    assert len(parsed.refused) == 1
    return parsed.refused[0].reason


class TestAcceptedTypes:
    @pytest.mark.parametrize(
        ("content", "bits"),
        [
            (ed25519(), 256),
            (ecdsa(256), 256),
            (ecdsa(384), 384),
            (ecdsa(521), 521),
            (rsa(2048), 2048),
            (rsa(16384), 16384),
            (line("sk-ssh-ed25519@openssh.com", string(point()), string(b"ssh:")), 256),
            (
                line(
                    "sk-ecdsa-sha2-nistp256@openssh.com",
                    string(b"nistp256"),
                    string(b"\x04" + bytes.fromhex(BASE[256])),
                    string(b"ssh:"),
                ),
                256,
            ),
        ],
        ids=lambda value: value.split()[0].decode() if isinstance(value, bytes) else str(value),
    )
    def test_are_read_with_their_size(self, content: bytes, bits: int) -> None:
        (key,) = parse_key_list(content).keys
        assert key.type == content.split()[0].decode()
        assert key.bits == bits

    @pytest.mark.parametrize(
        ("bits", "weak"), [(2048, True), (3071, True), (3072, False), (4096, False)]
    )
    def test_rsa_below_3072_bits_is_weak(self, bits: int, weak: bool) -> None:
        (key,) = parse_key_list(rsa(bits)).keys
        assert is_weak(key) is weak

    def test_no_other_key_is_weak(self) -> None:
        (key,) = parse_key_list(ed25519()).keys
        assert not is_weak(key)


class TestRefusedKeys:
    @pytest.mark.attack(
        "a key list holds malformed, short, old or ambiguous keys, options and certificates",
        "each line is refused by name",
    )
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (line("ssh-dss", mpint(7), mpint(7), mpint(7), mpint(7)), "a DSA key"),
            (rsa(1024), "an RSA key of 1024 bits; at least 2048 are needed"),
            (rsa(2047), "an RSA key of 2047 bits; at least 2048 are needed"),
            (rsa(16385), "an RSA key of 16385 bits; at most 16384 make sense"),
            (rsa(2048, odd=0), "an RSA key with an even modulus"),
            (rsa(2048, exponent=1), "an RSA key with an unsafe exponent"),
            (rsa(2048, exponent=0), "an RSA key with an unsafe exponent"),
            (rsa(2048, exponent=4), "an RSA key with an unsafe exponent"),
            (rsa(2048, exponent=(1 << 64) + 1), "an RSA key with an unsafe exponent"),
            (
                line("ssh-rsa", string(b"\x03"), string(b"\xff" * 256)),
                "a key with a malformed number",
            ),
            (
                line("ssh-rsa", string(b"\x03"), string(b"\x00\x00" + b"\xff" * 256)),
                "a key with a malformed number",
            ),
            (
                line("ssh-ed25519-cert-v01@openssh.com", string(bytes(32))),
                "a certificate, not a key",
            ),
            (line("ssh-xmss@openssh.com", b""), "a key of type ssh-xmss@openssh.com"),
            (line("ssh-ed25519", string(bytes(31))), "an Ed25519 key that is not 32 bytes long"),
            (ed25519().split()[0] + b" AAAA", "a key cut short"),
            (b"ssh-ed25519", "a key cut short"),
            (b"ssh-ed25519 ####", "not base64"),
            ("ssh-ed25519 ÄÄÄÄ".encode(), "not base64"),
            (ed25519().rstrip()[:-3], "not base64"),
            (line("ssh-ed25519", string(point()), b"x"), "a key with bytes after its end"),
            (
                line("ssh-ed25519", string(bytes(32)), blob_type="ssh-rsa"),
                "a key of another type than its line says",
            ),
            (ecdsa(256, curve="nistp384"), "a key on another curve than its type says"),
            (ecdsa(256, point=b"\x02" + bytes(32)), "a key with a malformed point"),
            (ecdsa(256, point=b"\x04" + bytes(63)), "a key with a malformed point"),
            (ecdsa(256, point=b""), "a key with a malformed point"),
            (
                line("sk-ssh-ed25519@openssh.com", string(point()), string(b"ssh:\x00")),
                "a key with a malformed application",
            ),
            (b'command="x" ' + ed25519(), "options before a key"),
            (b"cert-authority " + ed25519(), "options before a key"),
            (b'Restrict,pty,from="10.0.0.0/8" ' + ed25519(), "options before a key"),
            (b"- " + ed25519(), "text before a key: -"),
            (b"1. " + ed25519(), "text before a key: 1."),
            (b"> " + ed25519(), "text before a key: >"),
            (b"ann: " + ed25519(), "text before a key: ann:"),
            (b"ann " + ed25519(), "text before a key: ann"),
            (b"x" * 100 + b" " + ed25519(), "text before a key: " + "x" * 40),
            (b'"' + ed25519().strip() + b'"', "a key in quotes"),
            ("\u201c".encode() + ed25519().strip() + "\u201d".encode(), "a key in quotes"),
            (b'- "' + ed25519().strip() + b'"', 'text before a key: - "'),
            (b"KEY='" + ed25519().strip() + b"'", "text before a key: KEY='"),
            (b"@revoked * " + ed25519(), KNOWN_HOSTS),
            (b"@cert-authority *.example.org " + ed25519(), KNOWN_HOSTS),
            (b"github.com " + ed25519(), KNOWN_HOSTS),
            (b"github.com,192.0.2.7 " + ed25519(), KNOWN_HOSTS),
            (b"192.0.2.7 " + ed25519(), KNOWN_HOSTS),
            (b"[example.org]:2222 " + ed25519(), KNOWN_HOSTS),
            (b"::1 " + ed25519(), KNOWN_HOSTS),
            (b"localhost " + ed25519(), KNOWN_HOSTS),
            (b"|1|c2FsdA==|aGFzaA== " + ed25519(), KNOWN_HOSTS),
            (b"256 SHA256:" + b"A" * 43 + b" ann (ED25519)", "a fingerprint"),
            (b"MD5" + b":00" * 16, "a fingerprint"),
            (ed25519() + b" " + ed25519(1), "two keys on one line"),
            (ed25519() + b"x" * 200 + b" " + ed25519(1), "two keys on one line"),
            # `cat a.pub b.pub`, where the first file ends without a line end
            (ed25519(1, "ann@laptop") + ed25519(2), "two keys on one line"),
            (ed25519(1, "ann") + b"," + ed25519(2), "two keys on one line"),
            (ed25519(1, "ann") + b";ssh-rsa  AAAAB3Nz", "two keys on one line"),
            (ed25519(1, "ann") + "\u200b".encode() + ed25519(2), "two keys on one line"),
            (ed25519().decode().encode("utf-16-le"), "text in UTF-16"),
            (b"hello", "not a public key"),
            (b"1024 35 1234567890", "not a public key"),
            (b"\x00\xff\xfe", "not a public key"),
            (ed25519() + b"x" * MAX_LINE, "longer than 8192 bytes"),
        ],
    )
    def test_are_each_named(self, content: bytes, reason: str) -> None:
        assert only_reason(content) == reason

    def test_have_the_type_that_their_line_names(self) -> None:
        too_long = (ed25519() + b"x" * MAX_LINE, b"x" * (MAX_LINE + 1))
        content = b"\n".join((rsa(1024), b"no-pty " + ed25519(), b"hello", *too_long))
        refused = parse_key_list(content).refused
        types = ["ssh-rsa", "ssh-ed25519", "", "ssh-ed25519", ""]
        assert [each.type for each in refused] == types


P25519 = 2**255 - 19
# y of the points of order 8, as RFC 8032 encodes them (they are also in libsodium's list).
ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
SMALL_ORDER = [
    *(y.to_bytes(32, "little") for y in (0, 1, P25519 - 1, P25519, P25519 + 1)),
    *map(bytes.fromhex, ORDER_8),
]
LOGIN_BY_ANYBODY = "an Ed25519 key of small order, with which anybody can log in"


def negated(encoded: bytes) -> bytes:
    return encoded[:31] + bytes([encoded[31] ^ 0x80])


@pytest.mark.attack(
    "publishes a key of small order, for which signatures need no private key", "key refused"
)
@pytest.mark.parametrize("key_type", ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"])
@pytest.mark.parametrize("change", [bytes, negated], ids=["x", "-x"])
@pytest.mark.parametrize("encoded", SMALL_ORDER, ids=bytes.hex)
def test_an_ed25519_key_of_small_order_is_refused(
    encoded: bytes, change: Callable[[bytes], bytes], key_type: str
) -> None:
    more = [string(b"ssh:")] if key_type.startswith("sk-") else []
    content = line(key_type, string(change(encoded)), *more)
    assert only_reason(content) == LOGIN_BY_ANYBODY


def prime(size: int) -> int:
    return {256: curves.P256.p, 384: curves.P384.p, 521: curves.P521.p}[size]


def y_is_one_more(x: int, y: int, p: int) -> tuple[int, int]:
    return x, y + 1


def x_and_y_are_swapped(x: int, y: int, p: int) -> tuple[int, int]:
    return y, x


def nothing(x: int, y: int, p: int) -> tuple[int, int]:
    return 0, 0


def largest(x: int, y: int, p: int) -> tuple[int, int]:
    return p, p


@pytest.mark.attack("publishes an ECDSA key off its curve", "key refused")
@pytest.mark.parametrize("size", [256, 384, 521])
@pytest.mark.parametrize("change", [y_is_one_more, x_and_y_are_swapped, nothing, largest])
def test_an_ecdsa_key_off_its_curve_is_refused(
    size: int, change: Callable[[int, int, int], tuple[int, int]]
) -> None:
    width = (size + 7) // 8
    base = bytes.fromhex(BASE[size])
    x, y = change(int.from_bytes(base[:width]), int.from_bytes(base[width:]), prime(size))
    content = ecdsa(size, b"\x04" + x.to_bytes(width) + y.to_bytes(width))
    assert only_reason(content) == f"a key that is not a point on the curve nistp{size}"


def test_a_coordinate_of_an_ecdsa_key_has_one_form() -> None:
    """x = 0 is on P-521 (b is a square), and so would x = p be, which fits into the field too."""
    p, b = curves.P521.p, curves.P521.b
    y = pow(b, (p + 1) // 4, p)
    assert y * y % p == b
    good = b"\x04" + bytes(66) + y.to_bytes(66)
    assert parse_key_list(ecdsa(521, good)).keys
    for x, other in ((p, y), (0, y + p)):
        point = b"\x04" + x.to_bytes(66) + other.to_bytes(66)
        assert only_reason(ecdsa(521, point)) == "a key that is not a point on the curve nistp521"


def test_a_security_key_off_its_curve_is_refused() -> None:
    content = line(
        "sk-ecdsa-sha2-nistp256@openssh.com",
        string(b"nistp256"),
        string(b"\x04" + bytes(64)),
        string(b"ssh:"),
    )
    assert only_reason(content) == "a key that is not a point on the curve nistp256"


class TestList:
    def test_skips_blank_lines_and_remarks_and_counts_lines_as_an_editor_does(self) -> None:
        content = b"# mine\r\n\r\n" + ed25519(1) + b"\r\nrubbish\r\n\t" + ed25519(2) + b"\n"
        parsed = parse_key_list(content)
        assert len(parsed.keys) == 2
        assert [each.number for each in parsed.refused] == [4]

    def test_of_nothing_is_empty(self) -> None:
        assert parse_key_list(b"") == KeyList((), ())

    @pytest.mark.parametrize("unseen", ["\ufeff", "\u200b", "\u2060", "\xa0", "\ufeff\u200b "])
    def test_may_begin_and_end_with_what_cannot_be_seen(self, unseen: str) -> None:
        """A byte order mark, or what a chat program puts there."""
        text = f"{unseen}{ed25519().decode()}{unseen}"
        assert len(parse_key_list(text.encode()).keys) == 1

    @pytest.mark.parametrize(
        "separator", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\n\ufeff"]
    )
    @pytest.mark.parametrize("comment", ["", "ann"])
    def test_no_key_is_lost_behind_an_unusual_line_separator(
        self, separator: str, comment: str
    ) -> None:
        two = ed25519(1, comment).decode() + separator + ed25519(2, "bob").decode()
        parsed = parse_key_list(two.encode())
        assert [key.comment for key in parsed.keys] == [comment, "bob"]
        assert not parsed.refused

    def test_no_key_is_lost_in_a_comment_or_behind_a_latin_1_line_separator(self) -> None:
        assert len(parse_key_list(b"# ann\x0b" + ed25519()).keys) == 1
        assert len(parse_key_list(ed25519(1) + b"\x85" + ed25519(2)).keys) == 2
        options = parse_key_list(ed25519(1) + b"\x0bno-pty " + ed25519(2))
        assert [line.reason for line in options.refused] == ["options before a key"]
        quotes = parse_key_list(ed25519(1) + b'\x0b"' + ed25519(2) + b'"')
        assert [line.reason for line in quotes.refused] == ["a key in quotes"]

    def test_a_comment_may_hold_a_separator(self) -> None:
        parsed = parse_key_list("\u2028".join([ed25519(1, "ann").decode(), "home"]).encode())
        assert [key.comment for key in parsed.keys] == ["ann"]
        assert not parsed.refused

    def test_of_two_encodings_names_the_lines_in_the_other(self) -> None:
        """PowerShell's >> appends UTF-16 to what is there."""
        appended = (ed25519(2).decode() + "\r\n").encode("utf-16-le")
        parsed = parse_key_list(ed25519(1) + b"\r\n" + appended)
        assert len(parsed.keys) == 1
        assert [(each.number, each.reason) for each in parsed.refused] == [(2, "text in UTF-16")]

    @pytest.mark.parametrize(
        "begin", ["---- BEGIN SSH2 PUBLIC KEY ----", "-----BEGIN OPENSSH PRIVATE KEY-----"]
    )
    @pytest.mark.parametrize("end", ["\n---- END SSH2 PUBLIC KEY ----", ""])
    def test_a_block_in_another_format_is_one_refused_line(self, begin: str, end: str) -> None:
        block = f"{begin}\nComment: mine\nAAAAC3Nz\naC1lZDI1{end}\n".encode()
        parsed = parse_key_list(ed25519(1) + b"\n" + block + ed25519(2))
        assert len(parsed.keys) == 2
        assert [each.number for each in parsed.refused] == [2]

    def test_takes_a_key_once_with_its_first_comment(self) -> None:
        parsed = parse_key_list(ed25519(1, "first") + b"\n" + ed25519(1, "second"))
        assert [key.comment for key in parsed.keys] == ["first"]
        assert not parsed.refused

    def test_is_read_to_a_limit(self) -> None:
        content = b"\n".join(ed25519(seed) for seed in range(MAX_LINES + 50))
        parsed = parse_key_list(content)
        assert len(parsed.keys) == MAX_LINES
        assert [each.number for each in parsed.refused] == [MAX_LINES + 1]


class TestComment:
    @pytest.mark.parametrize(
        ("hostile", "kept"),
        [
            ("ann@example", "ann@example"),
            ("a b\tc", "a b c"),
            ("\x1b[31mred\x1b]52;c;x\x07", "[31mred ]52;c;x"),
            ("Zoë 🐙", "Zoë 🐙"),
            ("abc\u202edef", "abc def"),
            ("x" * 1000, "x" * MAX_COMMENT),
        ],
    )
    def test_keeps_printable_characters_alone(self, hostile: str, kept: str) -> None:
        (key,) = parse_key_list(ed25519(comment=hostile)).keys
        assert key.comment == kept

    def test_that_is_not_utf8_does_not_lose_the_key(self) -> None:
        (key,) = parse_key_list(ed25519() + b" \xff\xfe ann").keys
        assert key.comment.endswith("ann")


keys = st.one_of(
    st.integers(0, 255).map(ed25519),
    st.sampled_from([256, 384, 521]).map(ecdsa),
    st.integers(2040, 2060).map(rsa),
    st.builds(ed25519, st.integers(0, 255), st.text()),
)
hostile_lines = st.one_of(
    st.binary(),
    keys,
    st.builds(lambda key, junk: key + junk, keys, st.binary()),
    st.builds(lambda junk, key: junk + b" " + key, st.binary(), keys),
    st.builds(lambda key, cut: key[:cut], keys, st.integers(0, 100)),
    st.builds(
        lambda key_type, fields: line(key_type, *fields),
        st.sampled_from(
            ["ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"]
        ),
        st.lists(st.one_of(st.binary(), st.binary().map(string)), max_size=4),
    ),
)


class TestProperties:
    @given(st.binary())
    def test_any_bytes_are_read(self, content: bytes) -> None:
        parse_key_list(content)

    @pytest.mark.attack(
        "a key list holds control characters for the host's terminal",
        "what is shown of it is printable",
    )
    @given(st.lists(hostile_lines, max_size=8))
    def test_hostile_lists_are_read_and_reported_in_printable_text(
        self, lines: list[bytes]
    ) -> None:
        parsed = parse_key_list(b"\n".join(lines))
        for refused in parsed.refused:
            assert (refused.reason + refused.type).isprintable()
            assert len(refused.reason) < 120
        for key in parsed.keys:
            assert key.comment.isprintable()
            assert len(key.comment) <= MAX_COMMENT

    @given(st.lists(hostile_lines, max_size=8))
    def test_an_accepted_key_is_the_same_after_rendering_and_parsing(
        self, lines: list[bytes]
    ) -> None:
        for key in parse_key_list(b"\n".join(lines)).keys:
            assert parse_key_list(rendered(key).encode()) == KeyList((key,), ())


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
class TestAgainstSshKeygen:
    @pytest.mark.parametrize(
        "kind",
        [
            ("ed25519", ""),
            ("ecdsa", "256"),
            ("ecdsa", "384"),
            ("ecdsa", "521"),
            ("rsa", "2048"),
            ("rsa", "2049"),
            ("rsa", "3072"),
        ],
        ids="".join,
    )
    def test_type_size_and_fingerprint_are_the_same(
        self, tmp_path: Path, kind: tuple[str, str]
    ) -> None:
        key_type, bits = kind
        path = tmp_path / "".join(kind)
        size = ["-b", bits] if bits else []
        run("ssh-keygen", "-q", "-t", key_type, *size, "-N", "", "-C", "ann at home", "-f", path)
        (key,) = parse_key_list(path.with_suffix(".pub").read_bytes()).keys
        label = key_type.upper()
        assert run("ssh-keygen", "-l", "-f", path) == (
            f"{key.bits} {key.fingerprint} {key.comment} ({label})\n"
        )

    @pytest.mark.parametrize(
        "content",
        [
            line("sk-ssh-ed25519@openssh.com", string(point(5)), string(b"ssh:")),
            ed25519(7, "ann"),
            rsa(2048),
            rsa(4096),
        ],
        ids=["sk-ed25519", "ed25519", "rsa2048", "rsa4096"],
    )
    def test_a_rendered_key_is_read_by_ssh_keygen(self, tmp_path: Path, content: bytes) -> None:
        (key,) = parse_key_list(content).keys
        path = tmp_path / "rendered.pub"
        path.write_text(rendered(key) + "\n")
        bits, fingerprint, _ = run("ssh-keygen", "-l", "-f", path).split(maxsplit=2)
        assert (int(bits), fingerprint) == (key.bits, key.fingerprint)

    def test_a_certificate_made_by_ssh_keygen_is_refused(self, tmp_path: Path) -> None:
        for name in ("ca", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
        run("ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "id", tmp_path / "user.pub")
        content = (tmp_path / "user-cert.pub").read_bytes()
        assert only_reason(content) == "a certificate, not a key"

    def test_a_private_key_is_never_read_as_a_key(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        assert not parse_key_list(path.read_bytes()).keys


def test_a_key_is_the_same_whatever_its_comment() -> None:
    (first,) = parse_key_list(ed25519(1, "one")).keys
    (second,) = parse_key_list(ed25519(1, "two")).keys
    assert replace(first, comment="two") == second
