#!/bin/sh
# What a guest's key leads to, and nothing else: the shared tmux session.
# sshd starts this as the forced command of every line in our authorized_keys:
#     join.sh TMUX SOCKET SESSION write|read
# The guest's words (TERM, SSH_ORIGINAL_COMMAND) are never expanded unquoted, nor run.

if [ -z "$SSH_TTY" ]; then
    echo 'pairing: this invitation opens a shared terminal; use ssh without a command' >&2
    exit 1
fi

# A terminal the host does not know ("missing or unsuitable terminal") falls back to a common one.
case $TERM in
'' | -* | *[!A-Za-z0-9._+-]*) TERM=xterm-256color ;;
*) /usr/bin/infocmp "$TERM" >/dev/null 2>&1 || TERM=xterm-256color ;;
esac
export TERM

# -N: never start a server, a session that has ended stays ended. -u: the guest's terminal is UTF-8.
# -E: the guest's environment must not change the session's. ignore-size: the host's window size
# wins while a host is attached. -r is tmux's read-only attach.
case $4 in
write) exec "$1" -N -u -S "$2" attach-session -E -f ignore-size -t "=$3" ;;
*) exec "$1" -N -u -S "$2" attach-session -E -r -f ignore-size -t "=$3" ;;
esac
