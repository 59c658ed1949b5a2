"""`make docs`: the completion scripts in pairctl/completions, out of the argument parser."""

from __future__ import annotations

import re

import shtab

from pairctl.command_line import arguments
from pairctl.commands.completion import script_path

# Live guests are whom all commands but `invite` are about; with --show it is, too. Without it, `file:`
# has a path. What a guest is called may come from elsewhere: no shell may expand it, or insert it
# unquoted.
_FUNCTIONS = {
    "bash": """\
_pairctl_invites() {
  [[ " ${COMP_WORDS[*]} " == *" invite "* && " ${COMP_WORDS[*]} " != *" --show "* ]]
}
_pairctl_guests() {
  local guest path
  if _pairctl_invites; then
    [[ $1 == file:* ]] || return
    IFS= read path <<<"${1#file:}"  # without its backslashes
    compgen -f -- "$path" | while IFS= read -r path; do printf 'file:%s\\n' "$path"; done
    return
  fi
  pairctl complete-guests -- "$1" 2>/dev/null | while IFS= read -r guest; do
    printf '%q\\n' "$guest"
  done
}
_pairctl_sessions() { pairctl complete-sessions -- "$1" 2>/dev/null; }
""",
    "zsh": """\
_pairctl_guests() {
  if [[ " $words " == *" invite "* && " $words " != *" --show "* ]]; then
    compset -P 'file:' && _files
    return
  fi
  local -a guests=(${(f)"$(pairctl complete-guests -- "$PREFIX" 2>/dev/null)"})
  compadd -a guests
}
_pairctl_sessions() {
  local -a sessions=(${(f)"$(pairctl complete-sessions -- "$PREFIX" 2>/dev/null)"})
  compadd -V sessions -a sessions
}
""",
    "fish": """\
function _pairctl_guests
  set -l words (commandline -opc)
  set -l word (commandline -ct)
  if contains invite $words; and not contains -- --show $words
    string match -q 'file:*' -- $word; or return
    for path in (__fish_complete_path (string replace 'file:' '' -- $word))
      echo file:$path
    end
    return
  end
  pairctl complete-guests -- $word 2>/dev/null
end
function _pairctl_sessions
  pairctl complete-sessions -- (commandline -ct) 2>/dev/null
end
""",
}
# bash splits words at ":" and "=" (COMP_WORDBREAKS) and replaces only what follows the last one;
# github:octocat is one word.
_WHOLE_WORDS = """
_pairctl() {
  local -a words=()
  local word last=-1 before
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if ((last > 0)) && [[ $word == [:=]* || ${words[last]} == *[:=] ]]; then
      words[last]+=$word
    else
      words[++last]=$word
    fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$last
  word=${words[last]}
  _shtab_pairctl
  if [[ $word == file:* ]] && _pairctl_invites; then compopt -o filenames 2>/dev/null; fi
  if [[ $COMP_WORDBREAKS == *:* ]]; then
    before=${word%"${word##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
  fi
}
complete -o bashdefault -F _pairctl pairctl
"""

_HEADER = re.compile(r"^# Usage:\n(?:#.*\n)*", re.MULTILINE)

SHELLS = tuple(_FUNCTIONS)


def script(shell: str) -> str:
    text: str = shtab.complete(
        arguments.parser(), shell, root_prefix="pairctl", preamble=_FUNCTIONS[shell]
    )
    if shell == "bash":
        text += _WHOLE_WORDS
    elif shell == "zsh":
        # shtab 1.13 has "one or more" end after the first: zshcompsys(1), _arguments.
        text = text.replace('"(*):GUEST:', '"*:GUEST:')
    # The header's way to install it is not ours: docs/commands.md.
    return _HEADER.sub("", text)


if __name__ == "__main__":
    for shell in SHELLS:
        script_path(shell).write_text(script(shell), encoding="utf-8")
