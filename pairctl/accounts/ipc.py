"""System V IPC, whose objects outlive all processes: sysvipc(7). Linux has the tables."""

from __future__ import annotations

from pathlib import Path

_TABLES = {
    "shm": ("shmid", "--shmem-id"),
    "msg": ("msqid", "--queue-id"),
    "sem": ("semid", "--semaphore-id"),
}


def objects(uid: int) -> list[str]:
    """The arguments by which ipcrm(1) removes that user's objects. Empty if there are none, or the
    system shows none.
    """
    arguments: list[str] = []
    for table, (number, option) in _TABLES.items():
        path = Path("/proc/sysvipc", table)
        if not path.exists():
            continue
        names, *rows = (line.split() for line in path.read_text("ascii").splitlines())
        for row in (dict(zip(names, row, strict=True)) for row in rows):
            # A creator keeps all rights, whoever the owner is since.
            if str(uid) in (row["uid"], row["cuid"]):
                arguments += (option, row[number])
    return arguments
