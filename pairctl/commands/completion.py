"""`pairctl completion`: a shell's completion script, out of the argument parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import shtab

from pairctl import arguments, output

if TYPE_CHECKING:
    from argparse import Namespace

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


def run(args: Namespace) -> None:
    script = shtab.complete(arguments.parser(), args.shell, preamble=_GUESTS[args.shell])
    if args.shell == "bash":
        script += _WHOLE_WORDS
    elif args.shell == "zsh":
        # shtab 1.13 has "one or more" end after the first: zshcompsys(1), _arguments.
        script = script.replace('"(*):GUEST:', '"*:GUEST:')
    # The header's way to install it is not ours: docs/commands.md.
    script = _HEADER.sub("", script)
    if args.json:
        output.document({"shell": args.shell, "script": script})
    else:
        output.write(script)
