"""The port that the home router forwards to the door; `lane.py` is the loop.

gateway.py  what the lane needs of a router    behind.py   what to request behind another NAT,
hints.py    when to look early                 second.py   whose router is found here
hairpin.py  looks at the endpoint from inside
"""
