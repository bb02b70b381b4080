"""What Pods ask for."""

from fairlead.machinery import demand


def asks(requests=None, limits=None, **more):
    return {"resources": {"requests": requests or {}, "limits": limits or {}}, **more}


def told(spec):
    return {name: str(amount) for name, amount in demand.of_pod(spec).items()}


def test_containers_run_together_and_limits_stand_in_for_requests():
    spec = {"containers": [asks({"cpu": "500m"}, {"memory": "1Gi"}), asks({"cpu": "1"}), {}]}
    assert told(spec) == {"cpu": "1500m", "memory": "1Gi"}


def test_init_containers_run_in_turn_beside_the_sidecars_before_them():
    inits = [asks({"cpu": 3}), asks({"cpu": 1}, restartPolicy="Always"), asks({"cpu": 4})]
    assert told({"initContainers": inits, "containers": [asks({"cpu": 2})]}) == {"cpu": "5"}
    assert told({"initContainers": inits, "containers": [asks({"cpu": 6})]}) == {"cpu": "7"}


def test_resources_of_the_pod_stand_above_its_containers_and_overhead_comes_on_top():
    spec = {"containers": [asks({"cpu": 2, "memory": "1Gi"})], **asks({"cpu": 4}), "overhead": {"cpu": "250m"}}
    assert told(spec) == {"cpu": "4250m", "memory": "1Gi"}


def test_times():
    assert {k: str(v) for k, v in demand.times(demand.of_pod({"containers": [asks({"cpu": "1500m"})]}), 3).items()} == {
        "cpu": "4500m"
    }
