"""Answers as a server made with grpcio 1.85 gave them."""

from __future__ import annotations

import pytest

from fairlead.agent import grpchealth

ANSWERS = {
    "serving": (
        "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f00010000"
        "000401000000000000040800000000000000000500000806000000000099d9d65918700d1500004e0104000000018840"
        "0c636f6e74656e742d74797065106170706c69636174696f6e2f677270634014677270632d6163636570742d656e636f"
        "64696e67176964656e746974792c206465666c6174652c20677a69700000070000000000010000000002080100001e01"
        "0500000001400b677270632d7374617475730130000c677270632d6d65737361676500"
    ),
    "not serving": (
        "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f00010000"
        "000401000000000000040800000000000000000b000008060000000000890b3d3d59d7b14f00004e0104000000018840"
        "0c636f6e74656e742d74797065106170706c69636174696f6e2f677270634014677270632d6163636570742d656e636f"
        "64696e67176964656e746974792c206465666c6174652c20677a69700000070000000000010000000002080200001e01"
        "0500000001400b677270632d7374617475730130000c677270632d6d65737361676500"
    ),
    "unknown service": (
        "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f00010000"
        "000401000000000000040800000000000000000b000008060000000000207b627b75a2012400004e0104000000018840"
        "0c636f6e74656e742d74797065106170706c69636174696f6e2f677270634014677270632d6163636570742d656e636f"
        "64696e67176964656e746974792c206465666c6174652c20677a6970000005000000000001000000000000001e010500"
        "000001400b677270632d7374617475730135000c677270632d6d65737361676500"
    ),
    "no health service": (
        "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f00010000"
        "000401000000000000040800000000000000000500000806000000000007e23999fb99abd80000500105000000018840"
        "0c636f6e74656e742d74797065106170706c69636174696f6e2f67727063400b677270632d737461747573023132000c"
        "677270632d6d657373616765114d6574686f64206e6f7420666f756e6421"
    ),
}
SAID = {
    "serving": (True, ""),
    "not serving": (False, 'service unhealthy (responded with "NOT_SERVING")'),
    "unknown service": (False, 'service unhealthy (responded with "UNKNOWN")'),
    "no health service": (
        False, "the server gave no health status: it does not serve grpc.health.v1.Health, or not this service",
    ),
}  # fmt: skip


@pytest.mark.parametrize("piece", [1, 7, 4096])
@pytest.mark.parametrize("name", ANSWERS)
def test_real_answers_in_pieces_of_any_size(name: str, piece: int) -> None:
    data, answer, back = bytes.fromhex(ANSWERS[name]), grpchealth.Answer(), b""
    for i in range(0, len(data), piece):
        if not answer.over:
            back += answer.receive(data[i : i + piece])
    assert answer.over
    assert grpchealth.verdict(answer) == SAID[name]
    assert back.startswith(bytes.fromhex("000000040100000000")), "settings are acknowledged"


def test_a_server_that_closes_is_not_healthy() -> None:
    answer = grpchealth.Answer()
    answer.receive(b"HTTP/1.1 400 Bad Request\r\n")
    answer.receive(b"")
    assert grpchealth.verdict(answer)[0] is False


def test_the_request_byte_by_byte() -> None:
    sent = grpchealth.request("10.0.0.2:80", "sick", "kube-probe/1")
    head = grpchealth.PREFACE + bytes.fromhex("000000040000000000")
    assert sent.startswith(head)
    headers = sent[len(head) :]
    size = int.from_bytes(headers[:3], "big")
    assert headers[3:9] == bytes.fromhex("010400000001")
    assert headers[9:12] == b"\x83\x86\x04"
    assert b"/grpc.health.v1.Health/Check" in headers
    assert headers[9 + size :] == bytes.fromhex("00000b000100000001") + b"\0\0\0\0\x06\x0a\x04sick"
