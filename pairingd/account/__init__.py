"""The account: a session whose guests, shell and tmux run as another user, and not as the host.

place.py     one account: where its programs and files are, and whose it is
check.py     whether all of it is there, for `pairctl account show` and `doctor`
programs.py  what root installs for it: two programs, and the rule by which the host may run them
guest.py     one of the two: sshd for one connection, and the guardian that ends it

The tmux server and clients that the host runs for a session are in pairingd.box. The host reaches
the account only by sudo(8), and the account reaches none of the host's files: the keys and marks
that it must read lie in a directory of its own. `pairctl account` makes all of that.
"""
