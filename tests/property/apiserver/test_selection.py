"""An object that is passed over by its bytes alone would not have been selected by its labels and fields either."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.api.core import PODS
from fairlead.apiserver import assembly, encoding
from fairlead.apiserver.selection import Selection
from fairlead.store.memory import MemoryStore

names = st.sampled_from(["a", "b.io/c", "app"])
values = st.sampled_from(["", "a", "b", "1", "true", "Running", "Pending", "x-1"])
labels = st.dictionaries(names, values, max_size=3)
label_terms = st.one_of(
    names, names.map("!{}".format), st.tuples(names, values).map("=".join), st.tuples(names, values).map("!=".join),
    st.tuples(names, values, values).map("{0[0]} in ({0[1]},{0[2]})".format),
    st.tuples(names, values).map("{0[0]} notin ({0[1]})".format),
)  # fmt: skip
paths = st.sampled_from(["spec.nodeName", "status.phase", "spec.hostNetwork", "metadata.name", "spec.restartPolicy"])
field_terms = st.tuples(paths, st.sampled_from(["=", "!="]), values).map("".join)


@pytest.fixture(scope="module")
def api():
    return assembly.assemble(MemoryStore(), assembly.Settings()).api


@settings(max_examples=200, deadline=None)
@given(
    labels, st.fixed_dictionaries({}, optional={"nodeName": values, "hostNetwork": st.booleans()}), values,
    st.lists(label_terms, max_size=3).map(",".join), st.lists(field_terms, max_size=2).map(",".join),
)  # fmt: skip
def test_needles_change_nothing(api, labels, spec, phase, wanted, fields):
    served = api.catalog.find(*PODS.gvr)
    selection = Selection(api, served, wanted, fields)
    obj = {
        "metadata": {"name": "a", "namespace": "default", "labels": labels},
        "spec": spec,
        "status": {"phase": phase},
    }
    key, value = "/registry/core/pods/default/a", encoding.encode(obj)
    found = selection.matches(key, value)
    selection._needles = ()
    assert selection.matches(key, value) is found
