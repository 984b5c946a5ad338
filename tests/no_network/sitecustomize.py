"""Python imports this by itself where its folder is on PYTHONPATH: every way out of the machine is noted and refused.

The notes go into the file that NETWORK_LOG names, one line a try: process, call, where to and the stack. Sockets
between the processes of the machine stay open only where NETWORK_LOCAL is set: a notebook's kernel needs them.
"""

import os
import socket
import traceback

LOG, LOCAL = os.environ.get("NETWORK_LOG"), bool(os.environ.get("NETWORK_LOCAL"))
HERE = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", "None")


def _allowed(family, address) -> bool:
    inside = getattr(socket, "AF_UNIX", None)
    return LOCAL and (family == inside or (isinstance(address, tuple) and str(address[0]) in HERE))


def _refuse(call: str, where) -> None:
    stack = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(traceback.extract_stack()[:-2]))
    with open(LOG, "a", encoding="utf-8") as stream:
        stream.write(f"{os.getpid()} {call} {where!r} {stack}\n")
    raise OSError(101, "Network is unreachable: refused by the test")


def _guard_method(name: str, place: int) -> None:
    original = getattr(socket.socket, name)

    def guarded(self, *args, **kwargs):
        if not _allowed(self.family, args[place]):
            _refuse(name, args[place])
        return original(self, *args, **kwargs)

    setattr(socket.socket, name, guarded)


def _guard_lookup(name: str) -> None:
    original = getattr(socket, name)

    def guarded(host, *args, **kwargs):
        if not (LOCAL and str(host) in HERE):
            _refuse(name, host)
        return original(host, *args, **kwargs)

    setattr(socket, name, guarded)


if LOG:
    _guard_method("connect", 0)
    _guard_method("connect_ex", 0)
    _guard_method("sendto", -1)
    for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        _guard_lookup(_name)
