"""zygote: a shim that is ready to be forked. It gives a container its shim in one millisecond instead of ten.

    agent --(order pipe, answer pipe) on a socket--> zygote --fork--> shim

What is forked is a shim like any other: a session and a life of its own, reading its order and giving its answer on the
pipes that came with the request. The zygote does nothing else; it ends when the agent does, and shims do not notice.
Its children are not waited for (they are nobody's business but the agent's, who has their pidfds).
"""

from __future__ import annotations

import _socket  # The socket module itself would be inherited by every shim.
import ctypes
import gc
import os
import sys

from fairlead.agent import shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

SIGCHLD = 17
IGNORED, DEFAULT = ctypes.c_void_p(1), ctypes.c_void_p(0)
PR_SET_NAME = 15
_INTEGER = 4


def become_shim(order: int, answer: int) -> NoReturn:
    """In the child."""
    code = 1
    try:
        shim.call("signal", SIGCHLD, DEFAULT)
        shim.call("prctl", PR_SET_NAME, b"fairlead-shim")
        os.dup2(order, 0)
        os.dup2(answer, 1)
        os.close(order)
        os.close(answer)
        shim.main()
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    shim.quietly(os.setsid)
    channel = _socket.socket(fileno=0)
    shim.call("signal", SIGCHLD, IGNORED)
    shim.call("prctl", PR_SET_NAME, b"fairlead-zygote")
    gc.freeze()
    while True:
        request, control, _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(2 * _INTEGER))
        if not request:
            return
        sent = control[0][2]
        order, answer = (int.from_bytes(sent[i : i + _INTEGER], sys.byteorder) for i in (0, _INTEGER))
        if os.fork() == 0:
            become_shim(order, answer)
        os.close(order)
        os.close(answer)
