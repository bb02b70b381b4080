import pytest

from fairlead.machinery import quantity
from fairlead.machinery.quantity import Quantity


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1.0", "1"), (1.0, "1"), (1, "1"), (0.5, "500m"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1500m", "1500m"),
        ("0.1Gi", "107374182400m"), ("1.5Gi", "1536Mi"), ("1000", "1k"), ("1200", "1200"), ("100000", "100k"),
        ("1e3", "1e3"), ("12e6", "12e6"), ("1E", "1E"), ("1000Ki", "1000Ki"), ("512", "512"), ("0.5Ki", "512"),
        ("0", "0"), ("0Ki", "0"), ("-1.5", "-1500m"), ("-2048Ki", "-2Mi"), ("0.0000000001", "1n"), ("+1", "1"),
        (".5", "500m"), ("1.", "1"), (" 1 ", "1"), ("9999999999Ei", "9223372036854775807"), ("1000E", "1000E"),
        ("0.000001Ki", "1024u"),
    ],
)  # fmt: skip
def test_canonical_form_is_gos(written, canonical):
    assert quantity.canonical(written) == canonical


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("abc", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("--1", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        (True, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("1.2.3", "unable to parse numeric part of quantity"),
        ("1ee3", "unable to parse quantity's suffix"),
        ("1e999999", "unable to parse quantity's suffix"),
    ],
)
def test_what_is_no_quantity_is_refused_in_upstreams_words(written, complaint):
    with pytest.raises(ValueError, match="quantit") as refused:
        quantity.parse(written)
    assert str(refused.value) == complaint


def test_values_are_rounded_away_from_zero():
    assert (quantity.parse("1500m").value(), quantity.parse("1500u").milli()) == (2, 2)
    assert (quantity.parse("-1500m").value(), quantity.parse("-1500u").milli()) == (-2, -2)
    assert quantity.fast_milli("250m") == 250
    assert quantity.fast_milli(2) == 2000
    assert quantity.fast_value("1Ki") == 1024


def test_a_sum_keeps_the_family_of_its_first_part_that_is_not_zero():
    assert str(quantity.total(["1Gi", "512Mi"])) == "1536Mi"
    assert str(quantity.total(["0", "1Gi"])) == "1Gi"
    assert str(quantity.total([0.5, "500m"])) == "1"
    assert quantity.total([]) == quantity.ZERO
    assert str(quantity.parse("1Gi") - quantity.parse("1Mi")) == "1023Mi"


def test_quantities_compare_by_amount():
    assert quantity.parse("1024Mi") == quantity.parse("1Gi")
    assert quantity.parse("1G") < quantity.parse("1Gi")
    assert max(quantity.parse("900m"), quantity.parse("1")) == Quantity(quantity.NANO)
    assert len({quantity.parse("1"), quantity.parse("1000m")}) == 1
    assert not quantity.parse("0Gi")
