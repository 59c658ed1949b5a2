"""The port that the home router forwards to the door; `lane.py` is the loop.

behind.py   what to request behind another NAT, whose router second.py finds
hints.py    when to look early
hairpin.py  looks at the endpoint from inside
"""
