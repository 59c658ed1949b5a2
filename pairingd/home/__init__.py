"""pairing's directory: where it lies, whose it is, and its files.

paths.py    where everything lies
private.py  whose a place is, and who else can change it
files.py    files that are private and whole
config.py   config.toml; values.py what its keys may hold
"""
