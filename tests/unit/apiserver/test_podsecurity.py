"""Pod Security Standards against what a real API server said, and what labels ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlead.apiserver.podsecurity import levels
from fairlead.apiserver.podsecurity.levels import LATEST, Level, Policy
from fairlead.apiserver.podsecurity.spec import Subject

SAID = json.loads((Path(__file__).parents[2] / "golden" / "podsecurity" / "said.json").read_text())
P = "pod-security.kubernetes.io/"


def level(text):
    name, _, version = text.partition(":")
    return Level(name, LATEST if version == "latest" else int(version.removeprefix("v1.")))


@pytest.mark.parametrize("column", range(len(SAID["levels"])), ids=SAID["levels"])
def test_says_what_kubernetes_says(column):
    at = level(SAID["levels"][column])
    for pod in SAID["pods"]:
        told = levels.detail(levels.evaluate(at, Subject(pod["annotations"], pod["spec"])))
        assert told == SAID["texts"][pod["said"][column]], pod["spec"]


def test_seccomp_by_annotations():
    spec = {"containers": [{"name": "c"}]}
    key = "seccomp.security.alpha.kubernetes.io/pod"
    (broken,) = levels.evaluate(Level("baseline", 18), Subject({key: "unconfined"}, spec))
    assert broken == ("seccompProfile", f'forbidden annotation {key}="unconfined"')
    assert levels.evaluate(Level("baseline", 19), Subject({key: "unconfined"}, spec)) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, Policy()),
        ({"enforce": "baseline"}, Policy(Level("baseline"), Level(), Level("baseline"))),
        ({"enforce": "restricted", "enforce-version": "v1.30"},
         Policy(Level("restricted", 30), Level(), Level("restricted", 30))),
        ({"enforce": "restricted", "enforce-version": "v1.30", "warn-version": "latest"},
         Policy(Level("restricted", 30), Level(), Level("restricted"))),
        ({"enforce": "restricted", "warn": "privileged"}, Policy(Level("restricted"), Level(), Level())),
        ({"audit": "restricted", "warn": "baseline"}, Policy(Level(), Level("restricted"), Level("baseline"))),
    ],
)  # fmt: skip
def test_labels(labels, expected):
    assert levels.read({P + k: v for k, v in labels.items()}) == (expected, [])


def test_labels_that_are_wrong():
    labels = {
        P + "enforce": "x",
        P + "warn": "y",
        P + "audit": "z",
        P + "enforce-version": "1.2",
        P + "warn-version": "v1.02",
    }
    policy, wrong = levels.read(labels)
    assert policy == Policy(Level("restricted"), Level(), Level())
    assert [c.field.partition("io/")[2].rstrip("]") for c in wrong] == [
        "enforce", "enforce-version", "audit", "warn", "warn-version",
    ]  # fmt: skip
    assert wrong[0].message == 'Invalid value: "x": must be one of privileged, baseline, restricted'
    assert wrong[1].message == 'Invalid value: "1.2": must be "latest" or "v1.x"'
