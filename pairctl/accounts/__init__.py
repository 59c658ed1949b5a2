"""`pairctl account`: a user of its own for guests, made and removed by steps that can be shown.

facts.py   what is on this machine, whose account it is, and what is refused
create.py  the steps that are still to be done, in order; remove.py those that take it back
linux.py   user, group and what they leave: useradd(8); darwin.py: dscl(1); left.py: what both do
shares.py  a directory for both, by ACLs: setfacl(1), and chmod(1) of macOS
acl.py     ACLs as the kernel has them, to see what is done; trust.py: who could replace a program
users.py   what root does as another user

The steps that are left are those that do not hold yet. So a second run changes nothing, and what
was interrupted is completed by running it again.
"""
