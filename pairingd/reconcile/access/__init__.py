"""Keys, connections, the door, and the guests in tmux; `lane.py` is the loop.

entrance.py     lets guests in: sshd, its keys, the door     knocks.py       who was refused
roster.py       who is connected; login.py: one of them      approvals.py    who waits for the host,
guests.py       keeps or cuts those who are in               popups.py       whom that asks
confinement.py  holds them in their place in tmux            idleness.py     ends what nobody uses
roles.py        changes what they may do                     wishes.py       what the intent demands
statusline.py   what the host sees all the time              messages.py     what is said once
courtesy.py     what a guest reads                           local_time.py   times in both
"""
