"""The page of models: numbers of a pass, modules and their nodes, the graph at any depth."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError
from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.diagnosis.observed import Observed
from chainrule.studio.models import Opened, endpoints, examine
from chainrule.studio.models.places import Calls, places_by_calls, places_by_parameters
from chainrule.studio.models.sources import EXAMPLES, pass_through
from chainrule.studio.models.view import View

KEY = cr.random.key(0)
RNG = np.random.default_rng(0)
LOSS = cr.nn.softmax_cross_entropy


def seen(model: Any, x: Any, y: Any, loss: Any = LOSS) -> View:
    return pass_through(model, loss, x, y)[0]


def pictures(n: int = 4, size: int = 8) -> tuple[Any, Any]:
    return RNG.standard_normal((n, size, size, 3)).astype(np.float32), np.arange(n) % 4


@pytest.fixture(scope="module")
def resnet() -> View:
    return seen(cr.models.resnet(20, classes=4, key=KEY), *pictures())


@pytest.fixture(scope="module")
def mlp() -> View:
    x = RNG.standard_normal((32, 4)).astype(np.float32)
    return seen(cr.models.mlp((4, 16, 3), cr.relu, key=KEY), x, np.arange(32) % 3)


def ask(opened: Opened, path: str, method: str = "GET", **given: Any) -> Any:
    """What the page is answered: arguments and answer as their schemas say."""
    (found,) = (e for e in endpoints(opened) if (e.method, e.path) == (method, path))
    jsonschema.validate(given, found.takes)
    answer = json.loads(json.dumps(found.answer(given), allow_nan=False))
    jsonschema.validate(answer, found.gives)
    return answer


def test_numbers_are_those_of_numpy(mlp: View):
    observed = mlp.observed
    for node in observed.order:
        value, known = np.asarray(node.value, np.float64), mlp.numbers[node]
        np.testing.assert_allclose(known.value.rms, np.sqrt(np.mean(value**2)), rtol=1e-12)
        np.testing.assert_allclose(known.value.mean, value.mean(), rtol=1e-9, atol=1e-12)
        assert known.value.zeros == np.sum(value == 0) and known.value.nan == known.value.inf == 0
        delta = observed.deltas.get(node)
        assert (delta is None) == (known.gradient is None)
        if delta is not None and known.gradient is not None:
            size = np.sqrt(np.mean(delta.astype(np.float64) ** 2))
            np.testing.assert_allclose(known.gradient.rms, size, rtol=1e-6)
        if node.op is not None:
            assert known.flops == node.op.cost(node.inputs, node.shape, node.dtype, **node.params).flops


def test_gradients_are_those_of_a_backward_pass():
    x, y = pictures()
    model = cr.models.resnet(20, classes=4, key=KEY)
    view = seen(model, x, y)
    loss = LOSS(model(x, cr.nn.Training(KEY)), y)
    loss.backward()
    assert view.head()["loss"] == loss.item()
    weights = {w["path"]: w for c in view.overview()["columns"] for w in c["weights"]}
    assert set(weights) == set(model.parameters())
    for path, node in model.parameters().items():
        size = np.sqrt(np.mean(node.grad.numpy().astype(np.float64) ** 2))
        np.testing.assert_allclose(weights[path]["gradient"], size, rtol=1e-3, atol=1e-9)
        assert weights[path]["count"] == node.size


def test_dead_units_are_counted():
    model = cr.models.mlp((4, 16, 3), cr.relu, key=KEY)
    values = {path: p.numpy().copy() for path, p in model.parameters().items()}
    values["layers.0.bias"][:5] = -100
    x = RNG.standard_normal((64, 4)).astype(np.float32)
    column = {
        c["id"]: c for c in seen(model.with_parameters(values), x, np.arange(64) % 3).overview()["columns"]
    }
    assert column["layers.1"]["units"] == 16 and column["layers.1"]["dead"] == 5
    assert column["layers.0"]["units"] == 0


def test_each_use_of_a_value_adds_its_own_gradient():
    """Of a residual block the branch and the skip: what they add is what comes back to the block before."""
    x = RNG.standard_normal((8, 4)).astype(np.float32)
    w = cr.tensor(RNG.standard_normal((4, 4)).astype(np.float32), requires_grad=True)
    v = cr.tensor(RNG.standard_normal((4, 4)).astype(np.float32), requires_grad=True)

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = x @ p["w"]
        return cr.sum(cr.tanh(h @ p["v"]) + h)

    view = seen({"w": w, "v": v}, x, np.zeros(8), loss)
    tree = view.tree
    add = next(n for n in view.observed.order if n.op is not None and n.op.name == "add")
    product = next(n for n in view.observed.order if n.op is not None and n.op.name == "matmul")
    slot = [i is product for i in add.inputs].index(True)
    assert view.numbers[add].added[slot] == pytest.approx(1.0)  # of a sum's derivative, untouched
    whole = view.numbers[product].gradient
    assert whole is not None and whole.rms != pytest.approx(1.0)
    assert tree.places[product].path == "w"


def test_modules_hold_their_nodes(resnet: View):
    tree, observed = resnet.tree, resnet.observed
    nodes = [n for group in tree.groups.values() for n in group.nodes]
    assert len(nodes) == len(set(nodes)) == len(tree.places)
    for path, node in observed.parameters.items():
        assert tree.places[node].path == path.rpartition(".")[0]
    for node in observed.order:
        if node.op is not None and node.op.name == "conv2d":
            weight = next(x for x in node.inputs if x in set(observed.parameters.values()))
            assert tree.places[node] is tree.places[weight]
    columns = [c["id"] for c in resnet.overview()["columns"]]
    blocks = [f"stages.{i}.{k}" for i in range(3) for k in range(3)]
    assert columns == ["input", "stem", "relu", *blocks, "mean", "head", "loss"]
    assert [c["skip"] for c in resnet.overview()["columns"]] == [c in blocks for c in columns]
    assert [s["path"] for s in resnet.overview()["stages"] if s["last"] > s["first"]] == [
        "stages.0",
        "stages.1",
        "stages.2",
    ]


@pytest.mark.parametrize("name", ["resnet", "transformer", "rnn", "mlp"])
def test_modules_told_by_parameters_are_those_that_were_called(name: str):
    """A program's own pass is placed by its parameters' paths alone: the blocks must come out the same."""
    ids = RNG.integers(0, 11, (4, 8))
    model, x, y = {
        "resnet": lambda: (cr.models.resnet(20, classes=4, key=KEY), *pictures()),
        "transformer": lambda: (cr.models.transformer(11, 16, 2, 3, 8, key=KEY), ids, ids),
        "rnn": lambda: (cr.models.char_rnn(11, 16, "gru", 2, key=KEY), ids, ids),
        "mlp": lambda: (
            cr.models.mlp((4, 8, 8, 3), cr.tanh, key=KEY),
            np.ones((6, 4), "f"),
            np.arange(6) % 3,
        ),
    }[name]()
    calls = Calls()
    running = calls.watched(model)
    with cr.modes.remembering():
        result = LOSS(cr.nn.training.call(running, x, cr.nn.Training(KEY)), y)
    anatomy = Anatomy(Observed(result, running.parameters()))
    heard, told = places_by_calls(anatomy, calls), places_by_parameters(anatomy)

    def block(path: str) -> str:
        return ".".join(path.split(".")[: 3 if path.startswith("stages") else 2])

    weights = set(anatomy.observed.parameters.values())
    differ = [
        (heard[n], told[n])
        for n in anatomy.observed.order
        if n.op is not None and any(x in weights for x in n.inputs) and block(heard[n]) != block(told[n])
    ]
    assert [pair for pair in differ if pair[0] not in ("", "layers.0", "layers.1")] == []
    computing = [n for n in anatomy.observed.order if n.op is not None]
    assert sum(block(heard[n]) == block(told[n]) for n in computing) > 0.8 * len(computing)


def test_a_module_opens_down_to_its_primitives(resnet: View):
    root = "stages.1.1"
    closed = resnet.graph(root, [])
    names = {item["id"]: item for item in closed["items"]}
    assert {"stages.1.0", f"{root}.layers.0", f"{root}.layers.1"} <= set(names)
    assert names["stages.1.0"]["outside"] and names[f"{root}.layers.0"]["kind"] == "ConvNorm"
    before = closed["items"].index(names["stages.1.0"])
    add = next(i for i, item in enumerate(closed["items"]) if item["kind"] == "add")
    skip = [e for e in closed["edges"] if e["from"] == before and e["to"] == add]
    assert len(skip) == 1 and skip[0]["shape"] == [4, 4, 4, 32]
    half = resnet.graph(root, [f"{root}.layers.0"])
    whole = resnet.graph(
        root, [f"{root}.layers.{i}{inner}" for i in (0, 1) for inner in ("", ".conv", ".norm")]
    )
    assert len(closed["items"]) < len(half["items"]) < len(whole["items"])
    assert all(item["type"] != "group" or item["outside"] for item in whole["items"])
    kinds = [item["kind"] for item in whole["items"] if item["type"] == "node" and not item["outside"]]
    assert kinds.count("conv2d") == 2 and kinds.count("relu") == 2 and kinds.count("sqrt") == 2
    assert sum(item["type"] == "parameter" for item in whole["items"]) == 6


def test_a_picture_has_a_place_for_everything(resnet: View):
    for root, opened in (("", []), ("stages.2.0", []), ("stages.2.0", ["stages.2.0.layers.0"]), ("loss", [])):
        graph = resnet.graph(root, opened)
        places = [(item["layer"], item["across"]) for item in graph["items"]]
        assert len(set(places)) == len(places)
        by_layer: dict[int, list[float]] = {}
        for layer, across in places:
            by_layer.setdefault(layer, []).append(across)
        for row in by_layer.values():
            assert all(b - a > 0.9 for a, b in zip(sorted(row), sorted(row)[1:], strict=False))
        for edge in graph["edges"]:
            if edge["from"] < edge["to"]:
                assert places[edge["from"]][0] < places[edge["to"]][0]


def test_chains_are_straight(resnet: View):
    graph = resnet.graph("stages.1.1", [])
    branch = [item["across"] for item in graph["items"] if item["id"].startswith("stages.1.1.layers")]
    assert len(set(branch)) == 1


def test_too_much_to_draw_is_said(mlp: View, monkeypatch: pytest.MonkeyPatch):
    from chainrule.studio.models import picture

    monkeypatch.setattr(picture, "MOST_ITEMS", 2)
    with pytest.raises(ArgumentError, match="2 can be drawn") as error:
        mlp.graph("", [])
    assert error.value.fix == "open fewer modules, or look into one of them"


def test_a_mask_of_infinities_is_not_strange():
    ids = RNG.integers(0, 11, (4, 8))
    view = seen(cr.models.transformer(11, 16, 2, 2, 8, key=KEY), ids, ids)
    assert any(n.value.inf for n in view.numbers.values())
    assert all(c["strange"] == c["strange_gradients"] == 0 for c in view.overview()["columns"])


def test_what_is_not_finite_is_counted_where_it_begins():
    w = cr.tensor(np.float32([1.0, 0.0, 2.0]), requires_grad=True)
    view = seen({"w": w}, np.ones((4, 3), "f"), np.ones(4), lambda p, x, y: cr.mean(x @ cr.log(p["w"])))
    log = next(n for n in view.observed.order if n.op is not None and n.op.name == "log")
    assert view.numbers[log].strange == 1
    number = view.tree.number(view.observed.parameters["w"])
    assert view.at(f"#{number}")["value"]["zeros"] == 1 and view.at("w")["strange"] > 1


def test_why_and_shares_are_those_of_python(mlp: View):
    told = mlp.ask("layers.0.weight", "why")
    assert told["data"] == cr.why(
        mlp.observed.result, mlp.observed.parameters["layers.0.weight"]
    ).to_dict() | {key: told["data"][key] for key in ("variable", "seen", "evidence")}
    shared = mlp.ask("layers.0", "layer")
    wanted = cr.attribute(
        mlp.observed.result, mlp.observed.parameters["layers.0.weight"], "layer", mlp.observed.parameters
    )
    assert shared["data"] == wanted.to_dict() and "layers.2" in shared["text"]
    samples = mlp.ask("layers.2", "sample")["data"]["splits"][0]
    assert len(samples["shares"]) == 32
    node = next(n for n in mlp.observed.order if n.op is not None and n.op.name == "relu")
    assert mlp.ask(f"#{mlp.tree.number(node)}", "why")["data"]["symptom"] == "none"
    for at in ("layers.9", "#99999", "#x", "#-1"):
        with pytest.raises(ArgumentError, match="has nothing called"):
            mlp.ask(at, "why")


def test_search(resnet: View):
    assert resnet.search("stages.2.1")["matches"][0] == {"id": "stages.2.1", "kind": "Block", "type": "group"}
    assert resnet.search("HEAD.W")["matches"][0]["id"] == "head.weight"
    assert resnet.search("convnorm")["count"] >= 19
    assert resnet.search("nothing like this") == {"matches": [], "count": 0}


def test_a_model_stays_as_it_is():
    model = cr.nn.Sequential(cr.nn.Linear(3, 4, key=KEY), cr.nn.BatchNorm(4), cr.nn.Dropout(0.5), cr.relu)
    before = {p: v.numpy().copy() for p, v in (model.parameters() | model.buffers()).items()}
    state = np.random.get_state()[1].copy()
    x = RNG.standard_normal((16, 3)).astype(np.float32)
    opening = examine(model, lambda z, y: cr.mean((z - y) ** 2), x, np.zeros((16, 4), "f"), key=KEY)
    assert opening.wait(60) and opening.state == "ready"
    after = {p: v.numpy() for p, v in (model.parameters() | model.buffers()).items()}
    assert all(np.array_equal(before[p], after[p]) for p in before)
    assert np.array_equal(np.random.get_state()[1], state)
    assert all(p.grad is None for p in model.parameters().values())


def test_of_a_large_batch_some_examples_are_shown(monkeypatch: pytest.MonkeyPatch):
    from chainrule.studio.models import sources

    monkeypatch.setattr(sources, "MOST_NUMBERS", 2000)
    x = RNG.standard_normal((500, 4)).astype(np.float32)
    opening = examine(cr.models.mlp((4, 16, 3), cr.relu, key=KEY), LOSS, x, np.arange(500) % 3)
    opening.wait(60)
    trace = opening.to_dict()
    assert 2 <= trace["head"]["examples"] < 60
    assert trace["notes"] == [
        f"{trace['head']['examples']} of 500 examples went through: the graph of all would be too large."
    ]
    monkeypatch.setattr(sources, "MOST_NUMBERS", 20)
    monkeypatch.setattr(sources, "MOST_EXAMINED", 20)
    opening = examine(cr.models.mlp((4, 16, 3), cr.relu, key=KEY), LOSS, x, np.arange(500) % 3)
    opening.wait(60)
    assert opening.state == "ready" and opening.doctor == "none"
    assert opening.to_dict()["notes"][-1].startswith("The doctor has not looked: 16 examples would be")
    monkeypatch.setattr(sources, "MOST_AT_ALL", 20)
    opening = examine(cr.models.mlp((4, 16, 3), cr.relu, key=KEY), LOSS, x, np.arange(500) % 3)
    opening.wait(60)
    assert opening.state == "failed" and "smaller examples" in opening.status()["error"]["fix"]


@pytest.mark.parametrize("name", [n for n in EXAMPLES if n != "resnet152"])
def test_examples_open(name: str):
    opened = Opened()
    status = ask(opened, "/api/models", "POST", example=name)
    opening = opened.get(status["id"])
    while opening.state == "opening":
        opening.wait(0.05)
    opening.stop()
    opening.wait(60)
    trace = ask(opened, "/api/models/{model}", model=opening.key)
    assert trace["state"] == "ready" and trace["overview"]["columns"][-1]["id"] == "loss"
    for column in trace["overview"]["columns"]:
        ask(opened, "/api/models/{model}/graph", model=opening.key, root=column["id"])
        ask(opened, "/api/models/{model}/at", model=opening.key, at=column["id"])
    assert ask(opened, "/api/models/{model}/search", model=opening.key, text="a")["count"]
    assert ask(opened, "/api/models/{model}/findings", model=opening.key)["state"] in ("stopped", "done")


def test_what_is_open_is_listed_and_the_first_goes():
    opened = Opened()
    keys = [ask(opened, "/api/models", "POST", example="digits")["id"] for _ in range(7)]
    listed = ask(opened, "/api/models")
    assert [m["id"] for m in listed["models"]] == keys[1:]
    with pytest.raises(ArgumentError, match="no model is open"):
        opened.get(keys[0])
    again = ask(opened, "/api/models/{model}/again", "POST", model=keys[-1])
    assert again["name"] == "digits" and again["id"] != keys[-1]
    opened.close()
    for opening in opened.openings:
        opening.wait(60)


def test_a_batch_is_a_pair():
    with pytest.raises(ArgumentError, match="a batch is x and y, got 1 things"):
        examine(cr.models.mlp((4, 3), cr.relu, key=KEY), LOSS, np.ones((2, 4)))


def test_a_model_that_raises_is_told_with_its_layer():
    opening = examine(
        cr.models.mlp((4, 16, 3), cr.relu, key=KEY), LOSS, np.ones((6, 5), "f"), np.zeros(6, int)
    )
    opening.wait(60)
    status = opening.status()
    assert status["state"] == "failed" and status["doctor"] == "none"
    assert status["error"]["message"].startswith("layers.0 (Linear), given float32(6, 5)")
    with pytest.raises(ArgumentError, match="is not open: failed"):
        opening.view  # noqa: B018
