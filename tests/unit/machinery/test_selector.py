import re

import pytest

from fairlead.machinery import selector

LABELS = {"app": "web", "tier": "front", "rank": "7"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("app=web", True), ("app==web", True), ("app!=web", False), ("other!=x", True), ("app in (web,db)", True),
        ("app notin (db)", True), ("other notin (db)", True), ("app", True), ("!app", False), ("!other", True),
        ("rank>6", True), ("rank<7", False), ("app>1", False), ("app=web,tier=back", False), ("", True),
        ("app in (web), !other , rank>1", True), ("other=", False), ("example.com/x!=y", True),
    ],
)  # fmt: skip
def test_label_selectors_match(text, matches):
    assert selector.parse_labels(text).matches(LABELS) is matches


def test_the_text_of_a_selector_is_canonical():
    assert str(selector.parse_labels("tier,app  in (b,a), !z,rank>3")) == "app in (a,b),rank>3,tier,!z"
    assert str(selector.parse_labels("a in (,z)")) == "a in (,z)"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("!", "unable to parse requirement: found '', expected: identifier"),
    ],
)
def test_bad_label_selectors_are_refused_in_upstreams_words(text, complaint):
    with pytest.raises(ValueError, match=r"found|value") as refused:
        selector.parse_labels(text)
    assert str(refused.value) == complaint


@pytest.mark.parametrize("text", ["-a=b", "a=-b", "a/b/c=d", "/x", "A_B.example/x", "a=" + "x" * 64, "x" * 64])
def test_labels_that_cannot_be_are_refused(text):
    with pytest.raises(ValueError, match="Invalid value"):
        selector.parse_labels(text)


def test_a_metav1_label_selector():
    chosen = selector.from_label_selector(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}],
        }
    )
    assert chosen.matches(LABELS)
    assert not chosen.matches({"app": "web"})
    assert str(chosen) == "app in (web),tier in (back,front)"
    assert selector.from_label_selector({}).empty
    with pytest.raises(ValueError, match='"Gt" is not a valid label selector operator'):
        selector.from_label_selector({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]})


def test_node_selector_expressions_have_gt_and_lt():
    chosen = selector.from_requirements(
        [{"key": "rank", "operator": "Gt", "values": ["6"]}, {"key": "gone", "operator": "DoesNotExist"}]
    )
    assert chosen.matches(LABELS)
    assert not chosen.matches({"rank": "6"})
    with pytest.raises(ValueError, match="exactly one value"):
        selector.from_requirements([{"key": "a", "operator": "Gt", "values": []}])


def test_exact_labels():
    assert selector.from_labels({"app": "web"}).matches(LABELS)
    assert not selector.from_labels({"app": "web"}).matches(None)


def test_field_selectors():
    chosen = selector.parse_fields("status.phase!=Running,metadata.name=x")
    fields = {"metadata.name": "x", "status.phase": "Pending"}
    assert chosen.matches(lambda path: fields.get(path, ""))
    assert not chosen.matches(lambda path: "Running" if path == "status.phase" else "x")
    assert chosen.exact("metadata.name") == "x"
    assert chosen.exact("status.phase") is None
    assert selector.parse_fields("").empty


def test_field_selectors_escape_commas_and_equals():
    chosen = selector.parse_fields(r"a=x\,y\=z\\,b==c")
    assert [(t.path, t.value) for t in chosen.terms] == [("a", "x,y=z\\"), ("b", "c")]
    assert str(chosen) == r"a=x\,y\=z\\,b=c"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "unescaped character in value: ="),
        (r"a=b\x", "invalid escape sequence"),
    ],
)
def test_bad_field_selectors_are_refused(text, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        selector.parse_fields(text)
