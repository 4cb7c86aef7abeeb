"""Weir's HTTP client against raw servers, h11, aiohttp and Python's own server.

Sections: 1 its requests, judged by h11, 2 answers it must take, 3 answers it must refuse, 4 connections,
5 TLS, 6 aiohttp, 7 http.server.
"""

import asyncio
import http.server
import json
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import zlib

import h11

import kit
from kit import Wire, equal, parse_head

MIB = 1 << 20


class Server:
    """Runs `behave(wire, number)` for each connection until the case is over."""

    def __init__(self, behave, tls=None, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.behave, self.tls = behave, tls
        self.connections = 0
        self.failure = None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, number):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            wire = Wire(connection)
            self.behave(wire, number)
            wire.close()
        except (OSError, EOFError):  # The client has gone, which is what many cases want.
            pass
        except Exception as failure:
            self.failure = failure

    def end(self):
        self.listener.close()
        if self.failure:
            raise self.failure


def read_request(wire):
    """(method, target, fields, body) of the next request; None at the end of the stream."""
    head = wire.read_head()
    if head == b"":
        return None
    line, fields = parse_head(head)
    method, target, _ = line.split(" ", 2)
    return method, target, fields, wire.read(int(fields.get("content-length", 0)))


def main():
    arguments = kit.arguments(__doc__)
    cases = kit.Cases("http_client_cases", arguments)

    def fetch(*words, seconds=20):
        result = subprocess.run(
            [arguments.peer, "http-client", *words], capture_output=True, text=True, timeout=seconds
        )
        assert result.returncode == 0, f"the client ended with {result.returncode}: {result.stderr[:200]}"
        return [json.loads(line) for line in result.stdout.splitlines()]

    def against(behave, *words, paths=("/",)):
        server = Server(behave)
        answers = fetch(*words, *[f"http://127.0.0.1:{server.port}{path}" for path in paths])
        server.end()
        equal(len(answers), len(paths), "answers")
        return answers, server

    def whole(answer, body, status=200):
        assert "error" not in answer, f"the client reports {answer.get('error')!r}"
        equal(
            (answer["status"], answer["bytes"], answer["crc"]),
            (status, len(body), zlib.crc32(body)),
            "answer",
        )

    # 1 ------------------------------------------------------------------------------------------------------

    def judged(words, method, path, body=b""):
        seen = []

        def behave(wire, number):
            server = h11.Connection(h11.SERVER)
            parts = []
            while True:
                event = server.next_event()
                if event is h11.NEED_DATA:
                    if not wire.more():
                        return
                    data, wire.buffer = wire.buffer, b""
                    server.receive_data(data)
                elif isinstance(event, h11.Request):
                    seen.append(event)
                elif isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    seen.append(b"".join(parts))
                    wire.send(server.send(h11.Response(status_code=200, headers=[("Content-Length", "2")])))
                    wire.send(server.send(h11.Data(b"ok")) if method != "HEAD" else b"")
                    wire.send(server.send(h11.EndOfMessage()) if method != "HEAD" else b"")
                    return

        answers, server = against(behave, *words, paths=[path])
        request, found = seen
        equal((request.method.decode(), request.target.decode()), (method, path), "request line")
        equal(found, body, "body")
        fields = [name for name, _ in request.headers]
        equal(fields.count(b"host"), 1, "Host fields")
        equal(dict(request.headers)[b"host"].decode(), f"127.0.0.1:{server.port}", "Host")
        equal(dict(request.headers)[b"x-peer"], b"weir", "X-Peer")
        if method == "GET":
            assert (
                b"content-length" not in fields and b"transfer-encoding" not in fields
            ), "a GET announces a body"
        equal(answers[0].get("status"), 200, "status")

    cases.add("1.1", "GET", judged, [], "GET", "/")
    cases.add("1.2", "query", judged, [], "GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000&x=%20%C3%A9")
    cases.add("1.3", "POST", judged, ["--body", "a=b"], "POST", "/", b"a=b")
    cases.add("1.4", "POST of 1 MiB", judged, ["--body-bytes", str(MIB)], "POST", "/", b"b" * MIB)
    cases.add("1.5", "POST without content", judged, ["--method", "POST"], "POST", "/")
    cases.add("1.6", "PUT", judged, ["--method", "PUT", "--body", "x"], "PUT", "/", b"x")
    cases.add("1.7", "DELETE", judged, ["--method", "DELETE"], "DELETE", "/")
    cases.add("1.8", "HEAD", judged, ["--method", "HEAD"], "HEAD", "/")

    # 2 ------------------------------------------------------------------------------------------------------

    def takes(data, body, *words, status=200, step=None, ends=False):
        """Two requests in a row: the second shows that the first answer ended where it should."""

        def behave(wire, number):
            while read_request(wire):
                wire.send_bytewise(data, step) if step else wire.send(data)
                if ends:
                    wire.socket.shutdown(socket.SHUT_WR)
                    wire.read_all()
                    return

        answers, server = against(behave, *words, paths=["/one", "/two"])
        for answer in answers:
            whole(answer, body, status)
        equal(server.connections, 2 if ends else 1, "connections")

    def text(status="200 OK", *fields, body=b""):
        return "\r\n".join([f"HTTP/1.1 {status}", *fields]).encode("latin-1") + b"\r\n\r\n" + body

    def chunks(*parts, extension=b"", trailer=b"", end=True):
        data = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
        return text(
            "200 OK", "Transfer-Encoding: chunked", body=data + (b"0\r\n" + trailer + b"\r\n" if end else b"")
        )

    hello = text("200 OK", "Content-Length: 5", body=b"Hello")
    large = os.urandom(8 * MIB)
    good = [
        ("Content-Length", hello, b"Hello", {}),
        ("byte by byte", hello, b"Hello", {"step": 1}),
        ("empty body", text("200 OK", "Content-Length: 0"), b"", {}),
        ("chunked", chunks(b"Hello", b" ", b"x" * 70_000), b"Hello " + b"x" * 70_000, {}),
        ("chunked byte by byte", chunks(b"Hello", b"World"), b"HelloWorld", {"step": 1}),
        ("chunk extension", chunks(b"Hello", extension=b";a=b"), b"Hello", {}),
        ("trailer", chunks(b"Hello", trailer=b"X-End: yes\r\n"), b"Hello", {}),
        ("empty chunked body", chunks(), b"", {}),
        ("8 MiB", text("200 OK", f"Content-Length: {len(large)}", body=large), large, {}),
        (
            "8 MiB in chunks",
            chunks(*[large[place : place + 8000] for place in range(0, len(large), 8000)]),
            large,
            {},
        ),
        ("body to the end of the stream", text("200 OK", body=b"Hello"), b"Hello", {"ends": True}),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nHello", b"Hello", {"ends": True}),
        (
            "Connection: close",
            text("200 OK", "Content-Length: 5", "Connection: close", body=b"Hello"),
            b"Hello",
            {"ends": True},
        ),
        ("204", text("204 No Content"), b"", {"status": 204}),
        ("304 with a length", text("304 Not Modified", "Content-Length: 1000"), b"", {"status": 304}),
        ("100 in front", text("100 Continue") + hello, b"Hello", {}),
        (
            "103 and 100 in front",
            text("103 Early Hints", "Link: </a>") + text("100 Continue") + hello,
            b"Hello",
            {},
        ),
        ("empty reason", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nHello", b"Hello", {}),
        ("no reason", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nHello", b"Hello", {}),
        ("fields in lower case", b"HTTP/1.1 200 ok\r\ncontent-length:5\r\n\r\nHello", b"Hello", {}),
        (
            "error statuses are answers",
            text("429 Too Many", "Retry-After: 3", "Content-Length: 2", body=b"{}"),
            b"{}",
            {"status": 429},
        ),
        (
            "a redirect is an answer",
            text("301 Moved", "Location: /x", "Content-Length: 0"),
            b"",
            {"status": 301},
        ),
        ("unusual status", text("599 Strange", "Content-Length: 0"), b"", {"status": 599}),
        (
            "a hundred fields",
            text("200 OK", *[f"X-{n}: {n}" for n in range(99)], "Content-Length: 5", body=b"Hello"),
            b"Hello",
            {},
        ),
    ]
    for index, (title, data, body, options) in enumerate(good, 1):
        cases.add(f"2.{index}", title, lambda d=data, b=body, o=options: takes(d, b, **o))
    cases.add(
        "2.30",
        "HEAD with a length",
        lambda: takes(text("200 OK", "Content-Length: 1000"), b"", "--method", "HEAD"),
    )
    cases.add(
        "2.31",
        "HEAD with chunked",
        lambda: takes(text("200 OK", "Transfer-Encoding: chunked"), b"", "--method", "HEAD"),
    )

    # 3 ------------------------------------------------------------------------------------------------------

    def refuses(data, *words, ends=True, says="", seconds=4):
        def behave(wire, number):
            if read_request(wire) is None:
                return
            wire.send(data)
            if ends:
                wire.socket.shutdown(socket.SHUT_WR)
            wire.read_all()

        start = time.monotonic()
        answers, _ = against(behave, *words)
        took = time.monotonic() - start
        assert "error" in answers[0], f"the client takes it: {kit.short(answers[0])}"
        assert says in answers[0]["error"], f"the error is {answers[0]['error']!r}"
        assert took < seconds, f"it took {took:.1f} s"

    bad = [
        ("end without an answer", b""),
        ("end within the head", hello[:20]),
        ("end behind the head", hello[:-5]),
        ("end within the body", hello[:-1]),
        ("end within a chunk", chunks(b"Hello")[:-8]),
        ("end without the last chunk", chunks(b"Hello", end=False)),
        ("end within the trailer", chunks(b"Hello")[:-2]),
        (
            "Content-Length and chunked",
            text("200 OK", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        ),
        (
            "chunked and Content-Length",
            text("200 OK", "Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
        ),
        ("two lengths", text("200 OK", "Content-Length: 5", "Content-Length: 6", body=b"Hello!")),
        ("negative length", text("200 OK", "Content-Length: -5", body=b"Hello")),
        ("length with letters", text("200 OK", "Content-Length: 5x", body=b"Hello")),
        ("length over 64 bits", text("200 OK", "Content-Length: 18446744073709551621", body=b"Hello")),
        (
            "chunk size that is none",
            text("200 OK", "Transfer-Encoding: chunked", body=b"Hello\r\nHello\r\n0\r\n\r\n"),
        ),
        (
            "chunk size over 64 bits",
            text("200 OK", "Transfer-Encoding: chunked", body=b"10000000000000005\r\nHello\r\n0\r\n\r\n"),
        ),
        (
            "chunk longer than its size",
            text("200 OK", "Transfer-Encoding: chunked", body=b"3\r\nHello\r\n0\r\n\r\n"),
        ),
        ("garbage", bytes(range(256)) * 10),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("TLS", bytes.fromhex("15030300020228")),
        ("HTTP/2", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HTTP/2 frames", b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64"),
        ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        ("status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("NUL in a field", text("200 OK", "X: a\0b", "Content-Length: 0")),
        ("name with a blank", text("200 OK", "X Y: b", "Content-Length: 0")),
        ("blank before a colon", text("200 OK", "Content-Length : 0")),
        ("bare LF", hello.replace(b"\r\n", b"\n")),
        ("head of 1 MiB", text("200 OK", *["X-Fill: " + "x" * 1000] * 1000, "Content-Length: 0")),
    ]
    for index, (title, data) in enumerate(bad, 1):
        cases.add(f"3.{index}", title, refuses, data)
    cases.add(
        "3.39",
        "more fields than a head may have",
        lambda: refuses(text("200 OK", *["X: y"] * 200, "Content-Length: 0"), says="fields"),
    )
    limit = ("--body-bytes-max", "1000")
    cases.add("3.40", "length over the limit", refuses, text("200 OK", "Content-Length: 1001"), *limit)
    cases.add("3.41", "chunks over the limit", refuses, chunks(b"x" * 600, b"x" * 401), *limit)
    cases.add("3.42", "stream over the limit", refuses, text("200 OK", body=b"x" * 1001), *limit)

    def late(title, number, data):
        cases.add(number, title, lambda: refuses(data, "--timeout-ms", "300", ends=False, seconds=3))

    late("silence", "3.43", b"")
    late("half a head", "3.44", hello[:20])
    late("half a body", "3.45", hello[:-2])
    late("chunk that never comes", "3.46", chunks(b"Hello", end=False))
    late("only interim answers", "3.47", text("100 Continue") * 5)

    def drips():
        def behave(wire, number):
            if read_request(wire) is None:
                return
            wire.send(text("200 OK", "Content-Length: 1000"))
            wire.socket.settimeout(0.02)
            for _ in range(200):
                wire.send(b"x")
                try:
                    if not wire.more():
                        return
                except TimeoutError:
                    pass

        start = time.monotonic()
        answers, _ = against(behave, "--timeout-ms", "300")
        assert "error" in answers[0] and time.monotonic() - start < 3, answers

    cases.add("3.48", "body that drips", drips)

    def nobody():
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        assert "refused" in fetch(f"http://127.0.0.1:{port}/")[0]["error"].lower()

    cases.add("3.49", "nobody listens", nobody)

    # 4 ------------------------------------------------------------------------------------------------------

    def number_of(wire, path_of=lambda request: request[1]):
        while (request := read_request(wire)) is not None:
            body = path_of(request).encode()
            wire.send(text("200 OK", f"Content-Length: {len(body)}", body=body))

    def reuse():
        paths = [f"/{index}" for index in range(50)]
        answers, server = against(lambda wire, number: number_of(wire), paths=paths)
        for answer, path in zip(answers, paths):
            whole(answer, path.encode())
        equal(server.connections, 1, "connections")

    cases.add("4.1", "50 requests over one connection", reuse)

    def together(limit):
        paths = [f"/{index}" for index in range(100)]
        answers, server = against(
            lambda wire, number: number_of(wire), "--together", "--connections", str(limit), paths=paths
        )
        equal(sorted(answer["text"] for answer in answers), sorted(paths), "answers")
        assert server.connections <= limit, f"{server.connections} connections, {limit} allowed"

    cases.add("4.2", "100 requests at once over 8 connections", together, 8)
    cases.add("4.3", "100 requests at once over 1 connection", together, 1)

    def dies_when_idle(method, words, wanted):
        """The server ends the kept connection just as the second request comes: a GET may be sent again."""
        seen = []

        def behave(wire, number):
            while (request := read_request(wire)) is not None:
                seen.append(request[1])
                if number == 0 and request[1] == "/two":
                    return
                wire.send(hello)

        answers, _ = against(behave, "--method", method, *words, paths=["/one", "/two"])
        whole(answers[0], b"Hello")
        if wanted:
            whole(answers[1], b"Hello")
        else:
            assert "error" in answers[1], f"a {method} was sent again: {seen}"
            equal(seen, ["/one", "/two"], "requests")

    cases.add("4.4", "GET is repeated on a fresh connection", dies_when_idle, "GET", [], True)
    cases.add("4.5", "POST is not", dies_when_idle, "POST", ["--body", "order"], False)

    def not_for_ever():
        counts = []

        def behave(wire, number):
            read_request(wire)
            counts.append(number)

        answers, _ = against(behave)
        assert "error" in answers[0], answers
        assert len(counts) <= 2, f"tried {len(counts)} times"

    cases.add("4.6", "a server that always hangs up", not_for_ever)

    def half_answer():
        """Something of the answer has come: the request is not repeated."""
        counts = []

        def behave(wire, number):
            while read_request(wire) is not None:
                counts.append(number)
                if len(counts) == 2:
                    wire.send(hello[:30])
                    return
                wire.send(hello)

        answers, _ = against(behave, paths=["/one", "/two"])
        assert "error" in answers[1], answers
        equal(len(counts), 2, "requests")

    cases.add("4.7", "no repetition after a part of the answer", half_answer)

    def unasked():
        """An answer nobody asked for must not be taken for that of the next request."""

        def behave(wire, number):
            while (request := read_request(wire)) is not None:
                own = request[1].encode()
                extra = text("200 OK", "Content-Length: 5", body=b"wrong") if number == 0 else b""
                wire.send(text("200 OK", f"Content-Length: {len(own)}", body=own) + extra)

        answers, _ = against(behave, paths=["/one", "/two", "/three"])
        for answer, path in zip(answers, ["/one", "/two", "/three"]):
            assert answer.get("text") != "wrong", "an unasked answer was taken"
            whole(answer, path.encode())

    cases.add("4.8", "answers nobody asked for", unasked)

    def early_refusal():
        """The server answers and closes before it has read the body."""

        def behave(wire, number):
            wire.read_head()
            wire.send(text("413 Too Large", "Content-Length: 3", "Connection: close", body=b"big"))
            wire.socket.shutdown(socket.SHUT_WR)
            wire.read_all()

        answers, _ = against(behave, "--body-bytes", str(4 * MIB))
        whole(answers[0], b"big", 413)

    cases.add("4.9", "answer before the body was read", early_refusal)

    def resets():
        def behave(wire, number):
            read_request(wire)
            wire.send(hello[:-2])
            time.sleep(0.05)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        answers, _ = against(behave)
        assert "error" in answers[0], answers

    cases.add("4.10", "reset within the body", resets)

    # 5 to 7 -------------------------------------------------------------------------------------------------

    with tempfile.TemporaryDirectory(prefix="weir-conformance-") as folder:
        authority, leaf, key = kit.certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf, key)

        def over_tls(host, trust, says=None):
            server = Server(
                lambda wire, number: number_of(wire), context, "127.0.0.1" if host == "localhost" else host
            )
            answers = fetch(
                *(["--ca", trust] if trust else []), *[f"https://{host}:{server.port}/{n}" for n in range(3)]
            )
            server.end()
            for index, answer in enumerate(answers):
                if says is None:
                    whole(answer, f"/{index}".encode())
                else:
                    assert says in answer.get("error", ""), f"the client says {answer}"

        cases.add("5.1", "TLS by name", over_tls, "localhost", authority)
        cases.add("5.2", "TLS by address", over_tls, "127.0.0.1", authority)
        cases.add("5.3", "unknown authority", over_tls, "localhost", None, "certificate")
        cases.add("5.4", "certificate for another name", over_tls, "127.0.0.2", authority, "certificate")

        def truncated_tls():
            """The stream ends without TLS's goodbye: a body to the end of the stream may have been cut."""

            def behave(wire, number):
                read_request(wire)
                wire.send(text("200 OK", "Content-Length: 10", body=b"Hello"))
                wire.socket.unwrap()

            server = Server(behave, context)
            answer = fetch("--ca", authority, f"https://localhost:{server.port}/")[0]
            server.end()
            assert "error" in answer, answer

        cases.add("5.5", "TLS ends within the body", truncated_tls)

        async def with_aiohttp(tls, *words, paths, scheme="http"):
            from aiohttp import web

            async def echo(request):
                return web.Response(body=await request.read())

            async def streamed(request):
                response = web.StreamResponse()
                await response.prepare(request)
                for index in range(200):
                    await response.write(b"part %d;" % index)
                return response

            async def slow(request):
                await asyncio.sleep(0.05)
                return web.Response(text=request.path)

            app = web.Application(client_max_size=64 * MIB)
            app.router.add_post("/echo", echo)
            app.router.add_get("/stream", streamed)
            app.router.add_get("/slow/{n}", slow)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]
            process = await asyncio.create_subprocess_exec(
                arguments.peer,
                "http-client",
                *words,
                *[f"{scheme}://localhost:{port}{path}" for path in paths],
                stdout=subprocess.PIPE,
            )
            output, _ = await asyncio.wait_for(process.communicate(), 20)
            await runner.cleanup()
            return [json.loads(line) for line in output.splitlines()]

        parts = b"".join(b"part %d;" % index for index in range(200))

        def aio(number, title, body, *words, tls=None, paths, status=200):
            def run():
                scheme = "https" if tls else "http"
                for answer in asyncio.run(with_aiohttp(tls, *words, paths=paths, scheme=scheme)):
                    (
                        whole(answer, body, status)
                        if body is not None
                        else equal(answer.get("status"), status, "status")
                    )

            cases.add(number, title, run)

        aio("6.1", "streamed answers", parts, paths=["/stream"] * 3)
        aio("6.2", "echo", b"b" * 1000, "--body-bytes", "1000", paths=["/echo"] * 20)
        aio("6.3", "echo of 8 MiB", b"b" * 8 * MIB, "--body-bytes", str(8 * MIB), paths=["/echo"])
        aio("6.4", "slow answers at once", None, "--together", paths=[f"/slow/{n}" for n in range(40)])
        aio("6.5", "TLS", parts, "--ca", authority, tls=context, paths=["/stream"] * 3)
        aio(
            "6.6",
            "echo of 2 MiB over TLS",
            b"b" * 2 * MIB,
            "--ca",
            authority,
            "--body-bytes",
            str(2 * MIB),
            tls=context,
            paths=["/echo"] * 2,
        )
        aio("6.7", "nothing there", None, paths=["/none"] * 2, status=404)

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *words):
                super().__init__(*words, directory=folder)

            def log_message(self, *words):
                pass

        def with_http_server(version):
            handler = type("Handler", (Quiet,), {"protocol_version": version})
            with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                answers = fetch(
                    *[
                        f"http://127.0.0.1:{server.server_address[1]}/{name}"
                        for name in ("leaf.pem", "none", "leaf.pem")
                    ]
                )
                server.shutdown()
            with open(leaf, "rb") as file:
                data = file.read()
            whole(answers[0], data)
            equal(answers[1].get("status"), 404, "status")
            whole(answers[2], data)

        cases.add("7.1", "http.server with HTTP/1.0", with_http_server, "HTTP/1.0")
        cases.add("7.2", "http.server with HTTP/1.1", with_http_server, "HTTP/1.1")

        cases.run(workers=6)
        cases.finish()


main()
