"""`make fuzz` in small: the corpus, and a few hundred mutations of it, for every parser."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pairingd.world.gateway.upnp.description import describe
from pairingd.world.gateway.upnp.http1 import Http
from pairingd.world.gateway.upnp.markup import BadAnswer
from tests.fuzz import mutation
from tests.fuzz.engine import Target, replay, run
from tests.fuzz.targets import TARGETS

SEED = 1


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_parser_has_no_finding_on_its_corpus_and_mutations_of_it(target: Target) -> None:
    inputs = len(target.corpus()) + 300
    report = run(target, SEED, inputs, seconds=600)
    assert report.findings == []
    assert report.inputs == inputs


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_corpus_has_several_outcomes(target: Target) -> None:
    assert len({target.parse(data) for data in target.corpus().values()}) > 1


@pytest.mark.parametrize(
    ("target", "data"),
    [
        (
            "upnp-http-answer",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000,
        ),
        ("relay-output", (b"a." * 1020 + b"\n") * 500),
    ],
    ids=["small chunks", "long words"],
)
def test_an_input_costs_its_length_and_not_the_square_of_it(target: str, data: bytes) -> None:
    assert replay(TARGETS[target], [data]) == []


@pytest.mark.parametrize(
    "begins",
    [
        b"HTTP/1.1 200 OK\r\na",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["head without an end", "chunk without an end"],
)
def test_an_http_answer_costs_the_same_in_single_bytes(begins: bytes) -> None:
    def parse(data: bytes) -> str:
        http = Http(describe("http://192.168.1.1/"))
        try:
            return next((text for byte in data if (text := http.receive(bytes([byte])))), "")
        except BadAnswer as error:
            return str(error)

    endless = begins + begins[-1:] * 30_000
    assert replay(Target("single-bytes", parse), [endless]) == []


def test_the_same_seed_gives_the_same_inputs() -> None:
    def seen(seed: int) -> list[bytes]:
        inputs: list[bytes] = []

        def parse(data: bytes) -> str:
            inputs.append(data)
            return ""

        run(Target("config", parse), seed, 200, seconds=600)
        return inputs

    assert seen(1) == seen(1) != seen(2)


def declared(data: bytes) -> str:
    raise KeyError("undeclared") if b"<" in data else ValueError


def endless(data: bytes) -> str:
    """In one input alone, so that no shorter one takes its second too."""
    first = next(iter(TARGETS["upnp-description"].corpus().values()))
    while data == first:
        pass
    return ""


kept: list[bytes] = []


def hoarding(data: bytes) -> str:
    kept.append(data + bytes(4096))
    return ""


def greedy(data: bytes) -> str:
    return "x" * len(bytes(8 << 20)) and ""


@pytest.mark.parametrize(
    ("parse", "what"),
    [
        (declared, "KeyError in declared"),
        (endless, "more than 1 s of CPU time"),
        (hoarding, "bytes behind"),
        (greedy, "takes "),
    ],
)
def test_a_parser_that_breaks_its_promise_is_found(
    parse: Callable[[bytes], str], what: str
) -> None:
    report = run(Target("upnp-description", parse), SEED, 300, seconds=600)
    assert what in report.findings[0].what


def test_a_finding_is_shortened_to_the_minimum() -> None:
    def parse(data: bytes) -> str:
        assert b"<service>" not in data
        return ""

    (found,) = run(Target("upnp-description", parse), SEED, 20, seconds=600).findings
    assert found.data == b"<service>"
    assert [one.what for one in replay(Target("x", parse), [found.data])] == [found.what]


@pytest.mark.parametrize("mutate", [mutation.data, mutation.lines_of_json, mutation.base64_words])
def test_no_mutation_is_longer_than_the_largest(mutate: mutation.Mutator) -> None:
    chance = random.Random(SEED)
    seeds = [b"", b"x" * mutation.LARGEST, b'{"a": [1, "b"]}', b"ssh-ed25519 " + b"A" * 40]
    made = [mutate(chance, seeds[n % len(seeds)], seeds) for n in range(2000)]
    assert max(map(len, made)) <= mutation.LARGEST
    assert len(set(made)) > 1000
