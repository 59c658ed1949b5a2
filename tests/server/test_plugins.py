"""What others have installed beside pairing is not loaded into the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASKS = "from pairingd.protocol import params; params.model(params.Invite)"
ASKS_ALL = "import pydantic; pydantic.create_model('Any', name=str)"


@pytest.mark.parametrize(("program", "loads"), [(ASKS, False), (ASKS_ALL, True)])
def test_no_plugin_of_pydantic_is_loaded(tmp_path: Path, program: str, *, loads: bool) -> None:
    about = tmp_path / "beside-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: beside\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[pydantic]\nbeside = beside:plugin\n")
    mark = tmp_path / "loaded"
    (tmp_path / "beside.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "class plugin:\n"
        "    @staticmethod\n"
        "    def new_schema_validator(*words, **more): return None, None, None\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("PYDANTIC_DISABLE_PLUGINS", None)  # set where this process has asked, too
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert mark.exists() is loads
