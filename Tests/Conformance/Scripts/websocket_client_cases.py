"""Weir's websocket client against raw servers, Python websockets and aiohttp.

Sections: 1 its opening handshake, 2 answers it must refuse, 3 frames it must take, 4 frames it must refuse,
5 UTF-8, 6 closing, 7 limits, 8 deflate, 9 TLS, 10 Python websockets, 11 aiohttp.
"""

import asyncio
import base64
import hashlib
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import zlib

import kit
from kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Wire, close_payload, equal, frame, parse_head

MIB = 1 << 20
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def plain(opcode, payload=b"", **options):
    return frame(opcode, payload, mask=None, **options)


class Server:
    """Takes one connection, reads the request and runs `behave(wire, fields, line)` on it."""

    def __init__(self, behave, tls=None, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.behave, self.tls = behave, tls
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.listener.settimeout(10)
            connection, _ = self.listener.accept()
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            wire = Wire(connection)
            line, fields = parse_head(wire.read_head())
            self.behave(wire, fields, line)
            wire.close()
        except Exception as failure:
            self.failure = failure
        finally:
            self.listener.close()

    def join(self):
        self.thread.join(15)
        assert not self.thread.is_alive(), "the server's side of the case does not end"
        if self.failure:
            raise self.failure


def accept_of(fields):
    return base64.b64encode(hashlib.sha1((fields["sec-websocket-key"] + GUID).encode()).digest()).decode()


def answer(fields, *extra, line="HTTP/1.1 101 Switching Protocols", drop=(), accept=None):
    lines = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept or accept_of(fields),
    }
    return (
        "\r\n".join(
            [line] + [f"{name}: {value}" for name, value in lines.items() if name not in drop] + list(extra)
        ).encode("latin-1")
        + b"\r\n\r\n"
    )


def message_of(wire):
    """The next message or control frame of the client; its frames must be masked."""
    kind, parts = None, []
    while (found := wire.read_frame()) is not None:
        fin, rsv, opcode, payload = found
        assert wire.was_masked, "a client's frame is not masked"
        if opcode >= 8:
            return opcode, payload
        kind = opcode if opcode else kind
        parts.append(payload)
        if fin:
            return kind, b"".join(parts)
    return None


def closing_code(wire):
    """Reads on to the client's close frame; its code."""
    while (found := message_of(wire)) is not None:
        if found[0] == CLOSE:
            return struct.unpack("!H", found[1][:2])[0] if len(found[1]) >= 2 else 1005
    return None


def ended(wire):
    """The client is to end the stream after the close."""
    assert wire.read_all() == b"", "frames after the client's close frame"


def described(kind, payload):
    return {"kind": kind, "bytes": len(payload), "crc": zlib.crc32(payload)}


def main():
    arguments = kit.arguments(__doc__)
    cases = kit.Cases("websocket_client_cases", arguments)

    def observe(port, *words, path="/", scheme="ws", host="127.0.0.1"):
        result = subprocess.run(
            [arguments.peer, "websocket-observe", *words, f"{scheme}://{host}:{port}{path}"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert result.returncode == 0 and result.stdout.startswith(
            "{"
        ), f"the client ended with {result.returncode}: {result.stderr[:200]}"
        return json.loads(result.stdout)

    def against(behave, *words, path="/", tls=None, **address):
        server = Server(behave, tls)
        report = observe(server.port, *words, path=path, **address)
        server.join()
        return report

    # 1 ------------------------------------------------------------------------------------------------------

    def asks_well(words, path):
        def behave(wire, fields, line):
            equal(line, f"GET {path} HTTP/1.1", "request line")
            equal(fields.get("host"), f"127.0.0.1:{server.port}", "Host")
            equal(fields.get("upgrade", "").lower(), "websocket", "Upgrade")
            assert "upgrade" in fields.get("connection", "").lower(), "Connection"
            equal(fields.get("sec-websocket-version"), "13", "Sec-WebSocket-Version")
            equal(len(base64.b64decode(fields["sec-websocket-key"], validate=True)), 16, "bytes of the key")
            offer = fields.get("sec-websocket-extensions", "")
            equal("permessage-deflate" in offer, "--deflate" in words, "whether deflate is offered")
            wire.send(answer(fields) + plain(CLOSE, close_payload(1000)))
            equal(closing_code(wire), 1000, "close code")

        server = Server(behave)
        report = observe(server.port, *words, path=path)
        server.join()
        equal((report["opened"], report["code"], report["error"]), (True, 1000, None), "report")

    cases.add("1.1", "request", asks_well, [], "/")
    cases.add(
        "1.2",
        "path and query",
        asks_well,
        [],
        "/public/stream?streams=btcusdt@depth@100ms/ethusdt@aggTrade&x=%20",
    )
    cases.add("1.3", "deflate is offered", asks_well, ["--deflate"], "/")

    def keys_differ():
        keys = set()
        for _ in range(5):

            def behave(wire, fields, line):
                keys.add(fields["sec-websocket-key"])
                wire.send(answer(fields) + plain(CLOSE))
                closing_code(wire)

            against(behave)
        equal(len(keys), 5, "different keys")

    cases.add("1.4", "keys differ", keys_differ)

    def accepts(make, payload=b"early"):
        def behave(wire, fields, line):
            make(wire, fields, plain(TEXT, payload) + plain(CLOSE, close_payload(1000)))
            equal(closing_code(wire), 1000, "close code")

        report = against(behave)
        equal(
            (report["opened"], report["messages"], report["code"]),
            (True, [described("text", payload)], 1000),
            "report",
        )

    cases.add(
        "1.5",
        "frames right behind the answer",
        accepts,
        lambda wire, fields, rest: wire.send(answer(fields) + rest),
    )
    cases.add(
        "1.6",
        "answer byte by byte",
        accepts,
        lambda wire, fields, rest: wire.send_bytewise(answer(fields) + rest),
    )
    cases.add(
        "1.7",
        "fields in lower case and odd order",
        accepts,
        lambda wire, fields, rest: wire.send(
            b"HTTP/1.1 101 ok\r\nserver: x\r\nsec-websocket-accept:"
            + accept_of(fields).encode()
            + b"\r\nconnection: keep-alive, UPGRADE\r\nupgrade: WebSocket\r\n\r\n"
            + rest
        ),
    )
    cases.add(
        "1.8",
        "empty reason phrase",
        accepts,
        lambda wire, fields, rest: wire.send(answer(fields, line="HTTP/1.1 101 ") + rest),
    )
    cases.add(
        "1.9",
        "folded field, which a client takes for a blank",
        accepts,
        lambda wire, fields, rest: wire.send(answer(fields, "X-A: b\r\n c") + rest),
    )

    # 2 ------------------------------------------------------------------------------------------------------

    def refuses(make, *words, says=""):
        def behave(wire, fields, line):
            make(wire, fields)
            try:
                wire.read_all()
            except TimeoutError:
                raise AssertionError("the client keeps the connection open")

        start = time.monotonic()
        report = against(behave, *words)
        equal(report["opened"], False, "whether the client takes it for open")
        assert report["error"], "no error is reported"
        assert says in report["error"], f"the error is {report['error']!r}, it lacks {says!r}"
        assert time.monotonic() - start < 4, "the refusal took too long"

    say = lambda data: lambda wire, fields: wire.send(data)
    for index, status in enumerate([200, 204, 301, 302, 400, 401, 403, 404, 418, 429, 500, 503], 1):
        body = b"" if status == 204 else b'{"code":-1003,"msg":"Too many requests."}'
        head = (
            f"HTTP/1.1 {status} Some Reason\r\nContent-Length: {len(body)}\r\nLocation: /x\r\n\r\n".encode()
        )
        cases.add(
            f"2.1.{index}",
            f"status {status}",
            lambda status=status, head=head, body=body: refuses(say(head + body), says=str(status)),
        )
    bad = [
        ("wrong accept", lambda f: answer(f, accept="c3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("accept of the RFC's example", lambda f: answer(f, accept=kit.ACCEPT)),
        ("accept in lower case", lambda f: answer(f, accept=accept_of(f).swapcase())),
        ("no accept", lambda f: answer(f, drop=["Sec-WebSocket-Accept"])),
        ("two accepts", lambda f: answer(f, "Sec-WebSocket-Accept: " + kit.ACCEPT)),
        ("no Upgrade", lambda f: answer(f, drop=["Upgrade"])),
        ("no Connection", lambda f: answer(f, drop=["Connection"])),
        ("Connection: close", lambda f: answer(f, "Connection: close", drop=["Connection"])),
        ("Upgrade: h2c", lambda f: answer(f, "Upgrade: h2c", drop=["Upgrade"])),
        (
            "extension that was not offered",
            lambda f: answer(f, "Sec-WebSocket-Extensions: permessage-deflate"),
        ),
        ("unknown extension", lambda f: answer(f, "Sec-WebSocket-Extensions: x-unknown")),
        ("subprotocol that was not offered", lambda f: answer(f, "Sec-WebSocket-Protocol: chat")),
        ("HTTP/1.0", lambda f: answer(f, line="HTTP/1.0 101 Switching Protocols")),
        ("HTTP/2", lambda f: answer(f, line="HTTP/2.0 101 Switching Protocols")),
        ("no status", lambda f: answer(f, line="HTTP/1.1")),
        ("another protocol", lambda f: b"220 mail.example ESMTP ready\r\n"),
        ("garbage", lambda f: bytes(range(256)) * 4),
        ("bare LF", lambda f: answer(f).replace(b"\r\n", b"\n")),
        ("blank before a colon", lambda f: answer(f).replace(b"Upgrade: ", b"Upgrade : ")),
        ("NUL in a value", lambda f: answer(f, "X-A: b\0c")),
        ("head of 1 MiB", lambda f: answer(f, *["X-Fill: " + "x" * 1000] * 1000)),
        ("frames instead of an answer", lambda f: plain(TEXT, b"hello") * 20),
    ]
    for index, (title, make) in enumerate(bad, 1):
        cases.add(
            f"2.2.{index}", title, lambda make=make: refuses(lambda wire, fields: wire.send(make(fields)))
        )
    cases.add(
        "2.3.1", "end without an answer", refuses, lambda wire, fields: wire.socket.shutdown(socket.SHUT_RDWR)
    )
    cases.add(
        "2.3.2",
        "end within the head",
        refuses,
        lambda wire, fields: (wire.send(answer(fields)[:40]), wire.socket.shutdown(socket.SHUT_WR)),
    )
    cases.add("2.3.3", "silence", refuses, lambda wire, fields: None, "--timeout-ms", "300")

    def drip(wire, fields):
        wire.socket.settimeout(0.02)
        for byte in answer(fields, "X-Fill: " + "x" * 60):
            wire.send(bytes([byte]))
            try:
                if not wire.more():
                    break
            except TimeoutError:
                pass
        wire.socket.settimeout(5)

    cases.add("2.3.4", "head that drips", refuses, drip, "--timeout-ms", "300")

    def nobody():
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        report = observe(port)
        equal(report["opened"], False, "opened")
        assert "refused" in report["error"].lower(), report["error"]

    cases.add("2.3.5", "nobody listens", nobody)

    # 3 ------------------------------------------------------------------------------------------------------

    def takes(data, wanted, *words, pongs=(), step=None, extra=()):
        """Frames of the server; the client reports the messages, and answers pings on the way."""

        def behave(wire, fields, line):
            wire.send(answer(fields, *extra))
            if step:
                wire.send_bytewise(data, step)
            else:
                writer = threading.Thread(target=wire.send, args=(data,))
                writer.start()
            for payload in pongs:
                equal(message_of(wire), (PONG, payload), "pong")
            wire.send(b"") if step else writer.join()
            wire.send(plain(CLOSE, close_payload(1000)))
            equal(closing_code(wire), 1000, "close code")

        report = against(behave, *words)
        equal(report["messages"], [described(kind, payload) for kind, payload in wanted], "messages")
        equal((report["code"], report["error"]), (1000, None), "end")
        return report

    c = CONTINUATION
    number = 0
    for kind, opcode in (("text", TEXT), ("binary", BINARY)):
        for size in [0, 1, 125, 126, 127, 128, 65535, 65536, MIB]:
            number += 1
            payload = b"*" * size if opcode == TEXT else random.Random(size).randbytes(size)
            cases.add(
                f"3.1.{number}", f"{kind} of {size} bytes", takes, plain(opcode, payload), [(kind, payload)]
            )
        for size, step in [(126, 1), (65536, 997)]:
            number += 1
            payload = b"*" * size
            cases.add(
                f"3.1.{number}",
                f"{kind} of {size} bytes in pieces of {step}",
                lambda o=opcode, k=kind, p=payload, s=step: takes(plain(o, p), [(k, p)], step=s),
            )
    for index, payload in enumerate([b"", b"Hello", b"\x00\xff\xfe", b"\xfe" * 125], 1):
        cases.add(
            f"3.2.{index}",
            f"ping of {len(payload)} bytes",
            lambda p=payload: equal(takes(plain(PING, p), [], pongs=[p])["pings"], 1, "pings"),
        )
    cases.add("3.2.5", "unsolicited pong", lambda: equal(takes(plain(PONG, b"x"), [])["pongs"], 1, "pongs"))
    whole = [("text", b"fragment1fragment2")]
    two = [plain(TEXT, b"fragment1", fin=False), plain(c, b"fragment2")]
    cases.add("3.3.1", "two fragments", takes, b"".join(two), whole)
    cases.add("3.3.2", "two fragments byte by byte", lambda: takes(b"".join(two), whole, step=1))
    cases.add(
        "3.3.3",
        "ping between fragments",
        lambda: takes(two[0] + plain(PING, b"p") + two[1], whole, pongs=[b"p"]),
    )
    cases.add(
        "3.3.4",
        "empty fragments",
        takes,
        plain(BINARY, fin=False) + plain(c, fin=False) + plain(c),
        [("binary", b"")],
    )
    for index, size in enumerate([1, 100, 65536], 5):
        payload = random.Random(size).randbytes(min(MIB, size * 500))
        parts = [payload[place : place + size] for place in range(0, len(payload), size)]
        data = b"".join(
            plain(BINARY if n == 0 else c, part, fin=n == len(parts) - 1) for n, part in enumerate(parts)
        )
        cases.add(
            f"3.3.{index}", f"{len(payload)} bytes in fragments of {size}", takes, data, [("binary", payload)]
        )

    def burst():
        def behave(wire, fields, line):
            wire.send(
                answer(fields)
                + b"".join(plain(TEXT, b"message %d" % n) for n in range(50_000))
                + plain(CLOSE, close_payload(1000))
            )
            equal(closing_code(wire), 1000, "close code")

        equal(against(behave)["count"], 50_000, "messages")

    cases.add("3.4.1", "50,000 messages at once", burst)

    # 4 ------------------------------------------------------------------------------------------------------

    def fails(data, code, *words, before=(), step=None, extra=()):
        def behave(wire, fields, line):
            wire.send(answer(fields, *extra))
            wire.send_bytewise(data, step) if step else wire.send(data)
            found = closing_code(wire)
            codes = code if isinstance(code, tuple) else (code,)
            assert found in codes, f"the client's close code is {found}, wanted {codes}"
            wire.send(plain(TEXT, b"too late"))
            ended(wire)

        report = against(behave, *words)
        equal(report["messages"], [described(kind, payload) for kind, payload in before], "messages")
        assert report["error"], f"the client reports no error but {report['code']}"

    for index, (opcode, name) in enumerate(
        [(TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (CLOSE, "close")], 1
    ):
        payload = close_payload(1000) if opcode == CLOSE else b"x"
        cases.add(f"4.1.{index}", f"masked {name}", fails, frame(opcode, payload), 1002)
    for rsv in range(1, 8):
        cases.add(f"4.2.{rsv}", f"reserved bits {rsv:03b}", fails, plain(TEXT, b"x", rsv=rsv), 1002)
    for index, opcode in enumerate([3, 4, 5, 6, 7, 11, 12, 13, 14, 15], 1):
        cases.add(
            f"4.3.{index}",
            f"opcode {opcode}",
            lambda o=opcode: fails(plain(TEXT, b"ok") + plain(o, b"x"), 1002, before=[("text", b"ok")]),
        )
    for index, (title, data) in enumerate(
        [
            ("ping of 126 bytes", plain(PING, b"x" * 126)),
            ("pong of 126 bytes", plain(PONG, b"x" * 126)),
            ("fragmented ping", plain(PING, b"x", fin=False) + plain(c, b"y")),
            ("fragmented close", plain(CLOSE, close_payload(1000), fin=False)),
            ("continuation without a start", plain(c, b"x")),
            ("open continuation without a start", plain(c, b"x", fin=False)),
            ("text within a fragmented text", plain(TEXT, b"a", fin=False) + plain(TEXT, b"b")),
            ("binary within a fragmented text", plain(TEXT, b"a", fin=False) + plain(BINARY, b"b")),
            ("1 byte in the form 126", plain(TEXT, b"a", length_form=126)),
            ("125 bytes in the form 126", plain(TEXT, b"a" * 125, length_form=126)),
            ("65535 bytes in the form 127", plain(TEXT, b"a" * 65535, length_form=127)),
            ("length with the highest bit", b"\x82\x7f" + b"\xff" * 8),
        ],
        1,
    ):
        code = (1002, 1009) if "highest" in title else 1002
        cases.add(f"4.4.{index}", title, fails, data, code)
        cases.add(
            f"4.5.{index}",
            title + ", byte by byte",
            lambda d=data[:600], o=code, whole=data: fails(whole, o, step=1 if len(whole) < 600 else 4096),
        )

    # 5 ------------------------------------------------------------------------------------------------------

    with open(os.path.join(kit.HERE, "utf8_table.json")) as file:
        table = json.load(file)
    for index, text in enumerate(table["valid"], 1):
        data = text.encode()
        cases.add(f"5.1.{index}", f"valid {text[:12]!r}", takes, plain(TEXT, data), [("text", data)])
        parts = [data[place : place + 1] for place in range(len(data))] or [b""]
        split = b"".join(
            plain(TEXT if n == 0 else c, part, fin=n == len(parts) - 1) for n, part in enumerate(parts)
        )
        cases.add(
            f"5.2.{index}", f"valid {text[:12]!r}, a frame for each byte", takes, split, [("text", data)]
        )
    for index, text in enumerate(table["invalid"], 1):
        data = bytes.fromhex(text)
        cases.add(f"5.3.{index}", f"invalid {text}", fails, plain(TEXT, data), 1007)
        cases.add(
            f"5.4.{index}",
            f"invalid {text} within ASCII",
            fails,
            plain(TEXT, b"a" * 61 + data + b"b" * 61),
            1007,
        )

    # 6 ------------------------------------------------------------------------------------------------------

    def closed(payload, code, reason=""):
        def behave(wire, fields, line):
            wire.send(answer(fields) + plain(CLOSE, payload))
            found = message_of(wire)
            equal(found and found[0], CLOSE, "opcode")
            equal(found[1][:2], payload[:2] if payload else found[1][:2], "code in the answer")

        report = against(behave)
        equal((report["code"], report["reason"], report["error"]), (code, reason, None), "report")

    cases.add("6.1", "close without payload", closed, b"", 1005)
    for index, code in enumerate(
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999], 2
    ):
        cases.add(
            f"6.{index}", f"close code {code}", closed, close_payload(code, "grüße".encode()), code, "grüße"
        )
    cases.add("6.20", "longest reason", closed, close_payload(1000, b"x" * 123), 1000, "x" * 123)
    for index, code in enumerate([0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535], 21):
        cases.add(f"6.{index}", f"invalid close code {code}", fails, plain(CLOSE, close_payload(code)), 1002)
    cases.add("6.32", "close of one byte", fails, plain(CLOSE, b"x"), 1002)
    cases.add("6.33", "close of 126 bytes", fails, plain(CLOSE, close_payload(1000, b"x" * 124)), 1002)
    cases.add(
        "6.34", "reason that is no UTF-8", fails, plain(CLOSE, close_payload(1000, b"\xed\xa0\x80")), 1007
    )

    def broken(make):
        def behave(wire, fields, line):
            wire.send(answer(fields) + plain(TEXT, b"first"))
            make(wire)

        report = against(behave, "--timeout-ms", "1000")
        equal((report["code"], report["messages"]), (1006, [described("text", b"first")]), "report")
        assert report["error"], "no error is reported"

    def reset(wire):
        time.sleep(0.1)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    cases.add("6.35", "TCP ends without a close", broken, lambda wire: wire.socket.shutdown(socket.SHUT_WR))
    cases.add(
        "6.36",
        "TCP ends within a frame",
        broken,
        lambda wire: (wire.send(plain(TEXT, b"x" * 1000)[:500]), wire.socket.shutdown(socket.SHUT_WR)),
    )
    cases.add("6.37", "reset", broken, reset)

    def lingers():
        """After both closes the server is to end TCP; one that does not is left after a while."""

        def behave(wire, fields, line):
            wire.send(answer(fields) + plain(CLOSE, close_payload(1000)))
            equal(closing_code(wire), 1000, "close code")
            start = time.monotonic()
            wire.read_all()
            assert time.monotonic() - start < 4, "the client waits for ever"

        equal(against(behave)["code"], 1000, "code")

    cases.add("6.38", "server that does not end TCP", lingers)

    # 7 ------------------------------------------------------------------------------------------------------

    small = ("--message-bytes-max", "1000")
    cases.add("7.1", "message at the limit", takes, plain(TEXT, b"x" * 1000), [("text", b"x" * 1000)], *small)
    cases.add("7.2", "message over the limit", fails, plain(TEXT, b"x" * 1001), 1009, *small)
    cases.add(
        "7.3", "head of a message over the limit", fails, plain(BINARY, b"x" * 70_000)[:10], 1009, *small
    )
    cases.add(
        "7.4",
        "fragments over the limit",
        fails,
        plain(TEXT, b"x" * 600, fin=False) + plain(c, b"x" * 401),
        1009,
        *small,
    )
    cases.add("7.5", "length of 2^62", fails, b"\x82\x7f" + struct.pack("!Q", 1 << 62), 1009)
    big = random.Random(3).randbytes(16 * MIB)
    cases.add("7.6", "16 MiB", takes, plain(BINARY, big), [("binary", big)])
    cases.add("7.7", "16 MiB and a byte", fails, plain(BINARY, big + b"x")[:10], 1009)

    # 8 ------------------------------------------------------------------------------------------------------

    name = "Sec-WebSocket-Extensions: permessage-deflate"

    def pack(data, bits=15):
        deflater = zlib.compressobj(6, zlib.DEFLATED, -bits)
        return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    texts = [b"", b"Hello", b'{"e":"depthUpdate","b":[["1.5","2"]]}' * 50, b"x" * 100_000]
    for index, (parameters, bits, keeps) in enumerate(
        [
            ("", 15, True),
            ("; server_no_context_takeover", 15, False),
            ("; client_no_context_takeover", 15, True),
            ("; server_no_context_takeover; client_no_context_takeover", 15, False),
            ("; client_max_window_bits=15", 15, True),
            ("; client_max_window_bits=9", 15, True),
        ]
        + [
            (f"; client_max_window_bits={bits}; server_no_context_takeover", 15, False)
            for bits in range(10, 15)
        ],
        1,
    ):

        def run(parameters=parameters, bits=bits, keeps=keeps):
            deflater = zlib.compressobj(6, zlib.DEFLATED, -bits)
            data = b""
            for text in texts:
                if not keeps:
                    deflater = zlib.compressobj(6, zlib.DEFLATED, -bits)
                data += plain(TEXT, (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4)
            data += plain(TEXT, b"not deflated")
            report = takes(
                data,
                [("text", text) for text in texts + [b"not deflated"]],
                "--deflate",
                extra=[name + parameters],
            )
            equal(report["deflated"], True, "deflated")

        cases.add(f"8.1.{index}", f"agreement{parameters or ' without parameters'}", run)

    def echo_deflated(parameters, bits):
        """What the client sends inflates with the window it was told to keep to."""
        text = "".join(random.Random(8).choices('0123456789,.[]"', k=3000)) * 4

        def behave(wire, fields, line):
            wire.send(answer(fields, name + parameters))
            fin, rsv, opcode, data = wire.read_frame()
            equal((fin, rsv, opcode), (True, 4, TEXT), "frame")
            equal(zlib.decompressobj(-bits).decompress(data + b"\0\0\xff\xff").decode(), text, "text")
            wire.send(plain(CLOSE, close_payload(1000)))
            closing_code(wire)

        equal(against(behave, "--deflate", "--send", text)["error"], None, "error")

    for index, bits in enumerate(range(9, 16), 1):
        cases.add(
            f"8.2.{index}",
            f"client's window of {bits} bits",
            echo_deflated,
            f"; client_max_window_bits={bits}",
            bits,
        )

    for index, parameters in enumerate(
        [
            "; unknown",
            "; server_max_window_bits",
            "; server_max_window_bits=7",
            "; server_max_window_bits=16",
            "; server_max_window_bits=x",
            "; client_max_window_bits=7",
            "; client_max_window_bits=16",
            "; client_max_window_bits",
            "; server_no_context_takeover=1",
            "; client_no_context_takeover=1",
            "; server_no_context_takeover; server_no_context_takeover",
            ", permessage-deflate",
            ", x-unknown",
        ],
        1,
    ):
        cases.add(
            f"8.3.{index}",
            f"agreement that is none: {parameters}",
            lambda p=parameters: refuses(
                lambda wire, fields: wire.send(answer(fields, name + p)), "--deflate"
            ),
        )
    cases.add(
        "8.4.1",
        "deflate declined by the server",
        lambda: equal(
            takes(plain(TEXT, b"plain"), [("text", b"plain")], "--deflate")["deflated"], False, "deflated"
        ),
    )
    deflated = lambda data, code, *words: fails(data, code, "--deflate", *words, extra=[name])
    cases.add(
        "8.4.2",
        "reserved bit 1 without an agreement",
        lambda: fails(plain(TEXT, pack(b"x"), rsv=4), 1002, "--deflate"),
    )
    cases.add(
        "8.4.3",
        "reserved bit 1 on a continuation",
        deflated,
        plain(TEXT, pack(b"Hello")[:2], rsv=4, fin=False) + plain(c, pack(b"Hello")[2:], rsv=4),
        1002,
    )
    cases.add("8.4.4", "reserved bit 1 on a ping", deflated, plain(PING, b"x", rsv=4), 1002)
    cases.add(
        "8.4.5", "no deflate data", deflated, plain(BINARY, b"\xff" * 20, rsv=4), (1002, 1003, 1007, 1011)
    )
    cases.add(
        "8.4.6", "invalid UTF-8 inside deflate", deflated, plain(TEXT, pack(b"\xed\xa0\x80"), rsv=4), 1007
    )
    cases.add(
        "8.4.7", "64 MiB in a small message", deflated, plain(BINARY, pack(b"\0" * (64 * MIB)), rsv=4), 1009
    )
    cases.add(
        "8.4.8",
        "small bomb over a small limit",
        deflated,
        plain(BINARY, pack(b"\0" * 5000), rsv=4),
        1009,
        *small,
    )

    cases.run(workers=4)

    # 9 to 11 ------------------------------------------------------------------------------------------------

    with tempfile.TemporaryDirectory(prefix="weir-conformance-") as folder:
        authority, leaf, key = kit.certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf, key)

        def over_tls(host="localhost", trust=authority, opened=True, says="", version=None):
            own = context
            if version:
                own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                own.load_cert_chain(leaf, key)
                own.minimum_version = own.maximum_version = version

            def behave(wire, fields, line):
                wire.send(answer(fields) + plain(TEXT, b"secret") + plain(CLOSE, close_payload(1000)))
                closing_code(wire)

            server = Server(behave, own, "127.0.0.1" if host == "localhost" else host)
            report = observe(server.port, *(["--ca", trust] if trust else []), scheme="wss", host=host)
            equal(report["opened"], opened, f"opened ({report['error']})")
            if opened:
                server.join()
                equal(report["messages"], [described("text", b"secret")], "messages")
            else:
                assert says in report["error"], f"the error is {report['error']!r}"

        cases.add("9.1", "TLS by name", over_tls)
        cases.add("9.2", "TLS by address", over_tls, "127.0.0.1")
        cases.add("9.3", "TLS 1.2", lambda: over_tls(version=ssl.TLSVersion.TLSv1_2))
        cases.add("9.4", "unknown authority", over_tls, "localhost", None, False, "certificate")
        cases.add(
            "9.5", "certificate for another name", over_tls, "127.0.0.2", authority, False, "certificate"
        )

        async def scripted(serve, *words, scheme="ws"):
            """net-peer's own series of messages against an echo server of another make."""
            async with serve() as port:
                process = await asyncio.create_subprocess_exec(
                    arguments.peer,
                    "websocket-client",
                    *words,
                    f"{scheme}://localhost:{port}/echo",
                    stdout=subprocess.PIPE,
                )
                output, _ = await asyncio.wait_for(process.communicate(), 40)
                report = json.loads(output)
                assert report["passed"], f"the client says {report}"
                return report

        from contextlib import asynccontextmanager

        def websockets_server(**options):
            from websockets.asyncio.server import serve

            async def echo(connection):
                async for message in connection:
                    await connection.send(message)

            async def in_fragments(connection):
                async for message in connection:
                    size = max(1, len(message) // 3)
                    await connection.send(
                        [message[place : place + size] for place in range(0, len(message), size)] or [message]
                    )

            @asynccontextmanager
            async def running():
                handler = in_fragments if options.pop("fragments", False) else echo
                async with serve(handler, "127.0.0.1", 0, max_size=None, **options) as server:
                    yield server.sockets[0].getsockname()[1]

            return running

        def library(number, title, make, deflated, *words, scheme="ws"):
            def run():
                report = asyncio.run(scripted(make(), *words, scheme=scheme))
                equal(report["deflated"], deflated, "deflated")

            cases.add(number, title, run)

        from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory as Factory

        library("10.1", "echo", lambda: websockets_server(compression=None), False)
        library(
            "10.2", "echo in fragments", lambda: websockets_server(compression=None, fragments=True), False
        )
        library("10.3", "deflate", websockets_server, True, "--deflate")
        library("10.4", "deflate in fragments", lambda: websockets_server(fragments=True), True, "--deflate")
        library("10.5", "deflate that the client does not offer", websockets_server, False)
        library(
            "10.6",
            "deflate that the server does not know",
            lambda: websockets_server(compression=None),
            False,
            "--deflate",
        )
        library(
            "10.7",
            "TLS and deflate",
            lambda: websockets_server(ssl=context),
            True,
            "--deflate",
            "--ca",
            authority,
            scheme="wss",
        )
        library(
            "10.8",
            "no context takeover",
            lambda: websockets_server(
                compression=None,
                extensions=[Factory(server_no_context_takeover=True, client_no_context_takeover=True)],
            ),
            True,
            "--deflate",
        )
        for index, bits in enumerate([9, 12, 15], 9):
            library(
                f"10.{index}",
                f"client's window of {bits} bits",
                lambda bits=bits: websockets_server(
                    compression=None, extensions=[Factory(client_max_window_bits=bits)]
                ),
                True,
                "--deflate",
            )
        library(
            "10.12",
            "server pings every 50 ms",
            lambda: websockets_server(ping_interval=0.05, ping_timeout=5),
            False,
        )

        def aiohttp_server(compress=False, tls=None):
            from aiohttp import WSMsgType, web

            async def echo(request):
                socket = web.WebSocketResponse(max_msg_size=0, compress=compress)
                await socket.prepare(request)
                async for message in socket:
                    if message.type == WSMsgType.TEXT:
                        await socket.send_str(message.data)
                    elif message.type == WSMsgType.BINARY:
                        await socket.send_bytes(message.data)
                return socket

            @asynccontextmanager
            async def running():
                app = web.Application()
                app.router.add_get("/echo", echo)
                runner = web.AppRunner(app)
                await runner.setup()
                site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
                await site.start()
                yield site._server.sockets[0].getsockname()[1]
                await runner.cleanup()

            return running

        library("11.1", "echo", aiohttp_server, False)
        library("11.2", "deflate", lambda: aiohttp_server(compress=True), True, "--deflate")
        library("11.3", "TLS", lambda: aiohttp_server(tls=context), False, "--ca", authority, scheme="wss")

        # Event loops in several threads would only wait for each other.
        cases.run(workers=2)
        cases.finish()


main()
