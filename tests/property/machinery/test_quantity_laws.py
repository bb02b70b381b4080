from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.machinery import quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2", "e0"]
POWERS = {
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
    "e3": 3,
    "E-2": -2,
    "e0": 0,
}
written = st.builds(
    lambda sign, whole, fraction, suffix: f"{sign}{whole}{fraction}{suffix}",
    st.sampled_from(["", "-", "+"]), st.integers(0, 10**12),
    st.one_of(st.just(""), st.integers(0, 9999).map(lambda f: f".{f}")), st.sampled_from(SUFFIXES),
)  # fmt: skip


@settings(max_examples=200)
@given(written)
def test_the_canonical_form_is_a_fixed_point_of_the_same_amount(text):
    canonical = quantity.canonical(text)
    assert quantity.canonical(canonical) == canonical
    assert quantity.parse(canonical) == quantity.parse(text)
    assert "." not in canonical


@settings(max_examples=200)
@given(st.integers(-(10**9), 10**9), st.sampled_from(sorted(POWERS)))
def test_decimal_amounts_are_exact_unless_finer_than_a_nano(number, suffix):
    exact = Decimal(number).scaleb(POWERS[suffix])
    assert quantity.parse(f"{number}{suffix}").nanos == exact * quantity.NANO


@settings(max_examples=100)
@given(written, written)
def test_addition_and_order_agree(a, b):
    left, right = quantity.parse(a), quantity.parse(b)
    assert left + right == right + left
    assert (left + right) - right == left
    assert (left < right) == ((right - left) > quantity.ZERO)


@settings(max_examples=100)
@given(written)
def test_rounding_is_outwards_by_less_than_one(text):
    amount = quantity.parse(text)
    assert 0 <= abs(amount.value()) * quantity.NANO - abs(amount.nanos) < quantity.NANO
    assert 0 <= abs(amount.milli()) * 10**6 - abs(amount.nanos) < 10**6
