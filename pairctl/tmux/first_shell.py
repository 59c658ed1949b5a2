"""Gives the session's shells the environment of the terminal that made the session.

With an empty default-command, tmux starts login shells (tmux(1)). /etc/profile, and macOS's
path_helper, then reset PATH, and an activated environment's programs are not found.
"""

from __future__ import annotations

# Tmux commands before new-session. The server serves only the shared session. A default-command
# of tmux.conf stays as it is.
KEEP_ENVIRONMENT = (
    *("if-shell", "-F", "#{==:#{default-command},}"),
    "set-option -gF default-command '#{q:default-shell}'",
    ";",
)
