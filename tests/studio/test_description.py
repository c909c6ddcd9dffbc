"""The API describes itself, and every page's questions are answered as they are described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import chainrule
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.models import Opened
from chainrule.studio.serving import SHARED, endpoints
from chainrule.studio.serving.description import describe, names_in
from studio.servers import Client, running

TREE = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
POINT = {"$ref": "#/$defs/point", "$defs": {"point": {"type": "array", "items": {"type": "number"}}}}
OWN = [
    Endpoint(
        "POST", "/api/{session}/tree", "A tree.", dict,
        {"properties": {"session": {"type": "string"}, "x": {"type": "number"}}, "required": ["session", "x"]}, TREE,
    ),
    Endpoint(
        "GET", "/api/{session}/tree", "A point.", dict,
        {
            "properties": {"session": {"type": "string"}, "at": {"type": "integer", "description": "Where."}},
            "required": ["session", "at"],
        },
        POINT,
    ),
    Endpoint("DELETE", "/api/{session}", "Nothing.", dict, {"properties": {"session": {"type": "string"}}}, {}),
    Live("/api/{session}/live", "Live.", lambda session: pytest.fail(session), TREE, POINT),
]  # fmt: skip

USED: dict[str, dict[str, Any]] = {
    "GET /api/formula": {"text": "(a+b)*(b+c)", "at": "a=-1,b=3,c=4"},
    "POST /api/formula": {"text": "log(x)/y", "values": {"x": 0, "y": "NaN"}},
    "GET /api/formula/paths": {"text": "x*x", "node": "x"},
    "GET /api/formula/examples": {},
    "GET /api/formula/export": {"text": "x*x", "at": "x=3", "as": "svg", "step": 2},
    "GET /api/network/choices": {},
    "POST /api/network/table": {"text": "x,y,kind\n1,2,a\n3,4,b\n5,6,a\n7,8,b\n"},
    "POST /api/network": {"options": {"data": "moons", "layers": [3]}},
    "GET /api/network/{session}/frame": {},
    "GET /api/network/{session}/data": {},
    "POST /api/network/{session}/command": {"do": "step"},
    "GET /api/network/{session}/unit": {"layer": 1, "unit": 1},
    "GET /api/network/{session}/formula": {},
    "GET /api/network/{session}/program": {},
    "GET /api/network/{session}/table": {},
    "GET /api/network/{session}/export": {"as": "svg", "address": "#/network?show=weights", "width": 500},
    "DELETE /api/network/{session}": {},
    "GET /api/models": {},
    "POST /api/models": {"example": "digits"},
    "GET /api/models/{model}": {},
    "GET /api/models/{model}/status": {},
    "POST /api/models/{model}/stop": {},
    "POST /api/models/{model}/again": {},
    "GET /api/models/{model}/findings": {},
    "GET /api/models/{model}/curves": {},
    "GET /api/models/{model}/graph": {"root": "", "open": ""},
    "GET /api/models/{model}/at": {"at": "layers.0"},
    "GET /api/models/{model}/why": {"at": "layers.0.weight"},
    "GET /api/models/{model}/search": {"text": "weight"},
}
"""Arguments for each question of each page; who adds one adds arguments here. A network is made for its session, and
an example is the model."""

QUESTIONS = [one for one in endpoints() if isinstance(one, Endpoint)]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    opened = Opened(tmp_path_factory.mktemp("runs"))
    assert opened.example("digits").wait(60)
    with running(endpoints(opened), shared=SHARED) as client:
        yield client
    opened.close()


def test_the_description_is_openapi(ask: Client):
    document = ask.get("/api/openapi.json").json
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == chainrule.__version__
    for one in endpoints():
        method = one.method.lower() if isinstance(one, Endpoint) else "get"
        operation = document["paths"][one.path][method]
        assert operation["summary"] == one.summary
        described = {parameter["name"] for parameter in operation["parameters"]}
        if "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            described |= set(body["properties"])
        asked = one.takes.get("properties", ()) if isinstance(one, Endpoint) else ()
        assert described == {*asked, *names_in(one.path)}


def test_schemas_with_parts_of_their_own_are_described():
    document = describe(OWN, "1")
    validate(document)
    paths, schemas = document["paths"], document["components"]["schemas"]
    post = paths["/api/{session}/tree"]["post"]
    assert [p["in"] for p in post["parameters"]] == ["path"]
    body = post["requestBody"]
    assert body["required"] and body["content"]["application/json"]["schema"]["required"] == ["x"]
    items = post["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["kids"]["items"]
    assert schemas[items["$ref"].rpartition("/")[2]]["properties"]["kids"]["items"] == items
    get = paths["/api/{session}/tree"]["get"]
    assert [(p["name"], p["in"], p["required"]) for p in get["parameters"]] == [
        ("session", "path", True), ("at", "query", True),
    ]  # fmt: skip
    point = get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert schemas[point.rpartition("/")[2]] == POINT["$defs"]["point"]
    assert "requestBody" not in paths["/api/{session}"]["delete"]
    assert "101" in paths["/api/{session}/live"]["get"]["responses"]


def test_the_list_for_people(ask: Client):
    answer = ask.get("/api")
    assert b'\n  "endpoints": [\n' in answer.body
    assert answer.json["openapi"] == "/api/openapi.json"
    assert [(one["method"], one["path"]) for one in answer.json["endpoints"]] == [
        (one.method if isinstance(one, Endpoint) else "WebSocket", one.path) for one in endpoints()
    ]


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: f"{one.method} {one.path}")
def test_each_question_is_answered_as_described(ask: Client, one: Endpoint):
    given = dict(USED[f"{one.method} {one.path}"])
    if "{session}" in one.path:
        given["session"] = ask.post("/api/network", {}).json["session"]
    if "{model}" in one.path:
        given["model"] = "m1"
    path = one.path.format(**{name: given.pop(name) for name in names_in(one.path)})
    if one.method == "POST":
        answer = ask.post(path, given)
    else:
        answer = ask(one.method, f"{path}?{urlencode(given)}")
    assert answer.status == 200, answer.body
    schema = {**one.gives, "components": {"schemas": SHARED}}
    Draft202012Validator(schema).validate(answer.json)


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: f"{one.method} {one.path}")
def test_each_question_refuses_what_it_does_not_take(ask: Client, one: Endpoint):
    path = one.path.format(**dict.fromkeys(names_in(one.path), "none"))
    for wrong in ({"no_such_argument": 1}, *({name: [["x"]]} for name in one.takes.get("properties", ()))):
        answer = (
            ask.post(path, wrong) if one.method == "POST" else ask(one.method, f"{path}?{urlencode(wrong)}")
        )
        assert answer.status in (200, 400), answer.body  # text may be any text
        if answer.status == 400:
            assert answer.error["message"] and answer.error["fix"]
    assert ask(one.method, f"{path}?no_such_argument=1", {} if one.method == "POST" else None).status == 400
