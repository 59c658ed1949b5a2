"""`pairctl attach`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.client import connect
from pairctl.session import Session

if TYPE_CHECKING:
    from argparse import Namespace


def run(_: Namespace) -> None:
    with connect() as client:
        session = Session(client.hello)
    session.attach()
