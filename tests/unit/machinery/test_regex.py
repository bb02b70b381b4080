import pytest

from fairlead.machinery import regex


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a\n", False), (r"^a\z", "a", True), ("^[[:alpha:]]+$", "abc", True), ("^[[:digit:]x]+$", "1x2", True),
        (r"^\d$", "٣", False), ("(?i)ABC", "abc", True), (r"(?P<y>\d{4})", "2024", True), (r"\Qa.b\E", "axb", False),
        (r"\x{41}", "A", True), ("[$]", "$", True), (r"^[^\]]$", "x", True), ("(?m)^a$", "x\na\ny", True),
        (r"^\pL+$", "Straße", True), ("[a[]", "[", True), (r"\$$", "5$", True),
    ],
)  # fmt: skip
def test_re2_patterns(pattern, text, found):
    assert (regex.compile(pattern).search(text) is not None) is found


@pytest.mark.parametrize(
    "pattern", ["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P=a)", "(", "[[:nope:]]", r"\C"]
)
def test_what_re2_does_not_know_is_refused(pattern):
    with pytest.raises(ValueError, match="error parsing regexp"):
        regex.compile(pattern)
