"""`pairctl doctor`: finds what could keep a guest out, before one tries.

A separate program (`python -m pairingd.doctor`), so that it works without a daemon and costs
an idle one nothing. It prints each finding at once, as one JSON object a line.
"""
