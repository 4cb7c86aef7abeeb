"""Weir's HTTP server against raw sockets, h11, aiohttp, curl and wrk.

Sections: 1 requests that must be answered, 2 requests that must be refused, 3 smuggling: what one reader takes
for one request and another for two, 4 pipelining and connections, 5 slow peers and limits, 6 h11 judges the
answers, 7 aiohttp, 8 curl, 9 wrk, 10 files, tokens and events.
"""

import asyncio
import hashlib
import json
import os
import random
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time

import h11

import kit
from kit import Skipped, dial, equal, parse_head, status_of

TOKEN = "conformance-token"


class Answer:
    def __init__(self, status, fields, body, interim):
        self.status, self.fields, self.body, self.interim = status, fields, body, interim


def read_answer(wire, method="GET"):
    """One answer as a strict reader sees it; None at the end of the stream."""
    interim = []
    while True:
        head = wire.read_head()
        if head == b"":
            return None
        line, fields = parse_head(head)
        status = status_of(head)
        assert re.fullmatch(r"HTTP/1\.1 \d{3} [ -~]*", line), f"the status line is {line!r}"
        if status != 101 and 100 <= status < 200:
            interim.append(status)
            continue
        break
    assert not ("content-length" in fields and "transfer-encoding" in fields), "both lengths in an answer"
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif fields.get("transfer-encoding", "").lower() == "chunked":
        body = read_chunks(wire)
    elif "content-length" in fields:
        body = wire.read(int(fields["content-length"]))
    else:
        body = wire.read_all()
    return Answer(status, fields, body, interim)


def read_chunks(wire):
    parts = []
    while True:
        while b"\r\n" not in wire.buffer:
            assert wire.more(), "the stream ended within a chunk's head"
        line, _, wire.buffer = wire.buffer.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while not wire.buffer.startswith(b"\r\n"):
                assert wire.more(), "the stream ended within the trailer"
                assert b"\r\n" in wire.buffer, "trailer"
            wire.buffer = wire.buffer[2:]
            return b"".join(parts)
        parts.append(wire.read(size))
        equal(wire.read(2), b"\r\n", "end of a chunk")


def ask(port, data, method="GET", step=None):
    wire = dial(port)
    if step:
        wire.send_bytewise(data, step)
    else:
        wire.send(data)
    answer = read_answer(wire, method)
    wire.close()
    assert answer is not None, "the connection ended without an answer"
    return answer


def post(body=b"", *fields, target="/echo", version="1.1", length=True):
    lines = [f"POST {target} HTTP/{version}", "Host: localhost", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(target="/", *fields, method="GET", version="1.1", host=True):
    lines = [f"{method} {target} HTTP/{version}"] + (["Host: localhost"] if host else []) + list(fields)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def chunked(*parts, fields=(), extension="", trailer=b"", end=True, target="/echo"):
    data = post(b"", "Transfer-Encoding: chunked", *fields, target=target, length=False)
    for part in parts:
        data += b"%x%s\r\n%s\r\n" % (len(part), extension.encode(), part)
    return data + (b"0\r\n" + trailer + b"\r\n" if end else b"")


def answered(cases, port):
    def wants(data, status, body=None, method="GET", step=None):
        answer = ask(port, data, method, step)
        equal(answer.status, status, "status")
        if body is not None:
            equal(answer.body, body, "body")
        assert "date" in answer.fields, "no Date"

    cases.add("1.1", "GET /", wants, get(), 200)
    cases.add("1.2", "GET / byte by byte", wants, get(), 200, None, "GET", 1)
    for index, size in enumerate([0, 1, 125, 4096, 65_536, 1 << 20], 3):
        body = random.Random(size).randbytes(size)
        cases.add(f"1.{index}", f"echo of {size} bytes", wants, post(body), 200, body)
    cases.add("1.9", "echo byte by byte", wants, post(b"Hello"), 200, b"Hello", "GET", 1)
    cases.add(
        "1.10", "chunked request", wants, chunked(b"Hello", b" ", b"x" * 5000), 200, b"Hello " + b"x" * 5000
    )
    cases.add(
        "1.11", "chunked byte by byte", wants, chunked(b"Hello", b"World"), 200, b"HelloWorld", "GET", 1
    )
    cases.add("1.12", "chunk extension", wants, chunked(b"Hello", extension=";a=b"), 200, b"Hello")
    cases.add("1.13", "trailer", wants, chunked(b"Hello", trailer=b"X-End: yes\r\n"), 200, b"Hello")
    cases.add(
        "1.14",
        "upper-case chunk size",
        wants,
        post(b"", "Transfer-Encoding: chunked", length=False) + b"0A\r\n0123456789\r\n0\r\n\r\n",
        200,
        b"0123456789",
    )
    cases.add("1.15", "empty chunked body", wants, chunked(), 200, b"")
    cases.add("1.16", "unknown path", wants, get("/nothing/here"), 404)
    cases.add("1.17", "wrong method", wants, get("/echo", method="DELETE"), 405)
    cases.add("1.18", "absolute target", wants, get("http://localhost/"), 200)
    cases.add("1.19", "percent-encoded path", wants, get("/%65cho", method="POST"), 200)
    cases.add("1.20", "query", wants, get("/slow?ms=1&x=%20y"), 200)
    cases.add("1.21", "HTTP/1.0", wants, get(version="1.0"), 200)
    cases.add("1.22", "HTTP/1.0 without Host", wants, get(version="1.0", host=False), 200)
    cases.add("1.23", "empty line before the request", wants, b"\r\n" + get(), 200)
    cases.add("1.24", "blanks around a value", wants, get("/", "X-A:  \t b \t "), 200)
    cases.add("1.25", "empty value", wants, get("/", "X-A:"), 200)
    cases.add("1.26", "a hundred fields", wants, get("/", *[f"X-{n}: {n}" for n in range(60)]), 200)
    cases.add("1.27", "bytes above ASCII in a value", wants, get("/", "X-A: caf\xe9"), 200)

    def head():
        wire = dial(port)
        wire.send(get(method="HEAD") + get())
        first = read_answer(wire, "HEAD")
        second = read_answer(wire)
        equal((first.status, second.status), (200, 200), "statuses")
        equal(first.fields.get("content-length"), second.fields.get("content-length"), "Content-Length")

    cases.add("1.28", "HEAD has the head of GET and no body", head)

    def expects():
        wire = dial(port)
        wire.send(post(b"", "Expect: 100-continue", "Content-Length: 5", length=False))
        head = wire.read_head()
        equal(status_of(head), 100, "interim status")
        wire.send(b"Hello")
        equal(read_answer(wire).body, b"Hello", "body")

    cases.add("1.29", "100-continue", expects)

    def expects_at_once():
        wire = dial(port)
        wire.send(post(b"Hello", "Expect: 100-continue") + get())
        equal(read_answer(wire).body, b"Hello", "body")
        equal(read_answer(wire).status, 200, "status of the next")

    cases.add("1.30", "100-continue with the body right behind", expects_at_once)
    cases.add(
        "1.31",
        "unknown expectation",
        lambda: equal(ask(port, post(b"x", "Expect: tea")).status, 417, "status"),
    )
    cases.add(
        "1.32",
        "OPTIONS *",
        lambda: assert_in(ask(port, get("*", method="OPTIONS")).status, (200, 204, 404, 405)),
    )

    def streamed():
        wire = dial(port)
        wire.send(get("/stream?chunks=50&bytes=1000") + get())
        answer = read_answer(wire)
        equal(answer.fields.get("transfer-encoding"), "chunked", "Transfer-Encoding")
        equal(len(answer.body), 50_000, "bytes")
        equal(read_answer(wire).status, 200, "status of the next")

    cases.add("1.33", "streamed answer, connection kept", streamed)

    def streamed_old():
        answer = ask(port, get("/stream?chunks=3&bytes=10", version="1.0"))
        assert "transfer-encoding" not in answer.fields, "chunks for a client that does not know them"
        equal(len(answer.body), 30, "bytes")

    cases.add("1.34", "streamed answer to HTTP/1.0", streamed_old)


def assert_in(found, wanted):
    assert found in wanted, f"value is {found!r}, wanted one of {wanted}"


BAD = [
    ("bare LF ends lines", b"GET / HTTP/1.1\nHost: localhost\n\n", (400,)),
    ("bare LF in the head", b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", (400,)),
    ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", (400,)),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", (400,)),
    ("NUL in a name", b"GET / HTTP/1.1\r\nHost: localhost\r\nX\0: b\r\n\r\n", (400,)),
    ("control byte in a value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x01b\r\n\r\n", (400,)),
    ("blank before the colon", b"GET / HTTP/1.1\r\nHost: localhost\r\nX : b\r\n\r\n", (400,)),
    ("blank before the first field", b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", (400,)),
    ("folded value", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", (400,)),
    ("line without colon", b"GET / HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n", (400,)),
    ("empty name", b"GET / HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n", (400,)),
    ("name with a blank", b"GET / HTTP/1.1\r\nHost: localhost\r\nX Y: b\r\n\r\n", (400,)),
    ("name with parentheses", b"GET / HTTP/1.1\r\nHost: localhost\r\nX(Y): b\r\n\r\n", (400,)),
    ("name above ASCII", b"GET / HTTP/1.1\r\nHost: localhost\r\nX\xe9: b\r\n\r\n", (400,)),
    ("missing Host", b"GET / HTTP/1.1\r\n\r\n", (400,)),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
    ("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", (400,)),
    ("two blanks in the request line", b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
    ("tab in the request line", b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
    ("blank in the target", b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
    ("control byte in the target", b"GET /a\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
    ("no target", b"GET HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
    ("relative target", b"GET index.html HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
    ("bad percent-encoding", b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
    ("NUL by percent-encoding", b"GET /static/a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
    ("method in lower case", b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 405, 501)),
    ("unknown method", b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 405, 501)),
    ("method with odd bytes", b"G\xe9T / HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 405, 501)),
    ("CONNECT", b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404, 405, 501)),
    ("HTTP/0.9", b"GET /\r\n\r\n", (400, 505)),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 405, 501, 505)),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: localhost\r\n\r\n", (400, 505)),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", (400, 505)),
    ("HTTP/11.1", b"GET / HTTP/11.1\r\nHost: localhost\r\n\r\n", (400, 505)),
    ("http/1.1", b"GET / http/1.1\r\nHost: localhost\r\n\r\n", (400, 505)),
    ("TLS to a plain port", bytes.fromhex("160301020001") + b"\0" * 200, (400,)),
    ("target of 20 KiB", b"GET /" + b"a" * 20_480 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (414, 431)),
    ("head of 64 KiB", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 65_536 + b"\r\n\r\n", (431,)),
    ("many small fields", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 20_000 + b"\r\n", (431,)),
    ("body over the limit", post(b"", "Content-Length: 2000000", length=False), (413,)),
    ("body of 2^63", post(b"", "Content-Length: 9223372036854775808", length=False), (400, 413)),
    ("body of 2^64 + 5", post(b"", "Content-Length: 18446744073709551621", length=False), (400, 413)),
    ("chunks over the limit", chunked(*[b"x" * 65_536] * 20), (413,)),
    ("first chunk over the limit", chunked(b"x" * 2_000_000), (413,)),
]

# Each of these has been read in two ways by some pair of a proxy and a server. Refusing is the only safe
# answer; after it the connection ends, so that what follows is never taken for a request.
SMUGGLING = [
    (
        "Content-Length and chunked",
        post(b"", "Content-Length: 6", "Transfer-Encoding: chunked", length=False) + b"0\r\n\r\nG",
    ),
    (
        "chunked and Content-Length",
        post(b"", "Transfer-Encoding: chunked", "Content-Length: 6", length=False) + b"0\r\n\r\nG",
    ),
    ("two Content-Lengths", post(b"", "Content-Length: 0", "Content-Length: 5", length=False) + b"GET /"),
    ("list of Content-Lengths", post(b"", "Content-Length: 5, 6", length=False) + b"Hello!"),
    ("Content-Length with a sign", post(b"", "Content-Length: +5", length=False) + b"Hello"),
    ("negative Content-Length", post(b"", "Content-Length: -1", length=False)),
    ("hexadecimal Content-Length", post(b"", "Content-Length: 0x5", length=False) + b"Hello"),
    ("Content-Length with a blank inside", post(b"", "Content-Length: 1 0", length=False) + b"0123456789"),
    ("empty Content-Length", post(b"", "Content-Length:", length=False)),
    ("Content-Length with letters", post(b"", "Content-Length: 5a", length=False) + b"Hello"),
    ("Content-Length with an underscore", post(b"", "Content-Length: 1_0", length=False) + b"0123456789"),
    (
        "Content-Length in other digits",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\nHello",
    ),
    ("blank before the colon of Content-Length", post(b"", "Content-Length : 5", length=False) + b"Hello"),
    ("folded Content-Length", post(b"", "Content-Length:\r\n 5", length=False) + b"Hello"),
    (
        "blank before the colon of Transfer-Encoding",
        post(b"", "Transfer-Encoding : chunked", length=False) + b"0\r\n\r\n",
    ),
    ("folded Transfer-Encoding", post(b"", "Transfer-Encoding:\r\n chunked", length=False) + b"0\r\n\r\n"),
    ("unknown coding", post(b"", "Transfer-Encoding: xchunked", length=False) + b"0\r\n\r\n"),
    ("chunked with a tail", post(b"", "Transfer-Encoding: chunkedx", length=False) + b"0\r\n\r\n"),
    ("identity", post(b"", "Transfer-Encoding: identity", "Content-Length: 5", length=False) + b"Hello"),
    ("chunked, identity", post(b"", "Transfer-Encoding: chunked, identity", length=False) + b"0\r\n\r\n"),
    ("gzip, chunked", post(b"", "Transfer-Encoding: gzip, chunked", length=False) + b"0\r\n\r\n"),
    ("chunked twice", post(b"", "Transfer-Encoding: chunked, chunked", length=False) + b"0\r\n\r\n"),
    (
        "two Transfer-Encodings",
        post(b"", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", length=False) + b"0\r\n\r\n",
    ),
    ("chunked in quotes", post(b"", 'Transfer-Encoding: "chunked"', length=False) + b"0\r\n\r\n"),
    ("vertical tab before chunked", post(b"", "Transfer-Encoding: \x0bchunked", length=False) + b"0\r\n\r\n"),
    (
        "chunked in HTTP/1.0",
        post(b"", "Transfer-Encoding: chunked", version="1.0", length=False) + b"0\r\n\r\n",
    ),
    (
        "chunk size with a sign",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"+5\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "chunk size with 0x",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"0x5\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "negative chunk size",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"-5\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "blank before a chunk size",
        post(b"", "Transfer-Encoding: chunked", length=False) + b" 5\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "blank behind a chunk size",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"5 \r\nHello\r\n0\r\n\r\n",
    ),
    ("empty chunk size", post(b"", "Transfer-Encoding: chunked", length=False) + b"\r\nHello\r\n0\r\n\r\n"),
    (
        "chunk size over 64 bits",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"10000000000000005\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "chunk size ended by LF",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"5\nHello\r\n0\r\n\r\n",
    ),
    ("chunk ended by LF", post(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\nHello\n0\r\n\r\n"),
    (
        "chunk longer than its size",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"3\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "chunk shorter than its size",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"6\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "LF in a chunk extension",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"5;a\nb\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "CR in a chunk extension",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"5;a\rb\r\nHello\r\n0\r\n\r\n",
    ),
    (
        "trailer ended by LF",
        post(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\nHello\r\n0\r\nX: y\n\r\n",
    ),
    (
        "chunk extension of 64 KiB",
        post(b"", "Transfer-Encoding: chunked", length=False)
        + b"5;"
        + b"a" * 65_536
        + b"\r\nHello\r\n0\r\n\r\n",
    ),
    ("trailer of 64 KiB", chunked(b"Hello", trailer=b"X: " + b"a" * 65_536 + b"\r\n")),
]


def refused(cases, port):
    marker = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def wants(data, statuses):
        """One refusal, then the end: nothing behind it is answered."""
        wire = dial(port)
        wire.send(data + marker)
        answer = read_answer(wire)
        assert answer is not None, "the connection ended without an answer"
        assert (
            answer.status in statuses
        ), f"status is {answer.status}, wanted {statuses}; body {answer.body[:80]!r}"
        if "application/json" in answer.fields.get("content-type", ""):
            assert "error" in json.loads(answer.body), f"the body is {answer.body[:80]!r}"
        return wire

    def ends(data, statuses):
        wire = wants(data, statuses)
        rest = wire.read_all()
        equal(rest, b"", "what follows the refusal")

    for index, (title, data, statuses) in enumerate(BAD, 1):
        # These are whole messages: they may be refused and the connection kept. What else is refused ends it.
        keeps = title in (
            "bad percent-encoding",
            "NUL by percent-encoding",
            "CONNECT",
            "method in lower case",
            "unknown method",
        )
        cases.add(f"2.{index}", title, wants if keeps else ends, data, statuses)
    for index, (title, data) in enumerate(SMUGGLING, 1):
        cases.add(f"3.{index}", title, ends, data, (400, 411, 413, 431, 501))

    def equal_lengths():
        """RFC 9110, 8.6: a list of equal values may be taken for one value, or refused."""
        wire = dial(port)
        wire.send(post(b"", "Content-Length: 5", "Content-Length: 5", length=False) + b"Hello" + get())
        answer = read_answer(wire)
        if answer.status == 200:
            equal(answer.body, b"Hello", "body")
            equal(read_answer(wire).status, 200, "status of the next")
        else:
            equal(answer.status, 400, "status")
            equal(wire.read_all(), b"", "what follows the refusal")

    cases.add(f"3.{len(SMUGGLING) + 1}", "two equal Content-Lengths", equal_lengths)

    def body_of_get():
        """A body belongs to the request whatever the method: it is never read as the next request."""
        wire = dial(port)
        wire.send(get("/", f"Content-Length: {len(marker)}") + marker + get())
        statuses = []
        while (answer := read_answer(wire)) is not None and len(statuses) < 3:
            statuses.append(answer.status)
            if answer.status >= 400 or len(statuses) == 2:
                break
        assert statuses in ([200, 200], [400], [413]), f"statuses are {statuses}"

    cases.add(f"3.{len(SMUGGLING) + 2}", "GET with a body", body_of_get)

    def body_left_unread():
        """The refusal of a method or path does not leave the body behind as a next request."""
        wire = dial(port)
        wire.send(post(marker, target="/nothing") + get())
        first = read_answer(wire)
        equal(first.status, 404, "status")
        second = read_answer(wire)
        assert second is None or second.status == 200, f"the body was answered with {second.status}"

    cases.add(f"3.{len(SMUGGLING) + 3}", "body of a request to nowhere", body_left_unread)


def connections(cases, port):
    def pipeline(count, step=None):
        wire = dial(port)
        data = b"".join(post(b"%d" % index) for index in range(count))
        writer = threading.Thread(target=lambda: wire.send_bytewise(data, step or len(data)))
        writer.start()
        for index in range(count):
            equal(read_answer(wire).body, b"%d" % index, "body")
        writer.join()

    for index, (count, step) in enumerate([(2, None), (64, None), (500, None), (5000, None), (30, 7)], 1):
        cases.add(f"4.{index}", f"{count} pipelined requests", pipeline, count, step)

    def order():
        wire = dial(port)
        wire.send(get("/slow?ms=150") + get("/") + get("/slow?ms=50") + post(b"last"))
        slow, fast, less, last = [read_answer(wire) for _ in range(4)]
        equal((slow.body, less.body, last.body), (b"150", b"50", b"last"), "bodies in order")

    cases.add("4.6", "late answers keep their order", order)

    def closing(fields, version, wanted):
        wire = dial(port)
        wire.send(get("/", *fields, version=version) + get())
        first = read_answer(wire)
        equal(first.status, 200, "status")
        second = read_answer(wire)
        equal(second is not None, wanted, "whether the connection is kept")
        if not wanted:
            equal(first.fields.get("connection", "").lower(), "close", "Connection")

    for index, (fields, version, wanted) in enumerate(
        [
            ([], "1.1", True),
            (["Connection: close"], "1.1", False),
            (["Connection: Close"], "1.1", False),
            (["Connection: x, close"], "1.1", False),
            (["Connection: keep-alive"], "1.1", True),
        ],
        7,
    ):
        cases.add(f"4.{index}", f"HTTP/{version} {fields}", closing, fields, version, wanted)

    def old():
        wire = dial(port)
        wire.send(get(version="1.0"))
        equal(read_answer(wire).status, 200, "status")
        equal(wire.read_all(), b"", "rest")

    cases.add("4.12", "HTTP/1.0 closes", old)

    def many():
        wires = [dial(port) for _ in range(300)]
        for index, wire in enumerate(wires):
            wire.send(post(b"%d" % index))
        for index, wire in enumerate(wires):
            equal(read_answer(wire).body, b"%d" % index, "body")
            wire.close()

    cases.add("4.13", "300 connections", many)

    def half_closed():
        wire = dial(port)
        wire.send(post(b"Hello"))
        wire.socket.shutdown(1)
        answer = read_answer(wire)
        assert answer is not None and answer.body == b"Hello", "a client that ends its side gets no answer"

    cases.add("4.14", "client ends its side after the request", half_closed)

    def resets():
        for target in ("/stream?chunks=200&bytes=60000", "/events?count=1000&interval_ms=1", "/slow?ms=100"):
            wire = dial(port)
            wire.send(get(target))
            wire.socket.recv(10) if "slow" not in target else None
            wire.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
            wire.close()
        time.sleep(0.2)
        equal(ask(port, get()).status, 200, "status of the next")

    cases.add("4.15", "resets within answers", resets)

    def slow_reader():
        wire = dial(port, seconds=20)
        wire.send(get("/stream?chunks=400&bytes=65536"))
        time.sleep(0.5)
        equal(len(read_answer(wire).body), 400 * 65_536, "bytes")

    cases.add("4.16", "25 MiB for a reader that waits", slow_reader)


def slow(cases, port, small_port):
    """Against a server with 0.5 s for a head, 0.7 s for a body, 1 s of idleness; and one of 8 connections."""

    def ended(data, statuses, seconds, pause=0):
        wire = dial(port)
        start = time.monotonic()
        if pause:
            wire.socket.settimeout(pause)
            for byte in data:
                wire.send(bytes([byte]))
                try:
                    if not wire.more():
                        break
                except TimeoutError:
                    pass
                if time.monotonic() - start > seconds:
                    break
            wire.socket.settimeout(5)
        else:
            wire.send(data)
        answer = wire.read_all()
        took = time.monotonic() - start
        assert took < seconds, f"the connection stood for {took:.1f} s"
        found = status_of(answer)
        assert found in statuses, f"status is {found}, wanted {statuses}"

    cases.add("5.1", "no byte", ended, b"", (None, 408), 3)
    cases.add("5.2", "half a head", ended, get()[:10], (408,), 3)
    cases.add("5.3", "head that drips", ended, get("/", "X: " + "a" * 100), (408, None), 3, 0.05)
    cases.add(
        "5.4", "half a body", ended, post(b"", "Content-Length: 10", length=False) + b"Hello", (408,), 3
    )
    cases.add("5.5", "chunk that never comes", ended, chunked(b"Hello", end=False), (408,), 3)
    cases.add("5.6", "body that drips", ended, post(b"x" * 200), (408, None), 4, 0.05)

    def idle():
        wire = dial(port)
        wire.send(get())
        equal(read_answer(wire).status, 200, "status")
        start = time.monotonic()
        rest = wire.read_all()
        took = time.monotonic() - start
        assert took < 3, f"an idle connection stood for {took:.1f} s"
        assert rest == b"" or status_of(rest) == 408, f"it ended with {rest[:60]!r}"

    cases.add("5.7", "idle connection", idle)

    def full():
        wires = [dial(small_port) for _ in range(8)]
        time.sleep(0.1)
        extra = dial(small_port)
        extra.send(get())
        head = extra.read_head()
        found = status_of(head)
        for wire in wires:
            wire.close()
        equal(found, 503, "status of the ninth connection")
        time.sleep(0.2)
        equal(ask(small_port, get()).status, 200, "status afterwards")

    cases.add("5.8", "more connections than allowed", full)


def by_h11(cases, port):
    """h11 is strict about what a server may send."""

    def judged(*requests):
        wire = dial(port)
        client = h11.Connection(h11.CLIENT)
        for method, target, fields, body, wanted in requests:
            wire.send(
                client.send(
                    h11.Request(method=method, target=target, headers=[("Host", "localhost"), *fields])
                )
            )
            if body:
                wire.send(client.send(h11.Data(body)))
            wire.send(client.send(h11.EndOfMessage()))
            parts, status = [], None
            while True:
                event = client.next_event()
                if event is h11.NEED_DATA:
                    wire.more()
                    data, wire.buffer = wire.buffer, b""
                    client.receive_data(data)
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                    break
            if isinstance(wanted, int):
                equal(status, wanted, "status")
            else:
                equal(b"".join(parts), wanted, "body")
            client.start_next_cycle()

    echo = ("POST", "/echo", [("Content-Length", "5")], b"Hello", b"Hello")
    cases.add("6.1", "echo", judged, echo)
    cases.add(
        "6.2",
        "chunked echo",
        judged,
        ("POST", "/echo", [("Transfer-Encoding", "chunked")], b"Hello", b"Hello"),
    )
    cases.add(
        "6.3",
        "several on a connection",
        judged,
        echo,
        ("GET", "/", [], b"", 200),
        ("HEAD", "/", [], b"", 200),
        ("GET", "/nothing", [], b"", 404),
        ("GET", "/stream?chunks=5&bytes=9", [], b"", 200),
        echo,
    )
    cases.add("6.4", "head of a stream", judged, ("HEAD", "/stream?chunks=5&bytes=9", [], b"", 200), echo)
    cases.add("6.5", "wrong method", judged, ("DELETE", "/echo", [], b"", 405), echo)
    cases.add("6.6", "missing token", judged, ("GET", "/token", [], b"", 401), echo)


def by_aiohttp(cases, port, tls_port, authority):
    import aiohttp

    context = ssl.create_default_context(cafile=authority)

    async def talk(base, **options):
        async with aiohttp.ClientSession() as session:
            async with session.get(base + "/", **options) as answer:
                equal(answer.status, 200, "status")
            for size in (0, 1, 1000, 1 << 20):
                body = os.urandom(size)
                async with session.post(base + "/echo", data=body, **options) as answer:
                    equal(await answer.read(), body, "echo")

            async def parts():
                for index in range(100):
                    yield b"part %d;" % index

            async with session.post(base + "/echo", data=parts(), **options) as answer:
                equal(
                    await answer.read(),
                    b"".join([b"part %d;" % index for index in range(100)]),
                    "chunked echo",
                )
            async with session.get(base + "/stream?chunks=100&bytes=5000", **options) as answer:
                equal(len(await answer.read()), 500_000, "streamed bytes")

            async def one(index):
                async with session.post(base + "/echo", data=str(index), **options) as answer:
                    equal(await answer.text(), str(index), "echo")

            await asyncio.gather(*(one(index) for index in range(500)))

    run = lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 30))
    cases.add("7.1", "plain", lambda: run(talk(f"http://127.0.0.1:{port}")))
    cases.add("7.2", "TLS", lambda: run(talk(f"https://localhost:{tls_port}", ssl=context)))

    async def cancelled():
        async with aiohttp.ClientSession() as session:
            for _ in range(20):
                try:
                    async with session.get(
                        f"http://127.0.0.1:{port}/slow?ms=2000", timeout=aiohttp.ClientTimeout(total=0.02)
                    ) as answer:
                        await answer.read()
                except asyncio.TimeoutError:
                    pass
            async with session.get(f"http://127.0.0.1:{port}/") as answer:
                equal(answer.status, 200, "status")

    cases.add("7.3", "requests given up by the client", lambda: run(cancelled()))


def by_curl(cases, port, tls_port, authority, folder):
    def curl(*words, wanted=None, code=0):
        if not shutil.which("curl"):
            raise Skipped("curl is not installed")
        result = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", "10", *words], capture_output=True
        )
        equal(result.returncode, code, f"curl's exit code ({result.stderr.decode()[:100]})")
        if wanted is not None:
            equal(result.stdout, wanted, "output")
        return result.stdout

    base = f"http://127.0.0.1:{port}"
    cases.add("8.1", "GET", curl, base + "/")
    cases.add("8.2", "POST", lambda: curl("--data-binary", "Hello", base + "/echo", wanted=b"Hello"))
    large = os.path.join(folder, "large")
    with open(large, "wb") as file:
        file.write(os.urandom(1_000_000))
    data = open(large, "rb").read()
    cases.add(
        "8.3",
        "POST of 1 MB, which curl announces by Expect",
        lambda: curl(
            "--data-binary", f"@{large}", "--header", "Expect: 100-continue", base + "/echo", wanted=data
        ),
    )
    cases.add(
        "8.4",
        "chunked POST",
        lambda: curl(
            "--data-binary",
            f"@{large}",
            "--header",
            "Transfer-Encoding: chunked",
            base + "/echo",
            wanted=data,
        ),
    )
    cases.add("8.5", "HEAD", lambda: assert_in(b"200 OK", curl("--head", base + "/")))
    cases.add("8.6", "HTTP/1.0", lambda: curl("--http1.0", "--data", "x", base + "/echo", wanted=b"x"))
    cases.add(
        "8.7",
        "two on one connection",
        lambda: equal(
            curl("--write-out", "%{num_connects}", base + "/slow?ms=1", base + "/slow?ms=2"),
            b"1120",
            "output",
        ),
    )
    cases.add(
        "8.8", "chunked answer", lambda: equal(len(curl(base + "/stream?chunks=10&bytes=7")), 70, "bytes")
    )
    cases.add(
        "8.9",
        "TLS",
        lambda: curl("--cacert", authority, "--data", "x", f"https://localhost:{tls_port}/echo", wanted=b"x"),
    )
    cases.add(
        "8.10", "TLS with an unknown authority", lambda: curl(f"https://localhost:{tls_port}/", code=60)
    )
    cases.add(
        "8.11",
        "plain HTTP to the TLS port",
        lambda: assert_in(
            subprocess.run(
                ["curl", "--silent", "--max-time", "5", f"http://127.0.0.1:{tls_port}/"], capture_output=True
            ).returncode,
            (52, 56, 1, 0),
        ),
    )
    cases.add(
        "8.12",
        "events",
        lambda: equal(curl(base + "/events?count=3&interval_ms=5").count(b"id:"), 3, "events"),
    )
    cases.add(
        "8.13",
        "resumed download",
        lambda: assert_in(
            curl("--range", "0-3", "--write-out", "%{http_code}", "--output", os.devnull, base + "/"),
            (b"200", b"206"),
        ),
    )


def by_wrk(cases, port, tls_port):
    def wrk(*words):
        if not shutil.which("wrk"):
            raise Skipped("wrk is not installed")
        result = subprocess.run(
            ["wrk", "--threads", "1", "--duration", "1s", *words], capture_output=True, text=True
        )
        equal(result.returncode, 0, "wrk's exit code")
        assert "Socket errors" not in result.stdout, result.stdout
        assert "Non-2xx" not in result.stdout, result.stdout
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", result.stdout).group(1))
        assert rate > 100, f"{rate} requests a second"

    cases.add("9.1", "64 connections", wrk, "--connections", "64", f"http://127.0.0.1:{port}/")
    cases.add("9.2", "256 connections", wrk, "--connections", "256", f"http://127.0.0.1:{port}/")
    cases.add("9.3", "64 connections over TLS", wrk, "--connections", "64", f"https://127.0.0.1:{tls_port}/")


PAGE = b"<!doctype html><title>static</title>"
SCRIPT = b"console.log(1)\n" * 10_000


def write_site(folder):
    path = lambda name: os.path.join(folder, name)
    os.makedirs(path("site/sub"))
    for name, data in (
        ("site/index.html", PAGE),
        ("site/a.js", SCRIPT),
        ("site/sub/b.css", b"b{}"),
        ("secret", b"no"),
        ("site/empty.txt", b""),
        ("site/sp ace.txt", b"space"),
        ("site/.hidden", b"hidden"),
    ):
        with open(path(name), "wb") as file:
            file.write(data)
    os.symlink(path("secret"), path("site/link.txt"))


def files(cases, port):
    def fetch(target, status, body=None, kind=None, fields=(), method="GET"):
        answer = ask(port, get(target, *fields, method=method), method)
        assert_in(answer.status, status if isinstance(status, tuple) else (status,))
        if body is not None:
            equal(answer.body, body, "body")
        if kind:
            assert answer.fields.get("content-type", "").startswith(
                kind
            ), f"type is {answer.fields.get('content-type')}"
        return answer

    cases.add("10.1", "page of a folder", fetch, "/static/", 200, PAGE, "text/html")
    cases.add("10.2", "script", fetch, "/static/a.js", 200, SCRIPT, "text/javascript")
    cases.add("10.3", "style", fetch, "/static/sub/b.css", 200, b"b{}", "text/css")
    cases.add("10.4", "empty file", fetch, "/static/empty.txt", 200, b"", "text/plain")
    cases.add("10.5", "encoded name", fetch, "/static/sp%20ace.txt", 200, b"space")
    cases.add("10.6", "missing file", fetch, "/static/none.js", 404)
    for index, target in enumerate(
        [
            "/static/../secret",
            "/static/%2e%2e/secret",
            "/static/..%2fsecret",
            "/static/sub/../../secret",
            "/static//etc/passwd",
            "/static/%2fetc/passwd",
            "/static/..\\secret",
            "/static/sub/%2e%2e%2f%2e%2e/secret",
            "/static/....//secret",
            "/static/%252e%252e/secret",
            "/static/a.js/../../secret",
            "/static/./../secret",
            "/../secret",
            "/static/a.js%00.html",
        ],
        1,
    ):
        cases.add(f"10.7.{index}", f"{target} leads nowhere", fetch, target, (400, 403, 404))
    cases.add("10.8", "link that leads out of the folder", fetch, "/static/link.txt", (403, 404))

    def cached():
        first = fetch("/static/a.js", 200)
        tag = first.fields["etag"]
        fetch("/static/a.js", 304, b"", fields=[f"If-None-Match: {tag}"])
        fetch("/static/a.js", 304, b"", fields=[f'If-None-Match: "x", {tag}'])
        fetch("/static/a.js", 304, b"", fields=[f"If-None-Match: W/{tag.removeprefix('W/')}"])
        fetch("/static/a.js", 304, b"", fields=["If-None-Match: *"])
        fetch("/static/a.js", 200, SCRIPT, fields=['If-None-Match: "other"'])
        head = fetch("/static/a.js", 200, b"", method="HEAD")
        equal(head.fields.get("content-length"), str(len(SCRIPT)), "Content-Length of HEAD")
        equal(head.fields.get("etag"), tag, "ETag of HEAD")

    cases.add("10.9", "tags", cached)

    def token(status, *fields):
        fetch("/token", status, fields=fields)

    cases.add("10.10", "right token", token, 200, f"Authorization: Bearer {TOKEN}")
    cases.add("10.11", "scheme in lower case", token, 200, f"Authorization: bearer {TOKEN}")
    for index, fields in enumerate(
        [
            [],
            ["Authorization: Bearer"],
            ["Authorization: Bearer x"],
            [f"Authorization: Bearer {TOKEN}x"],
            [f"Authorization: Bearer {TOKEN[:-1]}"],
            [f"Authorization: {TOKEN}"],
            ["Authorization: Basic eDp5"],
            [f"Authorization: Bearer x", f"Authorization: Bearer {TOKEN}"],
        ],
        12,
    ):
        cases.add(f"10.{index}", f"wrong token: {fields}", token, (401, 400), *fields)

    def events():
        wire = dial(port)
        wire.send(get("/events?count=5&interval_ms=10"))
        answer = read_answer(wire)
        assert answer.fields["content-type"].startswith("text/event-stream"), answer.fields["content-type"]
        assert "no-" in answer.fields.get("cache-control", ""), "events may be cached"
        blocks = [block for block in answer.body.decode().split("\n\n") if "data:" in block]
        equal(len(blocks), 5, "events")
        for index, block in enumerate(blocks):
            fields = dict(
                line.split(": ", 1) for line in block.strip().split("\n") if ": " in line and line[0] != ":"
            )
            equal(fields.get("id"), str(index), "id")

    cases.add("10.20", "events", events)

    def resumed():
        wire = dial(port)
        wire.send(get("/events?count=2&interval_ms=1", "Last-Event-ID: 41"))
        body = read_answer(wire).body
        assert b"id: 42" in body and b"id: 43" in body, f"events are {body!r}"

    cases.add("10.21", "events go on behind the last id", resumed)


def main():
    arguments = kit.arguments(__doc__)
    cases = kit.Cases("http_server_cases", arguments)
    with tempfile.TemporaryDirectory(prefix="weir-conformance-") as folder:
        authority, leaf, key = kit.certificate(folder)
        write_site(folder)
        serve = lambda *words: kit.start(arguments.peer, "http", *words)[1]["port"]
        plain = serve("--static", os.path.join(folder, "site"), "--token", TOKEN)
        tls = serve("--tls", leaf, "--key", key)
        hurried = serve("--head-ms", "500", "--body-ms", "700", "--idle-ms", "1000")
        small = serve("--connections-max", "8")
        answered(cases, plain)
        refused(cases, plain)
        connections(cases, plain)
        by_h11(cases, plain)
        files(cases, plain)
        cases.run(workers=6)
        slow(cases, hurried, small)
        cases.run(workers=3)
        by_aiohttp(cases, plain, tls, authority)
        by_curl(cases, plain, tls, authority, folder)
        by_wrk(cases, plain, tls)
        cases.run()
        cases.finish()


main()
