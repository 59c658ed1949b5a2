"""`make docs`: the completion scripts in pairctl/completions, out of the argument parser."""

from __future__ import annotations

import re

import shtab

from pairctl import arguments
from pairctl.commands.completion import script_path

# Live guests are whom all commands but `invite` are about; with --show it is, too. What a guest is
# called may come from elsewhere: no shell may expand it, or insert it unquoted.
_GUESTS = {
    "bash": """\
_pairctl_guests() {
  local guest
  case " ${COMP_WORDS[*]} " in *" --show "*) ;; *" invite "*) return ;; esac
  pairctl complete-guests -- "$1" 2>/dev/null | while IFS= read -r guest; do
    printf '%q\\n' "$guest"
  done
}
""",
    "zsh": """\
_pairctl_guests() {
  [[ " $words " == *" invite "* && " $words " != *" --show "* ]] && return
  local -a guests=(${(f)"$(pairctl complete-guests -- "$PREFIX" 2>/dev/null)"})
  compadd -a guests
}
""",
    "fish": """\
function _pairctl_guests
  set -l words (commandline -opc)
  contains invite $words; and not contains -- --show $words; and return
  pairctl complete-guests -- (commandline -ct) 2>/dev/null
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
  if [[ $COMP_WORDBREAKS == *:* ]]; then
    before=${word%"${word##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
  fi
}
complete -o bashdefault -F _pairctl pairctl
"""

_HEADER = re.compile(r"^# Usage:\n(?:#.*\n)*", re.MULTILINE)

SHELLS = tuple(_GUESTS)


def script(shell: str) -> str:
    text: str = shtab.complete(
        arguments.parser(), shell, root_prefix="pairctl", preamble=_GUESTS[shell]
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
