import pytest

from fairlead.machinery import regex


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a\n", False), (r"^a\z", "a", True), ("^[[:alpha:]]+$", "abc", True), ("^[[:digit:]x]+$", "1x2", True),
        (r"^\d$", "٣", False), ("(?i)ABC", "abc", True), (r"(?P<y>\d{4})", "2024", True), (r"\Qa.b\E", "axb", False),
        (r"\x{41}", "A", True), ("[$]", "$", True), (r"^[^\]]$", "x", True), ("(?m)^a$", "x\na\ny", True),
        (r"^\pL+$", "Straße", True), ("[a[]", "[", True), (r"\$$", "5$", True),
        ("^(?i)[a-z]+$", "AbC", True), ("^(?i)[a-z]+$", "a1", False), ("a(?i)b", "aB", True), ("a(?i)b", "AB", False),
        ("^(?:a(?i)b|c)d$", "Cd", True), ("^(?:a(?i)b|c)d$", "aBD", False), ("^(?i:a)b$", "Ab", True),
        ("^(?i:a)b$", "AB", False), ("(?i)a(?-i)b", "Ab", True), ("(?i)a(?-i)b", "AB", False),
        ("^(?i-s)A.$", "a\n", False), ("^(?s)A.$", "A\n", True), ("^(?m:a$)", "a\nb", True), ("x(?m)$", "x\ny", True),
        ("(?:(?m)a$)b|a$", "a\nb", False), ("^[]a)]+$", "])a", True), ("^[^])]$", ")", False),
        ("^[(?i)|]+$", "(|?", True),
        ("^[a(]b(?i)c$", "(bC", True), ("^(?P<x>a(?i)b)c$", "aBc", True), (r"^\(?i\)$", "i)", True),
    ],
)  # fmt: skip
def test_re2_patterns(pattern, text, found):
    assert (regex.compile(pattern).search(text) is not None) is found


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        r"(a)\1",
        "(?P=a)",
        "(",
        ")",
        "(?x)a",
        "(?U)a+",
        "(?i",
        "(?i)*",
        "[[:nope:]]",
        r"\C",
    ],
)
def test_what_re2_does_not_know_is_refused(pattern):
    with pytest.raises(ValueError, match="error parsing regexp"):
        regex.compile(pattern)
