"""The W&B server of these tests itself."""

import json
import urllib.error
import urllib.request

import pytest
import wandb
from wandb_server import WandbServer
from wandb_server._filters import chosen, ordered
from wandb_server._graphql import GraphQLError, execute, parse
from wandb_server._store import ServerRun

RUNS = [
    ServerRun("e", "p", "a", 1, group="g", raw_config={"lr": {"value": 0.1}}, raw_summary={"acc": 0.5}, tags=["x"]),
    ServerRun("e", "p", "b", 2, group="g", raw_config={"lr": {"value": 0.2}}, raw_summary={"acc": 0.7}),
    ServerRun("e", "p", "c", 3, group="h", state="failed"),
]


def names(filters: dict[str, object]) -> str:
    return "".join(run.name for run in chosen(RUNS, json.dumps(filters)))


def test_answer_follows_aliases_fragments_variables_and_directives() -> None:
    document = parse(
        """query Q($n: Int = 2, $no: Boolean!) { # a comment
            first: thing(n: $n, words: ["a", {b: 1.5}], kind: BIG) { ...Part ... on Thing @include(if: $no) { b } }
            list { a b @skip(if: $no) }
        }
        fragment Part on Thing { a }"""
    )
    root = {"thing": lambda n, words, kind: {"a": [n, words, kind], "b": 0}, "list": [{"a": 1, "b": 2}]}
    assert execute(document, {"no": False}, root) == {
        "first": {"a": [2, ["a", {"b": 1.5}], "BIG"]},
        "list": [{"a": 1, "b": 2}],
    }
    assert (document.kind, document.name) == ("query", "Q")


def test_unknown_field_is_an_error_and_is_noted() -> None:
    with pytest.raises(GraphQLError, match='"other" on type "Thing"'):
        execute(parse("{ thing { other } }"), {}, {"thing": {"__typename": "Thing"}})
    with WandbServer() as server:
        assert post(server, "query Odd { other }")[0] == 400
        assert [note.split(":")[0] for note in server.unknown] == ["Odd"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "abc"),
        ({"group": "g"}, "ab"),
        ({"group": "g", "config.lr": 0.2}, "b"),
        ({"$or": [{"name": "a"}, {"state": "failed"}]}, "ac"),
        ({"$and": [{"group": "g"}, {"summary_metrics.acc": {"$gt": 0.6}}]}, "b"),
        ({"tags": "x"}, "a"),
        ({"name": {"$in": ["b", "c"]}}, "bc"),
    ],
)
def test_filters_choose_runs(filters: dict[str, object], expected: str) -> None:
    assert names(filters) == expected


def test_orders_put_runs_without_the_key_last() -> None:
    assert [run.name for run in ordered(RUNS, "-summary_metrics.acc")] == ["b", "a", "c"]
    assert [run.name for run in ordered(RUNS, None)] == ["a", "b", "c"]


def test_faults_can_be_switched_on_and_off_and_a_wrong_key_is_refused() -> None:
    with WandbServer() as server:
        assert post(server, "{ viewer { entity } }")[0] == 200
        server.fault = 503
        assert post(server, "{ viewer { entity } }")[0] == 503
        server.fault = "drop"
        with pytest.raises((OSError, urllib.error.URLError)):
            post(server, "{ viewer { entity } }")
        server.fault, server.stall_seconds = "stall", 0.1
        assert post(server, "{ viewer { entity } }")[0] == 200
        server.fault = None
        assert post(server, "{ viewer { entity } }", key="x" * 40)[0] == 401
        assert [request.status for request in server.requests] == [200, 503, 0, 200, 401]


def test_client_publishes_tables_and_plots(server: WandbServer, tmp_path: object) -> None:
    run = wandb.init(project="p", job_type="comparison", dir=str(tmp_path), settings=wandb.Settings(silent=True))
    run.log({"table": wandb.Table(columns=["a"], data=[["1"]]), "page": wandb.Html("<p>x</p>")}, commit=True)
    run.finish()
    (shown,) = server.runs.values()
    assert shown.job_type == "comparison"
    assert any(name.startswith("media/table/table_0") for name in shown.files)
    assert [artifact.state for artifact in server.artifacts] == ["COMMITTED"]


def post(server: WandbServer, query: str, key: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{server.url}/graphql", json.dumps({"query": query}).encode())
    request.add_header("Authorization", f"Bearer {key or server.key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
