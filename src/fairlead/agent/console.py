"""console: keeps a container's standard input, or its terminal, while agents and clients come and go.

A process of its own per container that asks for one (`stdin` or `tty`), started before the container and over when
nothing in the container has its input any more. It listens at a named pipe beside the log; what comes is framed
(`frame`), small enough that frames of several writers never mix:

    DATA    bytes for the container's input
    RESIZE  the terminal's rows and columns
    END     no more input; heeded where the container asks for `stdinOnce`

With a terminal it also writes what the container prints to the log, and ends only when all of it is written.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios

DATA, RESIZE, END = range(3)
_HEAD = struct.Struct(">BH")
LARGEST = select.PIPE_BUF - _HEAD.size
"""Bytes of the largest frame: what a pipe takes whole or not at all."""


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEAD.pack(kind, len(payload)) + payload


def size(rows: int, columns: int) -> bytes:
    """The payload of RESIZE."""
    return struct.pack(">HH", rows, columns)


def resize(terminal: int, rows: int, columns: int) -> None:
    """Give a terminal another size; its foreground processes are told by SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Console:
    """`target` is the terminal's controlling side, or the writing end of the container's input."""

    def __init__(self, pipe: str, log: str, target: int, *, terminal: bool, once: bool) -> None:
        self.target, self.terminal, self.once = target, terminal, once
        os.mkfifo(pipe, 0o600)
        self.source = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # As a writer of its own it never sees an end.
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        os.set_blocking(target, False)
        self.unread = self.pending = b""
        self.ended = False

    def run(self) -> None:
        """Serve until the container has let go."""
        while not (self.ended and not self.pending) and self.step():
            pass

    def step(self) -> bool:
        """Wait for something and deal with it. False when there is nothing left to do."""
        poll = select.poll()
        wanted = (select.POLLIN if self.terminal else 0) | (select.POLLOUT if self.pending else 0)
        poll.register(self.target, wanted)
        if not self.pending:
            poll.register(self.source, select.POLLIN)
        for fd, events in poll.poll():
            if fd == self.source:
                self.take(os.read(self.source, 1 << 16))
            elif not self.serve(events):
                return False
        return True

    def serve(self, events: int) -> bool:
        """The container's side. False when the container has let go of it."""
        try:
            if self.terminal and events & (select.POLLIN | select.POLLHUP):
                self.record(os.read(self.target, 1 << 16))
            elif events & (select.POLLERR | select.POLLHUP):
                return False
            if events & select.POLLOUT:
                self.pending = self.pending[os.write(self.target, self.pending) :]
        except BlockingIOError:
            pass
        except OSError:  # A terminal that nobody has (EIO), a pipe that nobody reads (EPIPE).
            return False
        return True

    def record(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.log, data) :]

    def take(self, data: bytes) -> None:
        """Frames, or parts of frames."""
        self.unread += data
        while len(self.unread) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self.unread)
            if len(self.unread) < _HEAD.size + length:
                return
            payload = self.unread[_HEAD.size : _HEAD.size + length]
            self.unread = self.unread[_HEAD.size + length :]
            if kind == DATA and not self.ended:
                self.pending += payload
            elif kind == RESIZE and self.terminal:
                resize(self.target, *struct.unpack(">HH", payload))
            elif kind == END and self.once and not self.terminal:
                self.ended = True


def main() -> None:
    _, _, pipe, log, target, answer, terminal, once = sys.argv
    os.setsid()
    try:
        console = Console(pipe, log, int(target), terminal=terminal == "1", once=once == "1")
    except OSError as e:
        os.write(int(answer), str(e).encode())
        return
    os.write(int(answer), b"\n")
    os.close(int(answer))
    try:
        console.run()
    finally:
        os.unlink(pipe)
