"""`pairctl doctor`."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

from pairctl.text import output
from pairingd.core.refusal import PairingError
from pairingd.core.text import quoted, shell

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

_EXIT_TIMEOUT_S = 20.0  # to undo what it has begun, such as a test port on the router
_PROGRAM = (sys.executable, "-P", "-m", "pairingd.doctor")
_NAME_COLUMNS = 14
_INDENT = " " * (6 + _NAME_COLUMNS)
_TEXT_COLUMNS = output.WIDTH - len(_INDENT)


def run(args: Namespace) -> int:
    """1 if any check failed. Prints each finding when it comes; as JSON, all at the end."""
    options = [f"--{name}" for name in ("router", "fix", "verbose") if getattr(args, name)]
    options += ["--outside", args.outside] if args.outside else []
    results = []
    for finding in findings([*_PROGRAM, *options]):
        results.append(finding)
        if not args.json:
            # The messages to the router are useful only if complete.
            output.result(finding, partial(_render, whole=args.verbose), as_json=False)
    failed = any(finding["state"] == "fail" for finding in results)
    if args.json:
        output.document({"checks": results, "ok": not failed})
    else:
        output.write(_summary([finding["state"] for finding in results]))
    return 1 if failed else 0


def findings(command: list[str], silence_s: float = 75.0) -> Iterator[dict[str, Any]]:
    """As the program prints them. Raises PairingError `doctor-failed` if it does not finish, or
    prints nothing for `silence_s`. Each check has its own, shorter limit.
    """
    with subprocess.Popen(
        command,
        bufsize=0,  # else a line could wait in our buffer, where select does not see it
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while select.select([process.stdout], [], [], silence_s)[0]:
                line = process.stdout.readline()
                if not line:
                    break
                yield _finding(line)
            else:
                raise _failed(f"printed nothing for {silence_s:.0f} s")
            if process.wait(_EXIT_TIMEOUT_S) != 0:
                raise _failed(f"exited with status {process.returncode}")
        except subprocess.TimeoutExpired:
            raise _failed(f"had not ended {_EXIT_TIMEOUT_S:.0f} s after its last check") from None
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_EXIT_TIMEOUT_S)
            process.kill()


def _finding(line: bytes) -> dict[str, Any]:
    try:
        finding: dict[str, Any] = json.loads(line)
    except ValueError:
        printed = quoted(line.decode(errors="replace").rstrip())
        raise _failed(f"printed what is no finding: {printed}") from None
    return finding


def _failed(problem: str) -> PairingError:
    return PairingError(
        "doctor-failed", f"the doctor {problem}", f"run for details: {shell(*_PROGRAM)}"
    )


def _render(finding: dict[str, Any], view: output.View, *, whole: bool) -> str:
    paint = {"ok": view.good, "warn": view.warn}.get(finding["state"], view.bad)
    lines = _wrapped(finding["message"])
    state = finding["state"]
    head = f"{paint(state)}{' ' * (6 - len(state))}{finding['name']:{_NAME_COLUMNS}}"
    rest = lines[1:]
    if finding["hint"]:
        rest.append(view.dim(finding["hint"]))  # whole, so that a copied command runs
    details = finding.get("details", ())
    rest += details if whole else (view.crop(line, _TEXT_COLUMNS) for line in _broken(details))
    return "\n".join([f"{head}{lines[0]}", *(_INDENT + line for line in rest)])


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Words, such as paths, are never broken."""
    return textwrap.wrap(
        text,
        _TEXT_COLUMNS,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _broken(details: Iterable[str]) -> Iterator[str]:
    for line in details:
        yield from _wrapped(line, "  ")


def _summary(states: list[str]) -> str:
    counted = ", ".join(
        f"{states.count(state)} {label}"
        for state, label in (("ok", "ok"), ("warn", "to look at"), ("fail", "failed"))
        if state in states
    )
    return f"{len(states)} checks: {counted}"
