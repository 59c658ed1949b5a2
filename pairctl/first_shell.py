"""The session's shells have the environment of the terminal that made the session.

With an empty default-command, tmux starts login shells (tmux(1)). /etc/profile, and macOS's
path_helper, then set PATH again, and an activated environment's programs are not found.
"""

from __future__ import annotations

# For tmux, before new-session. The server is the shared session's own. A default-command of
# tmux.conf is left as it is.
KEEP_ENVIRONMENT = (
    *("if-shell", "-F", "#{==:#{default-command},}"),
    "set-option -gF default-command '#{q:default-shell}'",
    ";",
)
