"""Who is at the other end of a unix socket."""

from __future__ import annotations

import os
import pwd
import socket

from fairlead.apiserver import identity, peers


class Transport:
    def __init__(self, connected):
        self.connected = connected

    def get_extra_info(self, name):
        return self.connected if name == "socket" else None


def test_the_kernel_says_who():
    one, two = socket.socketpair()
    with one, two:
        assert peers.uid_of(Transport(one)) == os.getuid()
    with socket.socket() as tcp:
        assert peers.uid_of(Transport(tcp)) is None
    assert peers.uid_of(None) is None


def test_owner_and_root_may_do_everything():
    nobody = pwd.getpwnam("nobody").pw_uid
    known = peers.Peers(nobody)
    for uid in (nobody, 0):
        assert identity.MASTERS in known.user(uid).groups
    assert known.user(nobody).name == "unix:nobody"
    stranger = known.user(54321)
    assert (stranger.name, stranger.uid, stranger.groups) == ("unix:54321", "54321", ("system:authenticated",))
