"""Networks that are trained while they are watched: the numbers shown are the network's, and rewinding changes none."""

import itertools
import json
import time

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import chainrule as cr
from chainrule import errors
from chainrule.studio.networks.building import Setting, linears, passed
from chainrule.studio.networks.choices import (
    ACTIVATIONS,
    FIELDS,
    INITS,
    LOSSES,
    OPTIMIZERS,
    choices,
    options_of,
)
from chainrule.studio.networks.examples import KITS, examples_of
from chainrule.studio.networks.frames import frame_of
from chainrule.studio.networks.plugged import network_formula
from chainrule.studio.networks.questions import setting_of
from chainrule.studio.networks.schema import NETWORK_TRACE
from chainrule.studio.networks.sessions import MOST, Sessions
from chainrule.studio.networks.training import Training
from chainrule.studio.serving.limits import Limits
from chainrule.tour.network import VALUES, by_the_articles_formulas
from studio_networks import asked, run_program

PATIENCE = 60
TRACE = Draft202012Validator(NETWORK_TRACE)


def trained(updates=0, **options):
    training = Training(setting_of(options), frame_of)
    if updates:
        go(training, updates)
    return training


def go(training, update):
    training.command({"do": "seek", "update": update})
    assert training.rest(PATIENCE)
    return training


def weights(training):
    return [layer.weight.numpy() for layer in linears(training.view().shot.model)]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# Training and rewinding.


@pytest.mark.parametrize("options", [{}, {"batch": 8, "optimizer": "momentum"}, {"batch": 50, "data": "xor"}])
def test_the_same_bits_after_rewinding(options):
    training = trained(300, **options)
    there, loss = weights(training), training.view().now
    for back in (0, 7, 129, 299):
        go(training, back)
        assert training.view().shot.update == back and (back == 299 or not equal(weights(training), there))
        go(training, 300)
        assert equal(weights(training), there) and training.view().now == loss
    assert equal(weights(trained(300, **options)), there)


def test_compiled_updates_are_those_of_the_library():
    options = {"batch": 16, "layers": [4], "seed": 3}
    setting = setting_of(options)
    step = cr.train.EagerStep(setting.model(), setting.objective.loss, setting.optimizer)
    for epoch in range(2):
        for x, y in setting.batches(epoch):
            step(x, y)
    for mine, eager in zip(
        weights(trained(2 * setting.per_epoch, **options)), linears(step.model), strict=True
    ):
        np.testing.assert_allclose(mine, eager.weight.numpy(), rtol=1e-9)


def test_steps_of_updates_and_epochs():
    training = trained(batch=40)
    per = training.setting.per_epoch
    assert per == 5
    wanted = [
        ("update", 1, 1),
        ("epoch", 1, 5),
        ("epoch", 2, 15),
        ("update", -2, 13),
        ("epoch", -1, 10),
        ("epoch", -9, 0),
    ]
    for of, count, update in wanted:
        training.command({"do": "step", "of": of, "count": count})
        assert training.rest(PATIENCE) and training.view().shot.update == update
    assert training.view().known.furthest == 15


def test_training_goes_on_until_it_is_paused_and_losses_fall():
    training = trained(data="clouds")
    training.watch()
    training.command({"do": "speed", "value": 0})
    training.command({"do": "train"})
    version = training.version
    assert training.wait(version, PATIENCE)
    before = time.monotonic()
    while training.view().shot.update < 200 and time.monotonic() - before < PATIENCE:
        training.wait(training.version, 0.2)
    training.command({"do": "pause"})
    assert training.rest(PATIENCE) and not training.view().status.running
    frame = training.frame()
    losses = frame["losses"]["train"]
    assert losses[-1] < losses[0] / 2 and frame["losses"]["updates"][0] == 0
    assert frame["status"]["now"]["train_right"] > 150


def test_training_stops_when_nobody_looks(monkeypatch):
    monkeypatch.setattr("chainrule.studio.networks.training.GRACE", 0.2)
    training = trained()
    training.watch()
    training.command({"do": "train"})
    time.sleep(0.6)
    assert training.view().status.running
    training.unwatch()
    assert training.rest(PATIENCE) and not training.view().status.running


def test_what_is_kept_is_bounded():
    training = trained(9000)
    view = training.view()
    moments, measured = list(view.known.moments), view.known.measured
    assert len(moments) <= 48 and len(measured) <= 240 and moments[0] == 0
    assert training._thread is None


def test_divergence_pauses_and_says_why():
    training = trained(data="waves", activation="relu", optimizer="gradient_descent", rate=1000)
    training.command({"do": "train"})
    assert training.rest(PATIENCE)
    frame = training.frame()
    status = frame["status"]
    assert "layers." in status["problem"]["message"] and "100" in status["problem"]["fix"]
    assert not status["running"] and np.isfinite(weights(training)[0]).all()
    json.dumps(frame, allow_nan=False)
    TRACE.validate(frame)
    training.command({"do": "step", "of": "update", "count": -1})
    assert training.rest(PATIENCE) and training.view().status.problem is None


# What is shown.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": [], "loss": "hinge"},
        {"layers": [3], "activation": "gelu", "loss": "squared"},
        {"data": "clouds", "layers": [4, 3], "activation": "leaky_relu"},
        {"data": "clouds", "loss": "squared"},
        {"data": "clouds", "loss": "hinge", "activation": "elu"},
        {"data": "sine", "loss": "huber", "layers": [4]},
        {"data": "waves", "biases": False, "layers": [2, 2], "activation": "linear"},
        {"data": "digits", "layers": [5]},
    ],
)
def test_the_numbers_of_a_frame_are_those_of_both_passes(options):
    training = trained(5, **options)
    training.command({"do": "select", "point": 4})
    setting, frame = training.setting, training.frame()
    model = training.view().shot.model
    x, y = setting.examples.x[4:5], setting.objective.targets(setting.examples.y[4:5])
    named = model.parameters()
    gradients = cr.grad(lambda m: setting.objective.loss(m(x), y))(model).parameters()
    outputs = passed(model, x)
    for k, (layer, path) in enumerate(zip(linears(model), _paths(model), strict=True)):
        assert frame["weights"][k]["w"] == layer.weight.numpy().tolist()
        np.testing.assert_allclose(frame["weights"][k]["gw"], gradients[f"{path}.weight"].numpy(), rtol=1e-12)
        if layer.bias is not None:
            np.testing.assert_allclose(
                frame["weights"][k]["gb"], gradients[f"{path}.bias"].numpy(), rtol=1e-12
            )
        shown = frame["sample"]["layers"][k]
        np.testing.assert_allclose(shown["a"], outputs[k + 1][0], rtol=1e-12)
        np.testing.assert_allclose(
            np.outer(outputs[k][0], shown["delta"]),
            gradients[f"{path}.weight"].numpy(),
            rtol=1e-9,
            atol=1e-15,
        )
    assert len(named) == sum(1 if layer.bias is None else 2 for layer in linears(model))
    np.testing.assert_allclose(
        frame["sample"]["gradient"],
        cr.grad(lambda x: setting.objective.loss(model(x), y))(x).numpy()[0],
        rtol=1e-9,
    )
    assert frame["sample"]["loss"] == pytest.approx(setting.objective.loss(model(x), y).item())


def _paths(model):
    return [f"layers.{i}" for i, layer in enumerate(model.layers) if isinstance(layer, cr.nn.Linear)]


def test_the_article_s_network_and_its_numbers():
    training = trained(data="article")
    said = by_the_articles_formulas(VALUES)
    frame = training.frame()
    assert frame["sizes"] == [2, 2, 1]
    hidden, out = frame["sample"]["layers"]
    assert hidden["z"] == pytest.approx([said["z1"], said["z2"]]) and out["a"] == pytest.approx([said["a3"]])
    assert hidden["delta"] == pytest.approx([said["δ1"], said["δ2"]]) and out["delta"] == pytest.approx(
        [said["δ3"]]
    )
    assert frame["sample"]["loss"] == pytest.approx(said["E"])
    first, second = (np.array(layer["gw"]) for layer in frame["weights"])
    found = [first[0, 0], first[0, 1], first[1, 0], first[1, 1], second[0, 0], second[1, 0]]
    assert found == pytest.approx([said[f"w{i}"] for i in range(1, 7)])
    delta = next(s for s in frame["selected"]["sections"] if "δ" in s["title"])
    assert any(line["latex"] == r"= \delta_1^{(3)} w_5 f'(z_1^{(2)})" for line in delta["lines"])
    training.command({"do": "select", "layer": 3, "unit": 1, "into": 1})
    weight = training.frame()["selected"]
    assert weight["symbol"]["text"] == "w₅" and weight["tiles"][1]["value"] == pytest.approx(said["w5"])
    assert weight["sections"][-1]["title"] == "The next update"
    training.command({"do": "step"})
    training.rest(PATIENCE)
    assert training.view().shot.model.layers[2].weight.numpy()[0, 0] == pytest.approx(1.2 - 0.5 * said["w5"])


def test_the_formula_with_the_weights_plugged_in_is_the_network():
    for options in (
        {"layers": [3]},
        {"layers": [8, 8], "activation": "gelu"},
        {"data": "sine", "layers": [2]},
    ):
        training = trained(20, **options)
        setting, model = training.setting, training.view().shot.model
        f = cr.formula(network_formula(setting, model))
        for x in setting.examples.x[:3]:
            said = f(**{f"x{i + 1}": float(v) for i, v in enumerate(x)}).item()
            out = setting.objective.said(passed(model, x[None])[-1])[1]
            assert said == pytest.approx(out.item(), rel=1e-12)


def test_every_choice_makes_a_network_that_learns():
    usual = {"layers": [3], "points": 40}
    tries = [{"activation": name} for name in ACTIVATIONS] + [{"optimizer": name} for name in OPTIMIZERS]
    tries += [{"init": name} for name in INITS if name != "article"] + [{"data": name} for name in KITS]
    tries += [
        {"data": kit, "loss": loss} for kit, loss in itertools.product(("moons", "clouds", "waves"), LOSSES)
    ]
    for more in tries:
        options = ({} if more.get("data") in ("article", "digits") else usual) | more
        if KITS[options.get("data", "moons")].kind not in LOSSES[options.get("loss", "squared")].make:
            with pytest.raises(errors.ArgumentError, match="to learn"):
                options_of(options)
            continue
        training = trained(2, **options)
        json.dumps(training.frame(), allow_nan=False)
        TRACE.validate(training.frame())
        assert training.view().status.problem is None, options


def test_frames_are_small_and_complete():
    training = trained(30, layers=[16] * 6)
    frame = training.frame()
    assert len(json.dumps(frame, ensure_ascii=False, separators=(",", ":"))) < 200_000
    assert [len(units) for units in frame["pictures"]["units"]] == frame["sizes"]
    assert training.frame() is frame
    training.command({"do": "select", "unit": 3})
    for more in ({"into": 0}, {"layer": 3, "unit": 2, "into": 4}, {"layer": 1}):
        training.command({"do": "select", **more})
        TRACE.validate(training.frame())
    training.command({"do": "select", "layer": 2, "unit": 3})
    assert training.frame()["selected"]["unit"] == 3 and training.frame()["number"] > frame["number"]


def test_dead_units_are_marked():
    training = trained(layers=[2], activation="relu")
    layer = training.view().shot.model.layers[0]
    layer.bias = cr.tensor(np.array([-100.0, 0.0]), requires_grad=True)
    assert frame_of(training.setting, training.view())["states"] == [["dead", ""]]


# Options.


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"activation": "relo"}, "no activation 'relo'", "relu"),
        ({"lairs": [2]}, "no option 'lairs'", "layers"),
        ({"layers": [5] * 7}, "6 hidden layers", "[5, 3]"),
        ({"layers": [17]}, "1 to 16", "[5, 3]"),
        ({"rate": 0}, "learning rate", "0.03"),
        ({"rate": float("nan")}, "learning rate", "0.03"),
        ({"seed": 1.5}, "whole number", ""),
        ({"data": "waves", "loss": "hinge"}, "has numbers to learn", "Huber"),
        ({"init": "article"}, "2-2-1", "article"),
        ({"data": "own"}, "own data needs a table", "CSV"),
        ({"biases": 1}, "true or false", "true"),
    ],
)
def test_impossible_options_are_refused(options, message, fix):
    with pytest.raises(errors.ArgumentError) as caught:
        setting_of(options)
    assert message in caught.value.message and fix in caught.value.fix


@pytest.mark.parametrize(
    "message",
    [
        {}, {"do": "fly"}, {"do": "seek"}, {"do": "seek", "update": -1}, {"do": "seek", "update": True},
        {"do": "step", "of": "day"}, {"do": "speed", "value": 7}, {"do": "select", "point": 240},
        {"do": "select", "layer": 9}, {"do": "select", "layer": 2, "unit": 6}, {"do": "select", "into": 3},
        {"do": "select", "layer": 1, "unit": 1, "into": 1},
    ],
)  # fmt: skip
def test_impossible_commands_are_refused(message):
    training = trained()
    with pytest.raises(errors.ArgumentError):
        training.command(message)
    training.frame()


def test_the_table_of_choices_is_what_is_checked():
    found = choices()
    assert set(found["fields"]) == set(FIELDS)
    for name, field in found["fields"].items():
        assert FIELDS[name].check(name, field["default"]) is not None
        for value in field["usual"]:
            FIELDS[name].check(name, value)
    for kit in KITS:
        options_of({"data": kit, **found["fields"]["data"]["named"][kit]["defaults"]})


def test_the_same_seed_gives_the_same_points():
    one, same, other = (examples_of("spirals", 50, 0.1, 0.3, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.x, same.x) and not np.array_equal(one.x, other.x)
    assert one.tests.sum() == 15 and set(one.y[one.tests]) == {0, 1}


# Questions and sessions.


def test_questions_about_a_network():
    sessions = Sessions()
    made = asked(sessions, "/api/network", "POST", options={"layers": [2]})
    session = made["session"]
    assert made["options"]["layers"] == [2] and len(made["data"]["x"]) == 240
    assert made["frame"]["status"]["update"] == 0
    frame = asked(sessions, "/api/network/{session}/command", "POST", session=session, do="seek", update=12)
    assert frame["status"]["update"] == 12
    unit = asked(sessions, "/api/network/{session}/unit", session=session, layer=3, unit=1)
    assert unit["title"] == "unit 1 of layer 3, the output" and unit["sections"][0]["lines"][0]["tree"]
    with pytest.raises(errors.ArgumentError, match="layer 9"):
        asked(sessions, "/api/network/{session}/unit", session=session, layer=9, unit=1)
    whole = asked(sessions, "/api/network/{session}/formula", session=session)
    assert whole["latex"].startswith(r"\begin{align*}") and "class" not in whole["latex"]
    asked(sessions, "/api/network/{session}", "DELETE", session=session)
    with pytest.raises(errors.ArgumentError, match="no network"):
        asked(sessions, "/api/network/{session}/frame", session=session)


def test_only_so_many_networks_are_kept_and_those_that_are_watched_stay():
    sessions = Sessions(most=2)
    first = sessions.add(trained())
    sessions.get(first).watch()
    second, third = sessions.add(trained()), sessions.add(trained())
    assert len(sessions) == 2 and sessions.find(second) is None
    assert sessions.find(first) and sessions.find(third)


def test_the_network_that_was_just_opened_is_not_the_one_that_goes():
    sessions = Sessions(most=2)
    for name in (sessions.add(trained()), sessions.add(trained())):
        sessions.get(name).watch()
    third = sessions.add(trained())  # nobody watches it yet
    assert len(sessions) == 2 and sessions.find(third)
    assert Limits().sockets < MOST  # so this is rare: one that is watched would be opened again by its page


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 10},
        {"data": "clouds", "loss": "squared"},
        {"data": "waves", "biases": False},
        {"loss": "hinge"},
    ],
)
def test_the_program_handed_on_trains_the_same_network(options, tmp_path):
    sessions = Sessions()
    made = asked(sessions, "/api/network", "POST", options={**options, "points": 40})
    session = made["session"]
    frame = asked(sessions, "/api/network/{session}/command", "POST", session=session, do="seek", update=25)
    run_program(asked(sessions, "/api/network/{session}/program", session=session), tmp_path, frame)


def test_a_setting_is_the_same_however_it_is_asked_for():
    options = options_of({"layers": [4]})
    examples = examples_of(options.data, options.points, options.noise, options.tests, options.seed)
    one, other = Setting.of(options, examples), setting_of({"layers": [4]})
    assert equal(
        [n.weight.numpy() for n in linears(one.model())], [n.weight.numpy() for n in linears(other.model())]
    )
