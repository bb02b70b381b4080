import pytest

from fairlead.api.core import CONFIG_MAPS
from fairlead.apiserver import bodies, identity, rest
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError


def refused(read, data):
    with pytest.raises(StatusError) as caught:
        read(data)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    return caught.value.message


def nested(depth, opener=b'{"a":', closer=b"}"):
    return opener * (depth - 1) + b"{}" + closer * (depth - 1)


@pytest.mark.parametrize("depth", [bodies.DEPTH + 1, 1000, 5000, 200_000])
def test_json_may_not_be_too_deep(depth):
    assert "exceeds the maximum depth" in refused(bodies.json_value, nested(depth))
    assert "exceeds the maximum depth" in refused(bodies.json_value, nested(depth, b"[", b"]"))
    assert "exceeds the maximum depth" in refused(bodies.any_value, nested(depth))


def test_json_may_be_deep():
    value = bodies.json_object(nested(bodies.DEPTH))
    for _ in range(bodies.DEPTH - 1):
        value = value["a"]
    assert value == {}
    assert len(bodies.json_object(b'{"a":[' + b",".join([b"{}"] * 10_000) + b"]}")["a"]) == 10_000


@pytest.mark.parametrize("depth", [bodies.DEPTH + 1, 1000, 200_000])
@pytest.mark.parametrize("opener", [b"[", b"{a: ", b"- ", b"? "])
def test_yaml_may_not_be_too_deep(depth, opener):
    text = refused(bodies.yaml_value, opener * depth + b"a")
    assert "exceeds the maximum depth" in text


def test_a_billion_laughs():
    lines = ["a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "excessive aliasing" in refused(bodies.yaml_value, "\n".join(lines).encode())


def test_an_anchor_that_contains_itself():
    assert "contains itself" in refused(bodies.yaml_value, b"a: &a [*a]")
    assert "contains itself" in refused(bodies.yaml_value, b"&a {b: {c: *a}}")


def test_aliases_are_good_for_something():
    assert bodies.yaml_value(b"a: &x {n: 1}\nb: *x\nc: *x") == {"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1}}


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":"\xff"}', b"[1", b"nul", b'{"a" 1}', b"1 2"])
def test_what_is_no_json(data):
    assert "is not JSON" in refused(bodies.json_value, data)


@pytest.mark.parametrize("data", [b"a: .nan", b"a: [", b"a: \xff", b"a: !!int x", b"? [a]\n: b", b"!!python/name:os x"])
def test_what_is_no_yaml(data):
    assert "is not YAML" in refused(bodies.yaml_value, data)


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"a":1,"b":{"c":"a\\":"}}', []),
        ('{"a" : 1, "b" :2}', []),
        ('{"a":1,"a":2}', ["a"]),
        ('{"a":{"x":1},"b":[{"c":1},{"c":1,"c":2}],"a":{"y":1}}', ["b[1].c", "a"]),
        ('{"a" :1,"a":1,"b\\":":3}', ["a"]),
        ('{"a":1,"a":1,"a":1}', ["a"]),
    ],
)
def test_fields_that_are_named_twice(text, twice):
    data = text.encode()
    found = bodies.duplicates(data, bodies.json_value(data))
    assert sorted(p for p, more in found.items() if more) == sorted(twice)


async def test_a_strict_write_refuses_them_and_others_are_warned(server):
    text = b'{"metadata":{"name":"m"},"nope":1,"data":{"k":"1","k":"2"},"immutable":false,"immutable":true}'
    served = server.api.catalog.find(*CONFIG_MAPS.gvr)
    for validation in ("Strict", "Warn", "Ignore"):
        call = Call(served, identity.LOCAL, "default", validation=validation, warnings=[], dry_run=True)
        body = bodies.json_object(text)
        call.repeated = {} if validation == "Ignore" else bodies.duplicates(text, body)
        told = ['unknown field "nope"', 'duplicate field "data.k"', 'duplicate field "immutable"']
        if validation == "Strict":
            with pytest.raises(StatusError, match="strict decoding error: " + ", ".join(told)):
                await rest.create(server.api, call, body)
        else:
            await rest.create(server.api, call, body)
            assert call.warnings == (told if validation == "Warn" else [])
