"""What is counted of a set's runs."""

from benchmarks.evidence.members import ArmOfMember
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.study.arms import resolve_arm
from tests.support.synthetic import record


def test_a_run_is_spoiled_if_it_diverged_failed_or_collapsed():
    """A hypergradient that exploded is a warning: the model may be as good as any."""
    seen = [
        {},
        {"collapse": {}},
        {"collapse": {"exploded": 2}},
        {"collapse": {"fell": 3}},
        {"collapse": {"constant": 1, "chance": 1}},
        {"status": "diverged"},
        {"status": "failed"},
    ]
    runs = [record("final", i, 0, arm="l2rw", val=0.8, **how) for i, how in enumerate(seen)]
    arm = ArmOfMember(
        "l2rw", resolve_arm("l2rw", {}), {1.0: ArmRuns("l2rw", runs, "last", "accuracy")}
    )
    assert arm.spoiled(1.0) == (4, 7)
