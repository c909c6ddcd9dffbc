"""The row of vertex elimination in the ledger of costs."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError
from chainrule.graph import distinct

W = [np.random.default_rng(i).normal(size=s) for i, s in enumerate([(3, 40), (40, 3), (4, 40)])]


def net(x):
    return W[2] @ cr.tanh(W[1] @ cr.tanh(W[0] @ x))


def test_the_ledger_names_the_order_that_jacobian_takes():
    ledger = cr.cost(net, np.ones(40))
    found, way = ledger.elimination, ledger.way("elimination")
    assert found is not None
    assert way is not None
    assert found.multiplications <= found.tried["reverse"] == 4 * 40 + 4 * 40 * 3 + 4 * 3 + 4 * 3 * 40
    assert set(found.tried) == {"reverse", "forward", "markowitz"}
    x = np.linspace(-1, 1, 40)
    np.testing.assert_allclose(
        cr.jacobian(net, order=found.order)(x).numpy(),
        cr.jacobian(net, order="forward")(x).numpy(),
        rtol=1e-10,
    )
    assert ledger.cheapest is way
    assert "in a better order" in ledger.verdict
    assert f"elimination: {found.text}." in ledger.text


def test_its_work_is_that_of_the_graph_that_jacobian_builds():
    ledger = cr.cost(net, np.ones(40))
    found, way = ledger.elimination, ledger.way("elimination")
    assert found is not None
    assert way is not None
    graph = cr.trace(cr.jacobian(net, order=found.order), np.ones(40))
    made = [n for n, first in distinct(graph.nodes) if n is first]
    work = [n.op.cost(n.inputs, n.shape, n.dtype, **n.params).multiplications for n in made]
    assert way.cost.multiplications == sum(work) + 4 * 40  # the last product, which the value alone needs
    steps = sum(node.costs["elimination"].multiplications for node in ledger.nodes)
    assert steps + ledger.function.cost.multiplications == way.cost.multiplications


def test_a_proof_is_said():
    found = cr.cost(lambda x: cr.stack([x[0] * x[1], cr.sin(x[1])]), np.ones(2)).elimination
    assert found is not None
    assert found.optimal
    assert "proved to be the fewest" in found.text


@pytest.mark.parametrize(
    ("f", "x"), [(lambda x: (x * x).sum(), np.ones(3)), (lambda x: cr.stack([x, x * x]), np.asarray(1.0))]
)
def test_one_number_needs_no_search(f, x):
    ledger = cr.cost(f, x)
    assert ledger.elimination is None
    assert ledger.way("elimination") is None


def test_as_json():
    document = json.loads(json.dumps(cr.cost(net, np.ones(40)).to_dict()))
    elimination = document["elimination"]
    assert sorted(elimination["order"]) == list(range(len(elimination["steps"])))
    assert elimination["by"] == "matrix chain"
    assert elimination["optimal"] is True
    assert any(way["key"] == "elimination" for way in document["ways"])


def test_seconds_must_be_positive():
    with pytest.raises(ArgumentError, match="seconds"):
        cr.cost(net, np.ones(40), seconds=-1)
