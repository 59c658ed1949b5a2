#!/bin/sh
# The last line that a guest sees, in the place of tmux's own:
#     farewell.sh STATUS HOW TMUX SOCKET SESSION MARK
# STATUS is the exit status of the tmux client, which becomes ours. HOW is `left` if the guest has
# left by a key of ours.
# The daemon writes why it ends a connection to MARK.farewell.PID, with our pid; or, from the beginning,
# `again` and how a guest comes back for whom the same command does not work again. Otherwise the guest
# has left, the session has ended, or the daemon is dead and the guardian acted on the deadline.

status=$1 how=$2 tmux=$3 socket=$4 session=$5 mark=$6

clock() { date -d "@$1" +%H:%M 2>/dev/null || date -r "$1" +%H:%M; } # GNU, and BSD

mark_of_now() { for file in "$mark".write.* "$mark".read.*; do [ -e "$file" ] && return; done; false; }

why() {
    if [ "$how" != left ] && ! "$tmux" -N -S "$socket" has-session -t "$session" </dev/null >/dev/null 2>&1; then
        echo 'the session has ended'
        return
    fi
    if ! mark_of_now; then
        echo 'the invitation is over'
        return
    fi
    rights=${file#"$mark".*.}
    until=${rights%%.*}
    if [ "$(date +%s)" -ge "$until" ]; then
        echo "your time is up ($(clock "$until"))"
    elif [ "$rights" != "$until" ]; then
        echo 'you left; the invitation was for one visit'
    else
        printf '%s\n' "you left; come back until $(clock "$until") $again"
    fi
}

# tmux prints "[detached (from session pairing)]" or "[exited]", and returns 0.
if [ "$status" -eq 0 ] && [ "$how" != left ]; then printf '\033[A\r\033[K'; fi
line= again='with the same command'
if [ -r "$mark.farewell.$$" ]; then read -r line <"$mark.farewell.$$"; fi
case $line in 'again '*) again=${line#again } line= ;; esac
printf 'pairing: %s\n' "${line:-$(why)}" # dash's echo expands backslashes, which user names may have
exit "$status"
