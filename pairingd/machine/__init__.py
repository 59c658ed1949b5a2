"""What this machine is, as the operating system tells it.

clock.py       time that does not go back
interfaces.py  the addresses of its interfaces
lan.py         whether macOS denies the local network
names.py       where a host's name leads
user.py        the account that we are
peer.py        whose process is at the other end of a socket
which.py       which tmux to run
"""
