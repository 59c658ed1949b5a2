"""`pairctl account`: a separate user for guests, made and removed by steps that can be shown.

facts.py   what exists on this machine, who owns the account, and what is refused
create.py  the steps that are still to do, in order; remove.py: the steps that undo them
linux.py   user, group and the files they leave: useradd(8); darwin.py: dscl(1); left.py: both
shares.py  a directory for both, by ACLs: setfacl(1), and chmod(1) of macOS
acl.py     ACLs read from the kernel, to see what is done; trust.py: who could replace a program
users.py   what root does as another user

Only steps whose result is not there yet are run. So a second run changes nothing, and a second
run completes an interrupted first one.
"""
