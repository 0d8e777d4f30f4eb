"""A stand-in for the W&B server, on loopback: it keeps what it is sent, and fails when told to.

It answers as much GraphQL and file stream as the client needs to start, log, finish and resume a
run, and to save tables, artifacts, workspaces and reports. It was written from what client 0.31 and
wandb-workspaces 0.4 send and expect, so it cannot tell how the real server
takes data that contradict each other. A line number in a stream is an address here: a line that is
sent again replaces the old one, and counts in `rewritten`.

    with StandIn() as server:
        server.fail("file_stream", status=429, times=3)
        server.fail("UpsertBucket", reset=True)
"""

import itertools
import json
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

HISTORY, EVENTS, CONSOLE = "wandb-history.jsonl", "wandb-events.jsonl", "output.log"
SUMMARY = "wandb-summary.json"
API_KEY = "5ec2e7" * 7


@dataclass
class Run:
    """A run as the server knows it; `exits` holds the exit code of each finish."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    upserts: int = 0
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    rewritten: int = 0
    exits: list[int] = field(default_factory=list)

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts(HISTORY)]

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.texts(SUMMARY) or ["{}"])[-1])

    @property
    def config(self) -> dict[str, Any]:
        config = json.loads(self.fields.get("config", "{}"))
        return {name: entry["value"] for name, entry in config.items()}

    def texts(self, stream: str) -> list[str]:
        return [text for _, text in sorted(self.lines.get(stream, {}).items())]

    def take(self, body: dict[str, Any]) -> None:
        for stream, chunk in body.get("files", {}).items():
            lines = self.lines.setdefault(stream, {})
            for number, text in enumerate(chunk["content"], chunk["offset"]):
                self.rewritten += stream == HISTORY and number in lines
                lines[number] = text
        if body.get("complete"):
            self.exits.append(body["exitcode"])


@dataclass
class Artifact:
    """An artifact's version; `files` by name, the manifest among them."""

    fields: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False


@dataclass
class Fault:
    """Fails requests whose GraphQL operation or path contains `match`."""

    match: str
    times: int = 1
    status: int = 0
    reset: bool = False


class Server(ThreadingHTTPServer):
    """Clients go away as they like."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class StandIn:
    """The server; a context manager."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count()
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"standin": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "StandIn":
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fail(self, match: str, **how: Any) -> None:
        self.faults.append(Fault(match, **how))

    def fault(self, what: str) -> Fault | None:
        """The fault that hits this request, if any."""
        with self.lock:
            self.requests.append(what)
            for fault in self.faults:
                if fault.times > 0 and fault.match in what:
                    fault.times -= 1
                    return fault
        return None

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of one GraphQL operation."""
        project = PROJECT
        match operation:
            case "ServerFeaturesQuery":
                return {"serverInfo": {"features": []}}
            case "Viewer":
                teams = {"edges": []}
                return {"viewer": {"id": "1", "entity": "me", "flags": "{}", "teams": teams}}
            case "RunResumeStatus":
                run = self.runs.get(variables["name"])
                return {"model": run and project | {"bucket": resume_status(run)}}
            case "UpsertBucket":
                run = self.runs.setdefault(variables["name"], Run(variables["name"]))
                run.upserts += 1
                run.fields |= {k: v for k, v in variables.items() if v is not None}
                bucket = {"id": run.name, "name": run.name, "displayName": run.name}
                return {
                    "upsertBucket": {"inserted": False, "bucket": bucket | {"project": project}}
                }
            case "CreateRunFiles":
                files = [
                    {"name": name, "uploadUrl": f"{self.url}/run/{variables['run']}/{name}"}
                    for name in variables["files"]
                ]
                run_files = {"runID": variables["run"], "uploadHeaders": [], "files": files}
                return {"createRunFiles": run_files}
        return self.answer_artifact(operation, variables)

    def answer_artifact(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Of tables and artifacts."""
        match operation:
            case "ArtifactType":
                return {"project": {"artifact": None}}
            case "CreateArtifact":
                digest = variables["input"]["digest"]
                artifact = self.artifacts.setdefault(digest, Artifact(variables["input"]))
                state = "COMMITTED" if artifact.committed else "PENDING"
                sequence = {"latestArtifact": None}
                node = {"id": digest, "state": state, "artifactSequence": sequence}
                return {"createArtifact": {"artifact": node}}
            case "CreateArtifactManifest":
                key = variables["artifactID"]
                file = self.artifact_file(key, variables["name"])
                return {"createArtifactManifest": {"artifactManifest": {"id": "1", "file": file}}}
            case "CreateArtifactFiles":
                specs = variables["input"]["artifactFiles"]
                files = [self.artifact_file(spec["artifactID"], spec["name"]) for spec in specs]
                return {"createArtifactFiles": {"files": {"edges": [{"node": f} for f in files]}}}
            case "CommitArtifact":
                key = variables["artifactID"]
                self.artifacts[key].committed = True
                return {"commitArtifact": {"artifact": {"id": key, "digest": key}}}
        return self.answer_view(operation, variables)

    def artifact_file(self, key: str, name: str) -> dict[str, Any]:
        url = f"{self.url}/artifact/{key}/{name}"
        file = {"id": "1", "storagePath": name, "artifact": {"id": key}, "uploadHeaders": []}
        return file | {"uploadUrl": url}

    def answer_view(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Of workspaces and reports."""
        match operation:
            case "UpsertView2" | "upsertView":
                # the client wants a multiple of four characters
                key = variables.get("id") or f"View{next(self.numbers):04}"
                inserted = key not in self.views
                self.views[key] = {**variables, "id": key, "project": PROJECT}
                return {"upsertView": {"view": self.views[key], "inserted": inserted}}
            case "View":
                views = [v for v in self.views.values() if v["name"] == variables["viewName"]]
                return {"project": {"allViews": {"edges": [{"node": view} for view in views]}}}
            case "SpecificReport":
                return {"view": self.views.get(variables["reportId"])}
            case "ProjectInternalId":
                return {"project": PROJECT}
            case "GetDefaultEntity":
                return {"viewer": {"__typename": "User", "id": "1", "entity": "me"}}
            case "GetProjects":
                page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
                return {"models": {"pageInfo": page, "edges": [{"node": PROJECT}]}}
        raise AssertionError(f"the client asked for {operation}")


PROJECT = {
    "__typename": "Project",
    "id": "1",
    "internalId": "1",
    "name": "p",
    "entityName": "me",
    "entity": {"id": "1", "name": "me"},
    "createdAt": "2026-01-01T00:00:00",
    "isBenchmark": False,
    "user": None,
}


def resume_status(run: Run) -> dict[str, Any]:
    count = {stream: len(run.texts(stream)) for stream in (HISTORY, EVENTS, CONSOLE)}
    return {
        "id": run.name,
        "name": run.name,
        "config": run.fields.get("config", "{}"),
        "wandbConfig": json.dumps({"t": {}}),
        "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": count[HISTORY],
        "historyTail": json.dumps(run.texts(HISTORY)[-1:]),
        "eventsLineCount": count[EVENTS],
        "eventsTail": json.dumps(run.texts(EVENTS)[-1:]),
        "logLineCount": count[CONSOLE],
    }


class Handler(BaseHTTPRequestHandler):
    """One connection to the stand-in."""

    protocol_version = "HTTP/1.1"
    standin: StandIn

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if path == "/graphql" or path.endswith("file_stream") else {}
        operation = re.search(r"(?:query|mutation)\s+(\w+)", body.get("query", ""))
        fault = self.standin.fault(operation[1] if operation else path)
        if fault and fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        answer: dict[str, Any] = {}
        with self.standin.lock:
            if operation and not fault:
                variables = body.get("variables") or {}
                answer = {"data": self.standin.answer(operation[1], variables)}
            elif path.endswith("file_stream") and not fault:
                self.standin.runs[path.split("/")[-2]].take(body)
            elif not fault and (upload := re.match("/(run|artifact)/([^/]+)/(.+)", path)):
                kind, key, name = upload.groups()
                owners = self.standin.runs if kind == "run" else self.standin.artifacts
                owners[key].files[name] = raw
        data = json.dumps(answer).encode()
        self.send_response(fault.status if fault else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = handle_request

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def client_environment(url: str, directory: Path) -> dict[str, str]:
    """Of a client that talks to nobody but `url`, and writes nowhere but in `directory`."""
    places = {"HOME": ".", "NETRC": "netrc", "WANDB_CACHE_DIR": "cache", "WANDB_DIR": "elsewhere"}
    places |= {"WANDB_CONFIG_DIR": "config", "WANDB_DATA_DIR": "data"}
    return {
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": API_KEY,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB__FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1",
        "WANDB__GRAPHQL_RETRY_WAIT_MIN_SECONDS": "1",
        "NO_PROXY": "127.0.0.1",
        **{name: str(directory / place) for name, place in places.items()},
    }
