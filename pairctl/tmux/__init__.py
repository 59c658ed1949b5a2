"""The shared tmux session, made and entered from the user's own terminal.

session.py     makes it, and enters it
birth.py       what is set before anything else can run in it; first_shell.py what its shells have
confined.py    a session that does not run as the host
               box.py in a box, account_session.py as an account
tmux_program.py, terminal_type.py   which tmux to run, and whether it can draw here
foreground.py  a program that has the terminal meanwhile
"""
