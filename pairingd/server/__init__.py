"""The control socket: who may connect, and what each client asks.

server.py          the Unix socket and its limits
conversation.py    one client's requests and replies
rpc.py             JSON-RPC 2.0
control_socket.py  where the socket lies, and that it is there
asks.py            the other socket, at which guests of an account ask to be let in
"""
