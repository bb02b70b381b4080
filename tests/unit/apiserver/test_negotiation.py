import pytest

from fairlead.apiserver import bodies, negotiation
from fairlead.apiserver.negotiation import OBJECT, Form
from fairlead.base.errors import StatusError

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", OBJECT),
        ("*/*", OBJECT),
        ("application/json, */*", OBJECT),
        ("application/vnd.kubernetes.protobuf,application/json", OBJECT),
        (f"{TABLE},application/json", Form("table", "v1")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Form("table", "v1beta1")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", OBJECT),
        (
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1," + TABLE,
            Form("table", "v1"),
        ),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Form("metadata", "v1")),
    ],
)
def test_the_first_form_that_is_served(accept, form):
    assert negotiation.accepted(accept) == form


def test_nothing_that_is_served():
    with pytest.raises(StatusError, match="only the following media types are accepted") as caught:
        negotiation.accepted("application/cbor, text/html")
    assert caught.value.code == 406


@pytest.mark.parametrize("media", ["", "application/json", "Application/JSON; charset=utf-8"])
def test_json_bodies(media):
    assert negotiation.body(b'{"a":1}', media) == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null"])
def test_bodies_that_are_no_object(data):
    with pytest.raises(StatusError, match=r"is not (a )?JSON") as caught:
        negotiation.body(data, "application/json")
    assert caught.value.code == 400


def test_yaml_is_read_as_kubernetes_reads_it():
    text = b"on: yes\n2: 2026-01-01\ntime: 2026-01-01T00:00:00Z\nlist: [{null: ~}]\n"
    assert bodies.yaml_value(text) == {
        "true": True, "2": "2026-01-01", "time": "2026-01-01T00:00:00Z", "list": [{"null": None}],
    }  # fmt: skip


def test_yaml_makes_no_python_objects():
    with pytest.raises(StatusError, match="not YAML"):
        negotiation.body(b"a: !!python/object/apply:os.getcwd []", "application/yaml")
