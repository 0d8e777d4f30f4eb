"""The dashboard's server answers every request rightly, says nothing, and waits for nobody."""

import os
import socket
import time
from pathlib import Path

import pytest

from pipelines.execution.live import live_view
from pipelines.report import dashboard_server
from pipelines.report.dashboard import Content, Dashboard
from pipelines.report.dashboard_server import DashboardServer
from tests.conftest import small_study
from tests.report.conftest import Serve
from tests.support.synthetic_ledger import write_study

PAGE = b"x" * 3_000_000  # more than the sockets' buffers hold


class Shown:
    """A dashboard that shows what a test needs."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def content(self, path: str) -> Content | None:
        self.asked.append(path)
        if path == "broken":
            raise ZeroDivisionError("one\nline")
        shown = {"": b"a page", "version": b"7", "large": PAGE}
        return Content(shown[path], "text/plain") if path in shown else None


def ask(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """All that the server answers to these bytes, until it closes."""
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(request)
        answer = b""
        while more := client.recv(1 << 16):
            answer += more
        return answer


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer[9:12])


def get(target: str = "/", *headers: str, host: str = "localhost", method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


REQUESTS = {
    # what is asked for
    "the page": (get("/"), 200),
    "its query": (get("/?again=1"), 200),
    "another spelling": (get("/%76ersion"), 200),
    "only the head": (get("/", method="HEAD"), 200),
    "no such file": (get("/nothing"), 404),
    "an empty part": (get("//version"), 404),
    "no path": (get("version"), 400),
    "no UTF-8": (get("/%ff"), 400),
    "NUL": (get("/%00"), 404),
    "a raw NUL": (get("/\0"), 400),
    "out of the study": (get("/../../etc/passwd"), 404),
    "out, in disguise": (get("/%2e%2e/%2e%2e/etc/passwd"), 404),
    "out, in a disguised disguise": (get("/%252e%252e/secret"), 404),
    "a backslash": (get("/..\\secret"), 404),
    "a part of it": (get("/", "Range: bytes=0-1"), 200),
    "what nobody has": (get("/", 'If-None-Match: "0"'), 200),
    "what anybody has": (get("/", "If-None-Match: *"), 304),
    "what is broken": (get("/broken"), 500),
    # methods
    **{
        f"{method} a page": (get("/", "Content-Length: 2", method=method) + b"{}", 405)
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
    },
    "the server's options": (get("*", method="OPTIONS"), 405),
    "a tunnel": (get("elsewhere.example:443", method="CONNECT"), 405),
    "an unknown method": (get("/", method="BREW"), 501),
    "a method in small letters": (get("/", method="get"), 501),
    # hosts
    "this machine": (get(host="127.0.0.1"), 200),
    "this machine's port": (get(host="127.0.0.1:8080"), 200),
    "in capital letters": (get(host="LOCALHOST:8080"), 200),
    "by IPv6": (get(host="[::1]:8080"), 200),
    "another site's name": (get(host="elsewhere.example"), 403),
    "a name that begins alike": (get(host="localhost.elsewhere.example"), 403),
    "a name that ends alike": (get(host="elsewhere.localhost"), 403),
    "a user": (get(host="localhost@elsewhere.example"), 403),
    "another address": (get(host="0.0.0.0"), 403),
    "nobody": (get(host=""), 403),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get("/", "Host: elsewhere.example"), 400),
    "an absolute target": (get("http://LocalHost:80/version"), 200),
    "an absolute target without a path": (get("http://localhost"), 200),
    "another site's absolute target": (get("http://elsewhere.example/"), 403),
    "an absolute target beside another host": (get("http://localhost/", host="x.example"), 200),
    "another scheme": (get("ftp://localhost/"), 400),
    # versions
    "HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
    "HTTP/1.0 without a host": (b"GET / HTTP/1.0\r\n\r\n", 403),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501),
    "HTTP/3": (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
    "HTTP/11": (b"GET / HTTP/11\r\nHost: localhost\r\n\r\n", 400),
    # what is no request
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400),
    "garbage": (bytes(range(128, 256)) * 4 + b"\r\n\r\n", 400),
    "empty lines": (b"\r\n" * 5, 400),
    "a header without a colon": (get("/", "Nothing"), 400),
    "a header's name with a space": (get("/", "A B: c"), 400),
    "a folded header": (get("/", "A: b", " c"), 200),
    "NUL in a header": (get("/", "A: \0"), 400),
    "a length that is none": (get("/", "Content-Length: -1"), 400),
    "two lengths": (get("/", "Content-Length: 1", "Content-Length: 2"), 400),
    "an unknown encoding": (get("/", "Transfer-Encoding: gzip"), 501),
    "a long target": (get("/" + "a" * 70_000), 414),
    "long headers": (get("/", *(f"A{i}: {'b' * 1000}" for i in range(200))), 431),
    "a long header": (get("/", "A: " + "b" * 2_000_000), 431),
    # more than one
    "one after the other": (get("/version") + get("/nothing"), 200),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_answered_rightly_and_silently(serve: Serve, capfd, name: str):
    request, expected = REQUESTS[name]
    port = serve(Shown())
    assert status(ask(port, request)) == expected
    assert status(ask(port, get())) == 200
    assert capfd.readouterr() == ("", "")


def test_an_answer_says_what_it_is_and_to_whom_it_belongs(serve: Serve):
    head, _, body = ask(serve(Shown()), get("/version")).partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert body == b"7" and headers[b"Content-Length"] == b"1"
    assert headers[b"X-Content-Type-Options"] == b"nosniff"
    assert headers[b"X-Frame-Options"] == b"DENY"
    assert headers[b"Cross-Origin-Resource-Policy"] == b"same-origin"


def test_what_a_client_has_already_is_not_sent_again(serve: Serve):
    port = serve(Shown())
    tag = ask(port, get()).partition(b"ETag: ")[2].partition(b"\r\n")[0].decode()
    head, _, body = ask(port, get("/", f'If-None-Match: "0", {tag}')).partition(b"\r\n\r\n")
    assert status(head) == 304 and body == b""


def test_a_head_has_the_length_and_not_the_page(serve: Serve):
    head, _, body = ask(serve(Shown()), get("/large", method="HEAD")).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(PAGE)}".encode() in head and body == b""


def test_a_request_is_read_however_it_is_cut(serve: Serve):
    port = serve(Shown())
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/version"):
            client.send(bytes([byte]))
        assert status(client.recv(1000)) == 200


def test_half_a_request_is_refused_when_its_sender_is_done(serve: Serve):
    port = serve(Shown())
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(get()[:20])
        client.shutdown(socket.SHUT_WR)
        assert status(client.recv(1000)) == 400


def closed_after(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    client.settimeout(10)
    answer = b""
    try:
        while more := client.recv(1 << 16):
            answer += more
    except ConnectionResetError:
        pass
    return answer


def test_who_says_nothing_or_half_is_not_waited_for(serve: Serve, monkeypatch, capfd):
    monkeypatch.setattr(dashboard_server, "REQUEST_SECONDS", 0.2)
    port = serve(Shown())
    with (
        socket.create_connection(("127.0.0.1", port)) as silent,
        socket.create_connection(("127.0.0.1", port)) as half,
    ):
        half.sendall(get()[:20])
        assert closed_after(silent) == b""
        assert status(closed_after(half)) == 408
    assert capfd.readouterr() == ("", "")


def test_a_request_by_the_byte_has_no_more_time_than_another(serve: Serve, monkeypatch):
    monkeypatch.setattr(dashboard_server, "REQUEST_SECONDS", 0.3)
    port = serve(Shown())
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        sent, answer = 0, b""
        while not answer and sent < 400:
            client.send(b"GET / HTTP/1.1\r\nA: "[sent : sent + 1] or b"a")
            sent += 1
            time.sleep(0.01)
            try:
                answer = client.recv(1000)
            except BlockingIOError:
                continue
    assert status(answer) == 408


def test_who_does_not_read_is_dropped_and_others_are_served_meanwhile(
    serve: Serve, monkeypatch, capfd
):
    monkeypatch.setattr(dashboard_server, "CHUNK_SECONDS", 0.3)
    port = serve(Shown())
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(get("/large"))
        time.sleep(0.1)
        assert status(ask(port, get())) == 200
        time.sleep(0.6)
        assert len(closed_after(client)) < len(PAGE)
    assert len(ask(port, get("/large"))) > len(PAGE)
    assert capfd.readouterr() == ("", "")


def test_readers_that_leave_in_the_middle_leave_no_trace(serve: Serve, capfd):
    port = serve(Shown())
    for taken in (0, 10, 100_000):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(get("/large"))
        client.recv(taken)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        client.close()
    assert status(ask(port, get())) == 200
    assert capfd.readouterr() == ("", "")


def test_connections_held_open_keep_nobody_out(serve: Serve, capfd):
    port = serve(Shown())
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        assert all(status(ask(port, get())) == 200 for _ in range(3))
        assert closed_after(held[0]) == b""
        held[-1].sendall(get())
        assert status(held[-1].recv(1000)) == 200
    finally:
        for client in held:
            client.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_both_loopback_addresses_are_served(serve: Serve):
    port = serve(Shown())
    assert status(ask(port, get(), "::1")) == status(ask(port, get(), "127.0.0.1")) == 200


def test_a_port_in_use_is_an_error_before_anything_is_served():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        DashboardServer(Dashboard([], live_view), taken.getsockname()[1])


# ---- with a study


@pytest.fixture
def study(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("pipelines.report.dashboard.LOOK_SECONDS", 0.0)
    return Path(write_study(tmp_path / "study", small_study(("ce",)), limit=2))


def test_links_in_a_study_and_what_is_no_file_are_not_served(serve: Serve, study: Path):
    secret = study.parent / "secret"
    secret.mkdir()
    (secret / "traceback.txt").write_text("secret")
    trial = next(study.glob("trials/*/attempts"))
    (trial / "7").symlink_to(secret)
    (trial / "8").mkdir()
    (trial / "8/traceback.txt").symlink_to(secret / "traceback.txt")
    (trial / "9/traceback.txt").mkdir(parents=True)
    (study / "results.json").symlink_to("/etc/passwd")
    os.mkfifo(study / "results.csv")
    port = serve(Dashboard([str(study)], live_view))
    paths = [f"trials/{trial.parent.name}/attempts/{n}/traceback.txt" for n in (7, 8, 9)]
    for path in [*paths, "results.json", "results.csv"]:
        assert status(ask(port, get(f"/{path}"))) == 404


def test_serving_writes_nothing(serve: Serve, study: Path):
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    port = serve(Dashboard([str(study)], live_view))
    for target in ("/", "/live.json", "/report", "/version", "/results.json"):
        ask(port, get(target))
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before


def test_a_damaged_result_costs_its_trial_and_not_the_page(serve: Serve, study: Path, capfd):
    port = serve(Dashboard([str(study)], live_view))
    next(study.glob("trials/*/result.json")).write_bytes(b'{"status": "compl\xff')
    answer = ask(port, get("/report"))
    assert status(answer) == 200 and b"damaged" in answer
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff"])
@pytest.mark.parametrize("name", ["study.json", "request.json"])
def test_a_study_that_cannot_be_read_any_more_is_one_line(
    serve: Serve, study: Path, capfd, name: str, content: bytes | None
):
    port = serve(Dashboard([str(study)], live_view))
    (study / name).unlink() if content is None else (study / name).write_bytes(content)
    answer = ask(port, get("/report"))
    assert status(answer) == 503 and answer.count(b"\n", answer.index(b"\r\n\r\n") + 4) == 1
    assert capfd.readouterr() == ("", "")


def test_a_study_that_is_deleted_is_missed_and_its_successor_is_shown(
    serve: Serve, study: Path, capfd
):
    port = serve(Dashboard([str(study)], live_view))
    study.rename(study.parent / "moved")
    for target in ("/", "/live.json", "/report", "/version"):
        assert status(ask(port, get(target))) == 503
    write_study(study, small_study(("ce", "gce")), limit=3)
    assert b"gce" in ask(port, get("/report"))
    assert capfd.readouterr() == ("", "")
