"""The account: a session whose guests, shell and tmux run as another user, and not as the host.

place.py     one account: where its programs and files are, and whose it is
check.py     whether all of it is there, for `pairctl account show` and `doctor`
programs.py  what root installs for it: two programs, and the rule by which the host may run them
guest.py     one of the two: sshd for one connection, and the guardian that ends it

What the host runs of a session, its tmux server and clients behind glass, is in pairingd.box. The
host reaches the account by sudo(8) alone, and the account reaches nothing of the host's: what
it must read, keys and marks, lies in a directory of its own. `pairctl account` makes all of that.
"""
