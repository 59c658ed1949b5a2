#!/bin/sh
# The only thing that a guest's key leads to: the shared tmux session.
# sshd starts this as the forced command of every line in our authorized_keys:
#     join.sh MARK CONFINEMENT PYTHON TMUX SOCKET SESSION [CONTROL_SOCKET]
# CONFINEMENT is `plain` or `box`. SESSION is a target of tmux's: the session's id, which outlives a new name.
# MARK.write.* and MARK.read.* (pairingd.state.live) say what the invitation allows now: a connection may
# start a second terminal after the first.
# A read guest goes behind glass.py, and so does everybody in a box. Else a write guest's terminal
# is tmux's own, so that a keystroke passes no further process; this one stays beside it and keeps
# the size within bounds.
# CONTROL_SOCKET is given if the host approves each visit: before that, no guest reaches tmux.
# SIGURG makes the guest a read guest.
# The guest's words (TERM, SSH_ORIGINAL_COMMAND) are never expanded unquoted, nor run.

if [ -z "$SSH_TTY" ]; then
    if [ -n "$SSH_ORIGINAL_COMMAND" ]; then
        cause='it runs no command' hint='use ssh without a command, or -o RemoteCommand=none if ssh_config sets one'
    else
        cause='your ssh requested none' hint='use ssh -t, not ssh -T or RequestTTY no'
    fi
    printf '%s\n' "pairing: this invitation opens a shared terminal; $cause" "hint: $hint" >&2
    exit 1
fi

# A terminal that the host does not know, or in which tmux cannot draw ("missing or unsuitable
# terminal", "open terminal failed"), such as dumb, falls back to a common one.
case $TERM in
'' | -* | *[!A-Za-z0-9._+-]*) TERM=xterm-256color ;;
*) { /usr/bin/tput -T "$TERM" clear && /usr/bin/tput -T "$TERM" cup 0 0; } >/dev/null 2>&1 || TERM=xterm-256color ;;
esac
export TERM

behind_glass() { # ROLE
    exec "$python" -I -S "${0%/*}/glass.py" "$mark" "$1" \
        "$confinement" "$python" "$tmux" "$socket" "$session"
}
# A visit that has used its invitation up goes on in another role (glass.py), but no other begins.
marked() {
    for file in "$mark.$1."*; do
        case $file in *.used) used=1; [ "$PAIRING_VISIT" ] || continue ;; esac
        [ -e "$file" ] && return
    done
    false
}

# glass.py has the same bounds and the reason for them.
clamp() {
    size=$(stty size <&3) || return
    rows=${size% *} columns=${size#* }
    [ "$rows" -ne 0 ] || rows=24
    [ "$columns" -ne 0 ] || columns=80
    [ "$rows" -ge 3 ] || rows=3
    [ "$rows" -le 200 ] || rows=200
    [ "$columns" -ge 10 ] || columns=10
    [ "$columns" -le 500 ] || columns=500
    [ "$rows $columns" = "$size" ] || stty rows "$rows" cols "$columns" <&3
}

used=
mark=$1 confinement=$2 python=$3 tmux=$4 socket=$5 session=$6
if [ $# -gt 6 ]; then
    "$python" -I -S "${0%/*}/approval.py" "$7" || exit 1
fi
if ! marked write; then
    marked read || {
        echo "pairing: ${used:+your invitation was for one visit; }you are not invited any more" >&2
        exit 1
    }
    behind_glass read
fi
[ "$confinement" = plain ] || behind_glass write
exec 3<&0
clamp

# Job control (-m) gives the client a process group of its own, in the background: sshd's SIGWINCH
# comes only here, and the client gets a size once it is clamped. It must not be stopped for
# setting its terminal up from there (TTOU), and tmux's server reads the keys, not the client.
set -m
trap '' TTOU TTIN
client= next=
trap 'clamp; kill -WINCH "$client"' WINCH
trap 'next=read; kill "$client"' URG
trap 'kill -KILL "$client"; exit 1' HUP TERM

# -N: never start a server, a session that has ended stays ended. -u: the guest's terminal is UTF-8.
# -E: the guest's environment must not change the session's. ignore-size: the host's window size
# wins while a host is attached.
# In braces, since dash with job control reports and forgets the jobs that have ended before it reads
# another command: `wait` would return 127 for a client that has ended at once.
{
    "$tmux" -N -u -S "$socket" attach-session -E -f ignore-size -t "$session" <&3 &
    client=$!
    exec >/dev/null 2>&1 # a shell with job control speaks of its jobs
    # A trap ends a wait early, and so does a client that stops itself (tmux's suspend-client): to
    # the shell it stays stopped, and no `wait` waits for it, until `bg`.
    while
        wait "$client"
        status=$?
        kill -CONT "$client" 2>/dev/null
    do bg; done
}
if [ "$next" ]; then
    [ "$status" -ge 128 ] || printf '\033[A\r\033[K' >&3 # tmux's "[terminated]"
    PAIRING_VISIT=goes-on
    export PAIRING_VISIT
    behind_glass read <&3 >&3 2>&3
fi
exec /bin/sh "${0%/*}/farewell.sh" "$status" '' "$tmux" "$socket" "$session" "$mark" <&3 >&3
