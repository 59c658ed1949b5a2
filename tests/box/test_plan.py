"""What a box shows and allows, as decided from the configuration and the user's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.box import plan
from pairingd.protocol.confinement import BoxSettings
from tests.pairctl.samples import BOX_SETTINGS as SETTINGS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path.resolve() / "home" / "project"
    (project / ".git" / "hooks").mkdir(parents=True)
    (project / ".git" / "config").write_text("")
    return project


def made(project: Path, settings: BoxSettings = SETTINGS, **environ: str) -> plan.Plan:
    environ = {"HOME": str(project.parent), **environ}
    return plan.make(str(project), "/usr/bin/tmux", settings, (), (), environ)


def test_only_what_is_allowed_of_the_environment_enters(project: Path) -> None:
    given = {"LANG": "C.UTF-8", "LC_TIME": "C", "EDITOR": "vi", "AWS_SECRET": "x", "SSH_TOKEN": "x"}
    assert made(project, SETTINGS, **given).environment == {
        "LANG": "C.UTF-8",
        "LC_TIME": "C",
        "EDITOR": "vi",
        "HOME": str(project.parent),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "SHELL": "/bin/sh",
    }


def test_of_path_only_what_is_shown_enters(project: Path) -> None:
    path = f"{project}/.venv/bin:{project.parent}/.local/bin:/usr/games:/usr/bin"
    environment = made(project, PATH=path).environment
    assert environment["PATH"] == f"{project}/.venv/bin:/usr/games:/usr/bin:/usr/local/bin:/bin"


@pytest.mark.parametrize(
    ("shell", "entered"),
    [("/bin/sh", "/bin/sh"), ("/usr/bin/absent", "/bin/sh"), ("/home/me/fish", "/bin/sh")],
)
def test_a_shell_that_is_not_shown_is_replaced(project: Path, shell: str, entered: str) -> None:
    assert made(project, SHELL=shell).shell == entered


def test_what_git_runs_is_protected_where_it_is_no_link(project: Path) -> None:
    git = project / ".git"
    assert made(project).protected == (str(git / "hooks"), str(git / "config"))
    (git / "hooks").rmdir()
    (git / "hooks").symlink_to("/usr")
    assert made(project).protected == (str(git / "config"),)


def test_a_path_that_does_not_exist_is_passed_over(project: Path) -> None:
    (project.parent / ".vimrc").write_text("")
    there, absent = str(project.parent / ".vimrc"), str(project.parent / ".emacs")
    assert made(project, {**SETTINGS, "read": [there, absent]}).read == (there,)


def test_a_tmux_of_the_users_own_is_shown(project: Path) -> None:
    tmux = project.parent / "tmux"
    tmux.write_text("")
    environ = {"HOME": str(project.parent)}
    chosen = plan.make(str(project), str(tmux), SETTINGS, (), (), environ)
    assert chosen.around_tmux == (str(tmux),)
    assert made(project).around_tmux == ()
