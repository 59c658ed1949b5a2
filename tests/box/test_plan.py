"""What a box shows and allows, as decided from the configuration and the user's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.box import plan
from pairingd.core.refusal import PairingError
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
    given = {"LANG": "C.UTF-8", "LC_TIME": "C", "EDITOR": "vi", "AWS_SECRET": "x", "LC_x;y": "x"}
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
    [
        ("/bin/sh", "/bin/sh"),
        ("/usr/bin/absent", "/bin/sh"),
        ("/home/me/fish", "/bin/sh"),
        ("bin/sh", "/bin/sh"),
    ],
)
def test_a_shell_that_is_not_shown_is_replaced(project: Path, shell: str, entered: str) -> None:
    assert made(project, SHELL=shell).shell == entered


def test_what_git_runs_is_protected_and_a_link_is_named(project: Path) -> None:
    git = project / ".git"
    both = (str(git / "hooks"), str(git / "config"))
    assert of_git(project) == (both, ())
    (git / "hooks").rmdir()
    assert of_git(project) == (both, ())  # to be made, because a guest could
    (git / "hooks").symlink_to("../.githooks")
    assert of_git(project) == (both[1:], both[:1])
    (git / "config.worktree").touch()
    assert of_git(project) == ((both[1], str(git / "config.worktree")), both[:1])
    git.rename(project / "elsewhere")
    assert of_git(project) == ((), ())
    git.symlink_to("elsewhere")
    assert of_git(project) == ((), (str(git),))


def test_the_git_file_of_a_worktree_is_protected(project: Path) -> None:
    (project / ".git").rename(project / "elsewhere")
    (project / ".git").write_text("gitdir: /elsewhere\n")
    assert of_git(project) == ((str(project / ".git"),), ())


def test_a_bare_repository_is_protected_where_it_lies(project: Path) -> None:
    (project / ".git").rename(project / "elsewhere")
    for name in ("objects", "refs"):
        (project / name).mkdir()
    assert of_git(project) == ((), ())  # no repository without a HEAD
    (project / "HEAD").write_text("ref: refs/heads/main\n")
    (project / "config").write_text("")
    assert of_git(project) == ((str(project / "hooks"), str(project / "config")), ())


def of_git(project: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    chosen = made(project)
    return chosen.protected, chosen.unprotected


def shown(project: Path, path: Path, key: str = "read") -> plan.Plan:
    """With `path` under that key, and ~/data to write."""
    chosen = {"read": list[str](), "write": [str(project.parent / "data")]}
    chosen[key].append(str(path))
    return made(project, {**SETTINGS, "read": chosen["read"], "write": chosen["write"]})


@pytest.mark.parametrize("key", ["read", "write"])
def test_a_path_whose_target_a_guest_may_have_chosen_is_refused(project: Path, key: str) -> None:
    """In DIR, or in another directory that is shared to write."""
    home = project.parent
    for name in ("notes", "data", "stuff"):
        (home / name).mkdir()
    inside, written = project / "a" / "vendor", home / "data" / "vendor"
    inside.mkdir(parents=True)
    assert str(inside) in getattr(shown(project, inside, key), key)
    inside.rmdir()
    shown(project, inside, key)  # not there, so passed over
    for link in (inside, written):
        link.symlink_to(home / "notes")
        with pytest.raises(PairingError, match="link that a guest may have made") as refused:
            shown(project, link, key)
        assert refused.value.code == "not-shareable"
        assert str(home / "notes") in refused.value.hint
    (home / "stuff" / "way").symlink_to(inside)  # the host's own, through what is a guest's
    with pytest.raises(PairingError, match="link that a guest may have made"):
        shown(project, home / "stuff" / "way", key)
    (home / "stuff" / "other").symlink_to(home / "notes")
    assert str(home / "notes") in getattr(shown(project, home / "stuff" / "other", key), key)


def test_a_loop_of_links_and_a_way_around_end(project: Path) -> None:
    home = project.parent
    for name in ("data", "x"):
        (home / name).mkdir()
    (project / "src").mkdir()
    (home / "loop").symlink_to(home / "loop")
    (home / "up").symlink_to("x/..")
    shown(project, home / "loop")
    around = shown(project, home / "up" / "." / "project" / "src" / ".." / "src")
    assert around.read == (str(project / "src"),)


def test_a_shared_directory_in_one_that_was_shared_is_refused_if_it_leads_out(
    project: Path,
) -> None:
    (project.parent / "notes").mkdir()
    (project / "sub").symlink_to(project.parent / "notes")
    settings: BoxSettings = {**SETTINGS, "write": [str(project)]}
    environ = {"HOME": str(project.parent)}
    with pytest.raises(PairingError, match="leads out of"):
        plan.make(str(project / "sub"), "/usr/bin/tmux", settings, (), (), environ)


def test_a_path_that_does_not_exist_is_passed_over(project: Path) -> None:
    (project.parent / ".vimrc").write_text("")
    there, absent = str(project.parent / ".vimrc"), str(project.parent / ".emacs")
    assert made(project, {**SETTINGS, "read": [there, absent]}).read == (there,)


def test_what_is_named_by_links_has_those_names_in_the_box(project: Path) -> None:
    home = project.parent
    (home / "dot files" / "cargo" / "bin").mkdir(parents=True)
    (home / "dot files" / "gitconfig").write_text("")
    (home / ".gitconfig").symlink_to("dot files/gitconfig")
    (home / ".cargo").symlink_to("tools")
    (home / "tools").symlink_to(home / "dot files" / "cargo")
    (home / "work").symlink_to(project)
    (project / "inside").symlink_to(".git")  # there already
    (home.parent / "by link").symlink_to("home")
    read = [home / ".gitconfig", home / ".cargo", project / "inside", home / "absent"]
    environ = {"HOME": str(home.parent / "by link"), "PATH": f"{home}/.cargo/bin:/usr/bin"}
    settings: BoxSettings = {**SETTINGS, "read": [*map(str, read)]}
    chosen = plan.make(str(home / "work"), "/usr/bin/tmux", settings, (), (), environ)
    assert (chosen.home, chosen.directory) == (str(home), str(project))
    assert dict(chosen.links) == {
        str(home.parent / "by link"): "home",
        str(home / "work"): str(project),
        str(home / ".gitconfig"): "dot files/gitconfig",
        str(home / ".cargo"): "tools",
        str(home / "tools"): str(home / "dot files" / "cargo"),
    }
    assert chosen.environment["HOME"] == environ["HOME"]
    assert chosen.environment["PATH"].startswith(f"{home}/dot files/cargo/bin:/usr/bin:")


def test_a_link_of_the_system_s_is_not_made_again(project: Path) -> None:
    way = f"/bin/../..{project}"  # /bin leads to /usr/bin, on most systems
    environ = {"HOME": str(project.parent)}
    assert plan.make(way, "/usr/bin/tmux", SETTINGS, (), (), environ).links == ()


def test_the_python_of_the_project_s_environment_is_shown(project: Path) -> None:
    python = project.parent / ".pyenv" / "3.11"
    (python / "lib" / "python3.11").mkdir(parents=True)
    (python / "lib" / "python3.11" / "os.py").write_text("")
    (python / "bin").mkdir()
    (python / "bin" / "python3.11").write_text("")
    (python.parent / "now").symlink_to("3.11")
    programs = project / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to("python3.11")
    (programs / "python3.11").symlink_to(python.parent / "now" / "bin" / "python3.11")
    assert made(project).read == ()  # no environment
    (project / ".venv" / "pyvenv.cfg").write_text("")
    chosen = made(project)
    assert chosen.read == (str(python / "bin"), str(python / "lib"))
    assert chosen.links == ((str(python.parent / "now"), "3.11"),)
    assert made(project, {**SETTINGS, "read": [str(python.parent)]}).read == (str(python.parent),)


@pytest.mark.parametrize("leads_to", [".ssh", ".ssh/bin/python3.11", "notes/bin/python3.11"])
def test_a_python_that_a_guest_has_made_up_is_not_shown(project: Path, leads_to: str) -> None:
    home = project.parent
    for place in (home / ".ssh", home / "notes"):
        (place / "bin").mkdir(parents=True)
        (place / "bin" / "python3.11").write_text("")
    library = home / ".ssh" / "lib" / "python3.11"
    library.mkdir(parents=True)
    (library / "os.py").write_text("")
    (project / "venv" / "bin").mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").write_text("")
    (project / "venv" / "bin" / "python").symlink_to(home / leads_to)
    assert (made(project).read, made(project).links) == ((), ())


def test_zsh_begins_with_a_start_up_file(project: Path) -> None:
    """Without any it first asks its user a page of questions."""
    zshrc = project.parent / ".zshrc"
    assert made(project, SHELL="/bin/sh").start_up_file == ""
    shell = plan.make(str(project), "/usr/bin/tmux", SETTINGS, (), (), {"HOME": str(zshrc.parent)})
    zsh = shell._replace(environment={**shell.environment, "SHELL": "/usr/bin/zsh"})
    assert zsh.start_up_file == str(zshrc)
    assert zsh._replace(read=(str(zshrc),)).start_up_file == ""
    assert zsh._replace(links=((str(zshrc), "dot/zshrc"),)).start_up_file == ""


def test_a_tmux_of_the_users_own_is_shown(project: Path) -> None:
    tmux = project.parent / "tmux"
    tmux.write_text("")
    environ = {"HOME": str(project.parent)}
    chosen = plan.make(str(project), str(tmux), SETTINGS, (), (), environ)
    assert chosen.around_tmux == (str(tmux),)
    assert made(project).around_tmux == ()
