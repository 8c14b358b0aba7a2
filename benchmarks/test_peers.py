"""The sides of `fastnn bench` agree and run: one small work with every peer that is installed, once."""

from importlib import import_module

import pytest

import fastnn as fn
from fastnn.bench import measure, peers
from fastnn.bench.inputs import CHECKED_STEPS
from fastnn.bench.workloads import BY_ID


@pytest.mark.benchmark(group="peers")
@pytest.mark.parametrize("peer", [peers.OURS, *peers.PEERS], ids=lambda peer: peer.name)
def test_peer(benchmark, peer):
    if missing := peer.missing():
        pytest.skip(missing)
    if peer.name == "torch-compile":
        pytest.skip("its compiler takes longer than a smoke test may: fastnn bench --peer torch-compile")
    work = BY_ID["predict-mlp-1" if peer.name == "onnxruntime" else "mlp-tiny-16"]
    wanted, found = make(peers.BY_NAME["numpy"], work), make(peer, work)
    proofs = [side.outputs() if work.kind == "predict" else side.losses(CHECKED_STEPS) for side in (found, wanted)]
    measure.agree(peer.name, *proofs)
    benchmark.pedantic(found.run, (1,))


def make(peer, work):
    """The first variant of a peer."""
    module = import_module(f"fastnn.bench.peers.{peer.module}")
    return module.make(peer.name, work, peer.variants(work)[0], fn.get_num_threads())
