"""Connections that this machine makes so that others can connect through them.

dialer  to a guest who connects at the same time
hole    to a STUN server, from a port to which the provider then forwards others
stun    the codec of that server
"""
