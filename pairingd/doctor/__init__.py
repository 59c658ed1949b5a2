"""`pairctl doctor`: what could keep a guest out, found before one tries.

A program of its own (`python -m pairingd.doctor`), so that it works without a daemon and costs
an idle one nothing. It prints one JSON object a line, each a finding, as they are found.
"""
