"""`make fuzz`: at least 100,000 inputs for every parser of bytes that somebody else chose.

An input that a parser does not bear is printed and put into its corpus, so that `make test` finds
it again until it is mended.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import faulthandler
import hashlib
import os
import secrets
import sys

from tests.fuzz.engine import CORPUS, Finding, Report, run
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000, help="for each, the default 100000")
    parser.add_argument("--seconds", type=float, default=600, help="at most for each (600)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="repeats a run")
    given = parser.parse_args()
    if unknown := [name for name in given.targets if name not in TARGETS]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(TARGETS)}")
    print(
        f"seed {given.seed}\n{'parser':<20}{'inputs':>8}{'seconds':>9}{'slowest':>10}{'outcomes':>10}"
    )
    failed = False
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = [
            pool.submit(_run, name, given.seed, given.inputs, given.seconds)
            for name in given.targets or TARGETS
        ]
        for done in concurrent.futures.as_completed(runs):
            failed |= _printed(done.result(), given.inputs)
    return int(failed)


def _run(name: str, seed: int, inputs: int, seconds: float) -> Report:
    # For what no signal reaches, such as a loop in C; the seed repeats it.
    faulthandler.dump_traceback_later(seconds + 60, exit=True)
    try:
        return run(TARGETS[name], seed, inputs, seconds)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _printed(report: Report, wanted: int) -> bool:
    """Whether something is wrong."""
    print(
        f"{report.target:<20}{report.inputs:>8}{report.seconds:>9.1f}"
        f"{report.slowest * 1000:>7.0f} ms{len(report.outcomes):>10}",
        flush=True,
    )
    for finding in report.findings:
        print(f"  {finding.what}\n  {_kept(finding)}\n  {finding.data[:500]!r}", flush=True)
    if report.inputs < wanted and not report.findings:
        print(f"  fewer than {wanted} inputs in the time given", flush=True)
    return bool(report.findings) or report.inputs < wanted


def _kept(finding: Finding) -> str:
    name = f"found-{hashlib.sha256(finding.data).hexdigest()[:12]}"
    path = CORPUS / finding.target / name
    path.write_bytes(finding.data)
    return f"{path.relative_to(CORPUS.parents[2])}: python -m pytest tests/fuzz -k {finding.target}"


if __name__ == "__main__":
    sys.exit(main())
