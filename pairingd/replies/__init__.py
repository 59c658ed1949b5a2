"""What the verbs share: the parts that they work on, what they wait for, and what they answer.

parts.py    the daemon's parts
changes.py  a change, and what is waited for until it is carried out; waits.py for how long
opening.py  a scheduled invitation's command, at its time
answers.py  the replies; report.py the JSON of what is wished and seen
advisor.py  what the host could try while no endpoint is proven
"""
