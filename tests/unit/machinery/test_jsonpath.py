import pytest

from fairlead.machinery import jsonpath

OBJECT = {
    "spec": {"a.b": 1, "list": [{"type": "Ready", "ok": True, "n": 3}, {"type": "Old", "ok": False, "n": 5}]},
    "items": [[1, 2], [3]],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec['a.b']", [1]), (r".spec.a\.b", [1]), (".spec.list[0].type", ["Ready"]), (".spec.list[-1].n", [5]),
        (".spec.list[-1:].type", ["Old"]), (".spec.list[:1].n", [3]), (".spec.list[*].n", [3, 5]),
        ('.spec.list[?(@.type=="Ready")].ok', [True]), (".spec.list[?(@.type=='Old')].n", [5]),
        ("{.spec.list[?(@.n>3)].type}", ["Old"]), (".spec.list[?(@.ok==true)].n", [3]), ("..type", ["Ready", "Old"]),
        ("$.spec.list[0,1].n", [3, 5]), (".nope.x", []), (".spec.list[7]", []), (".items[*][0]", [1, 3]),
        ("spec.list[?(@.nope)].n", []), (".spec.list.*.n", [3, 5]), (".spec.list[?(@.n!=3)].n", [5]),
        (".items[::2]", [[1, 2]]), (".spec.list[?(@.type=='None')]", []), ("{}", [OBJECT]),
    ],
)  # fmt: skip
def test_paths_find(path, found):
    assert jsonpath.compile(path).find(OBJECT) == found


def test_the_first_of_nothing_is_none():
    assert jsonpath.compile(".status.phase").first(OBJECT) is None
    assert jsonpath.compile(".spec.list[*].n").first(OBJECT) == 3


@pytest.mark.parametrize("path", [".spec[", ".a[x]", ".a[?(@.b==c)]", ".a.(b)", "..", ".a[0:1:0]"])
def test_paths_that_mean_nothing_are_refused(path):
    with pytest.raises(ValueError, match="invalid JSON path"):
        jsonpath.compile(path)
