"""A stand-in for the W&B server, on loopback: it keeps what it is sent, and fails when told to.

It answers as much GraphQL and file stream as the client needs to start, log, finish and resume a
run. It was written from what client 0.31 sends and expects, so it cannot tell how the real server
takes data that contradict each other. A line number in a stream is an address here: a line that is
sent again replaces the old one, and counts in `rewritten`.

    with StandIn() as server:
        server.fail("file_stream", status=429, times=3)
        server.fail("UpsertBucket", reset=True)
"""

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
        project = {"id": "1", "internalId": "1", "name": "p", "entity": {"id": "1", "name": "me"}}
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
                    {"name": name, "uploadUrl": f"{self.url}/upload/{name}"}
                    for name in variables["files"]
                ]
                run_files = {"runID": variables["run"], "uploadHeaders": [], "files": files}
                return {"createRunFiles": run_files}
        raise AssertionError(f"the client asked for {operation}")


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
