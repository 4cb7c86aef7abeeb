"""Weir's websocket server against raw sockets, Python websockets and aiohttp.

Sections in the manner of the Autobahn suite: 1 framing, 2 pings and pongs, 3 reserved bits, 4 opcodes,
5 fragmentation, 6 UTF-8, 7 closing, 8 masks and lengths, 9 limits and volume, 10 opening handshake,
11 slow peers, 12 deflate negotiation, 13 deflated messages, 14 Python websockets, 15 aiohttp.
"""

import asyncio
import json
import os
import random
import socket
import ssl
import struct
import sys
import tempfile
import time
import zlib

import kit
from kit import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    close_payload,
    dial,
    equal,
    frame,
    parse_head,
    status_of,
)

MIB = 1 << 20


def request(port, extensions=None, drop=(), replace=None, extra=(), line="GET /websocket HTTP/1.1"):
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    if extensions is not None:
        fields["Sec-WebSocket-Extensions"] = extensions
    fields.update(replace or {})
    lines = [line] + [f"{name}: {value}" for name, value in fields.items() if name not in drop] + list(extra)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Session:
    """An open websocket on a raw socket."""

    def __init__(self, port, extensions=None, behind=b"", seconds=5):
        self.wire = dial(port, seconds=seconds)
        self.wire.send(request(port, extensions) + behind)
        line, self.fields = parse_head(self.wire.read_head())
        equal(line.split(" ")[1:2], ["101"], "status of the upgrade")
        equal(self.fields.get("sec-websocket-accept"), ACCEPT, "Sec-WebSocket-Accept")

    def send(self, *frames):
        self.wire.send(b"".join(frames))

    def expect(self, *wanted):
        """Each is (opcode, payload); frames of a fragmented message are put together, controls kept apart."""
        for opcode, payload in wanted:
            found = self.next_message()
            assert found is not None, f"the connection ended; wanted opcode {opcode}, {kit.short(payload)}"
            equal(found, (opcode, payload), "message")

    def next_message(self):
        kind, parts = None, []
        while True:
            found = self.wire.read_frame()
            if found is None:
                return None
            fin, _, opcode, payload = found
            assert not self.wire.was_masked, "a server's frame is masked"
            if opcode >= 8:
                return opcode, payload
            if opcode != CONTINUATION:
                kind = opcode
            parts.append(payload)
            if fin:
                return kind, b"".join(parts)

    def finish(self, code=1000):
        """The closing handshake, begun by this side; then the server ends the stream."""
        self.send(frame(CLOSE, close_payload(code)))
        self.expect((CLOSE, close_payload(code)))
        self.ended()

    def ended(self):
        found = self.wire.read_frame()
        assert found is None, f"after the close came {kit.short(found)}"
        self.wire.close()

    def expect_failure(self, *codes):
        """A close frame with one of the codes, then the end of the stream."""
        found = self.next_message()
        assert found is not None, f"the connection ended without a close frame; wanted {codes}"
        equal(found[0], CLOSE, "opcode")
        code = struct.unpack("!H", found[1][:2])[0] if len(found[1]) >= 2 else None
        assert code in codes, f"close code is {code}, wanted {' or '.join(map(str, codes))}"
        self.ended()


def echoes(port, data, wanted, step=None):
    """Sends bytes, all at once or in pieces, expects messages, and closes."""
    session = Session(port)
    if step:
        session.wire.send_bytewise(data, step)
    else:
        session.send(data)
    session.expect(*wanted)
    session.finish()


def fails(port, data, code, before=(), step=None):
    """Sends bytes, expects some messages and then a close with the code."""
    session = Session(port)
    if step:
        session.wire.send_bytewise(data, step)
    else:
        session.send(data)
    session.expect(*before)
    session.expect_failure(*(code if isinstance(code, tuple) else (code,)))


def framing(cases, port):
    for kind, name, section in ((TEXT, "text", 1), (BINARY, "binary", 2)):
        for index, size in enumerate([0, 1, 125, 126, 127, 128, 65535, 65536, MIB], 1):
            payload = b"*" * size if kind == TEXT else random.Random(size).randbytes(size)
            cases.add(
                f"1.{section}.{index}",
                f"{name} of {size} bytes",
                echoes,
                port,
                frame(kind, payload),
                [(kind, payload)],
            )
        for index, (size, step) in enumerate([(125, 1), (300, 1), (65536, 997), (MIB, 4093)], 10):
            payload = b"*" * size
            cases.add(
                f"1.{section}.{index}",
                f"{name} of {size} bytes in pieces of {step}",
                echoes,
                port,
                frame(kind, payload),
                [(kind, payload)],
                step,
            )


def pings(cases, port):
    for index, payload in enumerate([b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\x00\xff", b"\xfe" * 125], 1):
        cases.add(
            f"2.{index}",
            f"ping of {len(payload)} bytes",
            echoes,
            port,
            frame(PING, payload),
            [(PONG, payload)],
        )
    cases.add("2.5", "ping of 126 bytes", fails, port, frame(PING, b"\xfe" * 126), 1002)
    cases.add(
        "2.6",
        "ping of 125 bytes, byte by byte",
        echoes,
        port,
        frame(PING, b"\xfe" * 125),
        [(PONG, b"\xfe" * 125)],
        1,
    )
    cases.add("2.7", "unsolicited pong", echoes, port, frame(PONG) + frame(TEXT, b"on"), [(TEXT, b"on")])
    cases.add(
        "2.8",
        "unsolicited pong with payload",
        echoes,
        port,
        frame(PONG, b"x") + frame(TEXT, b"on"),
        [(TEXT, b"on")],
    )
    cases.add(
        "2.9",
        "unsolicited pong, then ping",
        echoes,
        port,
        frame(PONG, b"x") + frame(PING, b"y"),
        [(PONG, b"y")],
    )
    many = b"".join(frame(PING, b"payload-%d" % index) for index in range(10))
    wanted = [(PONG, b"payload-%d" % index) for index in range(10)]
    cases.add("2.10", "ten pings", echoes, port, many, wanted)
    cases.add("2.11", "ten pings, byte by byte", echoes, port, many, wanted, 1)
    cases.add("2.12", "pong of 126 bytes", fails, port, frame(PONG, b"x" * 126), 1002)


def reserved(cases, port):
    for rsv in range(1, 8):
        cases.add(
            f"3.{rsv}", f"reserved bits {rsv:03b} on text", fails, port, frame(TEXT, b"*", rsv=rsv), 1002
        )
    hello = [(TEXT, b"Hello")]
    cases.add(
        "3.8",
        "text, then reserved bits, then ping",
        fails,
        port,
        frame(TEXT, b"Hello") + frame(TEXT, b"x", rsv=2) + frame(PING),
        1002,
        hello,
    )
    cases.add(
        "3.9",
        "the same byte by byte",
        fails,
        port,
        frame(TEXT, b"Hello") + frame(TEXT, b"x", rsv=3) + frame(PING),
        1002,
        hello,
        1,
    )
    for index, (opcode, name) in enumerate(
        [(BINARY, "binary"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")], 10
    ):
        cases.add(f"3.{index}", f"reserved bit on {name}", fails, port, frame(opcode, rsv=4), 1002)
    cases.add(
        "3.14",
        "reserved bit on a continuation",
        fails,
        port,
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=1),
        1002,
    )


def opcodes(cases, port):
    for section, first in ((1, 3), (2, 11)):
        for index, opcode in enumerate(range(first, first + 5), 1):
            cases.add(f"4.{section}.{index}", f"opcode {opcode}", fails, port, frame(opcode), 1002)
            cases.add(
                f"4.{section}.{index + 5}",
                f"text, then opcode {opcode} with payload",
                fails,
                port,
                frame(TEXT, b"Hello") + frame(opcode, b"x") + frame(PING),
                1002,
                [(TEXT, b"Hello")],
            )


def fragments(cases, port):
    c = CONTINUATION
    whole = [(TEXT, b"fragment1fragment2")]
    two = [frame(TEXT, b"fragment1", fin=False), frame(c, b"fragment2")]
    cases.add(
        "5.1", "ping in two fragments", fails, port, frame(PING, b"a", fin=False) + frame(c, b"b"), 1002
    )
    cases.add(
        "5.2", "pong in two fragments", fails, port, frame(PONG, b"a", fin=False) + frame(c, b"b"), 1002
    )
    cases.add("5.3", "text in two fragments", echoes, port, b"".join(two), whole)
    cases.add("5.4", "text in two fragments, in two writes", lambda: two_writes(port, two, whole))
    cases.add("5.5", "text in two fragments, byte by byte", echoes, port, b"".join(two), whole, 1)
    between = two[0] + frame(PING, b"p") + two[1]
    cases.add("5.6", "ping between two fragments", echoes, port, between, [(PONG, b"p")] + whole)
    cases.add(
        "5.7", "ping between two fragments, byte by byte", echoes, port, between, [(PONG, b"p")] + whole, 1
    )
    cases.add("5.8", "pong between two fragments", echoes, port, two[0] + frame(PONG, b"p") + two[1], whole)
    cases.add(
        "5.9", "continuation without a start, final", fails, port, frame(c, b"x") + frame(TEXT, b"y"), 1002
    )
    cases.add("5.10", "the same byte by byte", fails, port, frame(c, b"x") + frame(TEXT, b"y"), 1002, (), 1)
    cases.add(
        "5.11",
        "continuation after a whole message",
        fails,
        port,
        frame(TEXT, b"y") + frame(c, b"x"),
        1002,
        [(TEXT, b"y")],
    )
    cases.add(
        "5.12",
        "continuation without a start, not final",
        fails,
        port,
        frame(c, b"x", fin=False) + frame(TEXT, b"y"),
        1002,
    )
    cases.add(
        "5.13",
        "two fragments, then a continuation",
        fails,
        port,
        b"".join(two) + frame(c, b"x", fin=False) + frame(TEXT, b"y"),
        1002,
        whole,
    )
    cases.add("5.14", "text within a fragmented text", fails, port, two[0] + frame(TEXT, b"x"), 1002)
    cases.add(
        "5.15", "binary within a fragmented text", fails, port, two[0] + frame(BINARY, b"x", fin=False), 1002
    )
    five = [
        frame(TEXT, b"f1", fin=False),
        frame(c, b"f2", fin=False),
        frame(PING, b"p1"),
        frame(c, b"f3", fin=False),
        frame(c, b"f4", fin=False),
        frame(PING, b"p2"),
        frame(c, b"f5"),
    ]
    wanted = [(PONG, b"p1"), (PONG, b"p2"), (TEXT, b"f1f2f3f4f5")]
    cases.add("5.16", "five fragments with pings in between", echoes, port, b"".join(five), wanted)
    cases.add("5.17", "the same byte by byte", echoes, port, b"".join(five), wanted, 1)
    cases.add(
        "5.18",
        "empty fragments around a text",
        echoes,
        port,
        frame(TEXT, fin=False) + frame(c, b"x", fin=False) + frame(c),
        [(TEXT, b"x")],
    )
    cases.add(
        "5.19",
        "only empty fragments",
        echoes,
        port,
        frame(BINARY, fin=False) + frame(c, fin=False) + frame(c),
        [(BINARY, b"")],
    )
    for index, size in enumerate([1, 64, 997, 65536], 20):
        payload = random.Random(index).randbytes(min(MIB, size * 1000))
        parts = [payload[start : start + size] for start in range(0, len(payload), size)]
        data = b"".join(
            frame(BINARY if number == 0 else c, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
        cases.add(
            f"5.{index}",
            f"{len(payload)} bytes in fragments of {size}",
            echoes,
            port,
            data,
            [(BINARY, payload)],
        )
    cases.add("5.24", "close within a fragmented text", close_within, port)


def two_writes(port, parts, wanted):
    session = Session(port)
    for part in parts:
        session.send(part)
        time.sleep(0.02)
    session.expect(*wanted)
    session.finish()


def close_within(port):
    session = Session(port)
    session.send(frame(TEXT, b"a", fin=False), frame(CLOSE, close_payload(1000)))
    session.expect_failure(1000, 1002)


with open(os.path.join(kit.HERE, "utf8_table.json")) as file:
    TABLE = json.load(file)
VALID = TABLE["valid"]
INVALID = [bytes.fromhex(text) for text in TABLE["invalid"]]
LONG_ASCII = b"a" * 70


def utf8(cases, port):
    for index, text in enumerate(VALID, 1):
        data = text.encode()
        cases.add(f"6.1.{index}", f"valid {text[:12]!r}", echoes, port, frame(TEXT, data), [(TEXT, data)])
        parts = [data[place : place + 1] for place in range(len(data))] or [b""]
        split = b"".join(
            frame(TEXT if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
        cases.add(
            f"6.2.{index}", f"valid {text[:12]!r}, a frame for each byte", echoes, port, split, [(TEXT, data)]
        )
        # Behind a long run of ASCII, where fast paths hand over.
        long = LONG_ASCII[: 57 + index % 16] + data + LONG_ASCII
        cases.add(
            f"6.3.{index}",
            f"valid {text[:12]!r} within ASCII",
            echoes,
            port,
            frame(TEXT, long),
            [(TEXT, long)],
        )
    for index, data in enumerate(INVALID, 1):
        cases.add(f"6.4.{index}", f"invalid {data.hex(' ')}", fails, port, frame(TEXT, data), 1007)
        long = LONG_ASCII[: 57 + index % 16] + data + LONG_ASCII
        cases.add(
            f"6.5.{index}", f"invalid {data.hex(' ')} within ASCII", fails, port, frame(TEXT, long), 1007
        )
        parts = [b"ok "] + [data[place : place + 1] for place in range(len(data))]
        split = b"".join(
            frame(TEXT if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
        cases.add(f"6.6.{index}", f"invalid {data.hex(' ')}, a frame for each byte", fails, port, split, 1007)
        cases.add(
            f"6.7.{index}", f"{data.hex(' ')} as binary", echoes, port, frame(BINARY, data), [(BINARY, data)]
        )
    cases.add(
        "6.8.1",
        "invalid in the first of two fragments",
        fails,
        port,
        frame(TEXT, b"\xce\xba\xed\xa0\x80", fin=False) + frame(CONTINUATION, b"edited"),
        1007,
    )
    cases.add(
        "6.8.2",
        "code point cut by the end of the message",
        fails,
        port,
        frame(TEXT, b"\xce", fin=False) + frame(CONTINUATION, b""),
        1007,
    )
    cases.add(
        "6.8.3",
        "cut code point, ping in between",
        echoes,
        port,
        frame(TEXT, b"\xf0\x9f", fin=False) + frame(PING, b"\xff") + frame(CONTINUATION, b"\x98\x80"),
        [(PONG, b"\xff"), (TEXT, "😀".encode())],
    )


def closing(cases, port):
    cases.add("7.1.1", "message, then close", echoes, port, frame(TEXT, b"Hello"), [(TEXT, b"Hello")])
    cases.add("7.1.2", "two closes", after_close, port, frame(CLOSE, close_payload(1000)))
    cases.add("7.1.3", "ping after close is not answered", after_close, port, frame(PING, b"x"))
    cases.add("7.1.4", "text after close is not echoed", after_close, port, frame(TEXT, b"x"))
    cases.add("7.1.5", "garbage after close", after_close, port, b"\xff" * 64)
    cases.add("7.1.6", "256 KiB, close, ping", large_then_close, port)
    cases.add("7.3.1", "close without payload", empty_close, port)
    cases.add("7.3.2", "close with one byte", fails, port, frame(CLOSE, b"a"), 1002)
    cases.add("7.3.3", "close with a code", closes, port, 1000, b"")
    cases.add("7.3.4", "close with a reason", closes, port, 1000, b"Hello World!")
    cases.add("7.3.5", "close with the longest reason", closes, port, 1000, b"*" * 123)
    cases.add(
        "7.3.6", "close that is too long", fails, port, frame(CLOSE, close_payload(1000, b"*" * 124)), 1002
    )
    cases.add(
        "7.5.1",
        "close with invalid UTF-8",
        fails,
        port,
        frame(CLOSE, close_payload(1000, b"\xce\xba\xed\xa0\x80edited")),
        1007,
    )
    cases.add(
        "7.5.2",
        "close with a cut code point",
        fails,
        port,
        frame(CLOSE, close_payload(1000, b"abc\xe2\x82")),
        1007,
    )
    for index, code in enumerate(
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999], 1
    ):
        cases.add(f"7.7.{index}", f"close code {code}", closes, port, code, b"")
    for index, code in enumerate([0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535], 1):
        cases.add(
            f"7.9.{index}", f"invalid close code {code}", fails, port, frame(CLOSE, close_payload(code)), 1002
        )
    cases.add("7.10", "the client ends TCP without a close", gone, port)
    cases.add("7.11", "the client resets in a message", reset_within, port)


def after_close(port, data):
    session = Session(port)
    session.send(frame(CLOSE, close_payload(1000)), data)
    session.expect((CLOSE, close_payload(1000)))
    session.ended()


def large_then_close(port):
    session = Session(port)
    payload = b"BAsd7&jh23" * 26215
    session.send(frame(TEXT, payload), frame(CLOSE, close_payload(1000)), frame(PING))
    session.expect((TEXT, payload), (CLOSE, close_payload(1000)))
    session.ended()


def empty_close(port):
    session = Session(port)
    session.send(frame(CLOSE))
    found = session.next_message()
    assert found in ((CLOSE, b""), (CLOSE, close_payload(1000))), f"the answer is {found}"
    session.ended()


def closes(port, code, reason):
    session = Session(port)
    session.send(frame(CLOSE, close_payload(code, reason)))
    found = session.next_message()
    assert found is not None and found[0] == CLOSE, f"the answer is {found}"
    equal(found[1][:2], close_payload(code), "code in the answer")
    session.ended()


def gone(port):
    session = Session(port)
    session.send(frame(TEXT, b"a", fin=False))
    session.wire.close()
    echoes(port, frame(TEXT, b"next"), [(TEXT, b"next")])


def reset_within(port):
    session = Session(port)
    session.send(frame(TEXT, b"a" * 1000)[:500])
    session.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.wire.close()
    echoes(port, frame(TEXT, b"next"), [(TEXT, b"next")])


def lengths(cases, port):
    for index, opcode in enumerate([TEXT, BINARY, PING, CLOSE], 1):
        payload = close_payload(1000) if opcode == CLOSE else b"x"
        cases.add(
            f"8.1.{index}",
            f"opcode {opcode} without a mask",
            fails,
            port,
            frame(opcode, payload, mask=None),
            1002,
        )
    for index, mask in enumerate([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x00\x00\x80"], 1):
        for size in (1, 7, 8, 9, 4097):
            payload = b"0123456789abcdef" * (size // 16 + 1)
            cases.add(
                f"8.2.{index}{size}",
                f"mask {mask.hex()}, {size} bytes",
                echoes,
                port,
                frame(TEXT, payload[:size], mask=mask),
                [(TEXT, payload[:size])],
            )
    for index, (size, form) in enumerate(
        [(0, 126), (125, 126), (0, 127), (125, 127), (126, 127), (65535, 127)], 1
    ):
        cases.add(
            f"8.3.{index}",
            f"{size} bytes in the form {form}",
            fails,
            port,
            frame(BINARY, b"x" * size, length_form=form),
            1002,
        )
    head = lambda length: b"\x82\xff" + struct.pack("!Q", length) + b"\1\2\3\4"
    cases.add("8.4.1", "length with the highest bit", fails, port, head(1 << 63) + b"x", (1002, 1009))
    cases.add("8.4.2", "length of 2^62", fails, port, head(1 << 62) + b"x", 1009)
    cases.add("8.4.3", "length of 2^64 - 1", fails, port, head((1 << 64) - 1) + b"x", (1002, 1009))


def limits(cases, port, small_port):
    big = random.Random(9).randbytes(16 * MIB)
    cases.add("9.1", "16 MiB, the largest message", echoes, port, frame(BINARY, big), [(BINARY, big)])
    cases.add("9.2", "one byte more", fails, port, frame(BINARY, big + b"x")[:100], 1009)
    cases.add(
        "9.3", "message over a small limit, head only", fails, small_port, frame(TEXT, b"x" * 1001)[:8], 1009
    )
    cases.add(
        "9.4", "message at a small limit", echoes, small_port, frame(TEXT, b"x" * 1000), [(TEXT, b"x" * 1000)]
    )
    cases.add(
        "9.5",
        "fragments over a small limit",
        fails,
        small_port,
        frame(TEXT, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 401),
        1009,
    )
    cases.add(
        "9.6",
        "endless fragments",
        fails,
        small_port,
        frame(BINARY, b"x", fin=False) + frame(CONTINUATION, b"x" * 100, fin=False) * 20,
        1009,
    )
    count = 20_000
    cases.add("9.7", f"{count} messages in one write", many_messages, port, count)
    cases.add("9.8", "a reader that waits while 32 MiB come back", late_reader, port)
    cases.add("9.9", "200 sockets at once", many_sockets, port)


def many_messages(port, count):
    session = Session(port, seconds=20)
    data = b"".join(frame(TEXT, b"message %d" % index) for index in range(count))
    import threading

    writer = threading.Thread(target=session.send, args=(data,))
    writer.start()
    for index in range(count):
        equal(session.wire.read_frame(), (True, 0, TEXT, b"message %d" % index), "frame")
    writer.join()
    session.finish()


def late_reader(port):
    """The echo server must hold back its reading, not its memory: all of it comes back in the end."""
    session = Session(port, seconds=20)
    payload = b"x" * MIB
    import threading

    writer = threading.Thread(target=lambda: [session.send(frame(BINARY, payload)) for _ in range(32)])
    writer.start()
    time.sleep(0.5)
    for _ in range(32):
        session.expect((BINARY, payload))
    writer.join()
    session.finish()


def many_sockets(port):
    sessions = [Session(port) for _ in range(200)]
    for index, session in enumerate(sessions):
        session.send(frame(TEXT, b"%d" % index))
    for index, session in enumerate(sessions):
        session.expect((TEXT, b"%d" % index))
    for session in sessions:
        session.finish()


def handshakes(cases, port):
    def refused(data, *statuses):
        wire = dial(port)
        wire.send(data)
        head = wire.read_head()
        found = status_of(head)
        assert found in statuses, f"status is {found}, wanted {statuses}: {head[:80]!r}"
        return parse_head(head)[1]

    def accepted(data, check=None):
        wire = dial(port)
        wire.send(data)
        line, fields = parse_head(wire.read_head())
        equal(line.split(" ")[1:2], ["101"], "status")
        equal(fields.get("sec-websocket-accept"), ACCEPT, "Sec-WebSocket-Accept")
        equal(fields.get("upgrade", "").lower(), "websocket", "Upgrade")
        equal(fields.get("connection", "").lower(), "upgrade", "Connection")
        for name in ("content-length", "transfer-encoding"):
            assert name not in fields, f"a 101 carries {name}"
        if check:
            check(fields)
        wire.send(frame(TEXT, b"up"))
        equal(wire.read_frame(), (True, 0, TEXT, b"up"), "echo")

    cases.add("10.1", "plain handshake", accepted, request(port))
    cases.add(
        "10.2",
        "field names in lower case",
        accepted,
        request(port)
        .replace(b"Sec-WebSocket-Key", b"sec-websocket-key")
        .replace(b"Upgrade: websocket", b"upgrade: WebSocket"),
    )
    cases.add(
        "10.3", "Connection is a list", accepted, request(port, replace={"Connection": "keep-alive, Upgrade"})
    )
    cases.add(
        "10.4",
        "unknown extensions are ignored",
        accepted,
        request(port, "x-unknown; a=1, permessage-foo"),
        lambda fields: equal(fields.get("sec-websocket-extensions"), None, "Sec-WebSocket-Extensions"),
    )
    cases.add(
        "10.5",
        "no subprotocol is made up",
        accepted,
        request(port, replace={"Sec-WebSocket-Protocol": "chat, superchat"}),
        lambda fields: equal(fields.get("sec-websocket-protocol"), None, "Sec-WebSocket-Protocol"),
    )
    cases.add(
        "10.6",
        "query and odd characters in the target",
        accepted,
        request(port, line="GET /websocket?streams=btcusdt@depth@100ms/a!b&x=%20 HTTP/1.1"),
    )
    cases.add("10.7", "missing key", refused, request(port, drop=["Sec-WebSocket-Key"]), 400)
    for index, key in enumerate(["", "c2hvcnQ=", "not base64 at all!!!!!!!", KEY + "AAAA", KEY[:-1]], 1):
        cases.add(
            f"10.8.{index}", f"key {key!r}", refused, request(port, replace={"Sec-WebSocket-Key": key}), 400
        )
    cases.add("10.9", "two keys", refused, request(port, extra=[f"Sec-WebSocket-Key: {KEY}"]), 400)

    def version(text):
        fields = refused(request(port, replace={"Sec-WebSocket-Version": text}), 426, 400)
        assert "13" in fields.get("sec-websocket-version", ""), "the refusal does not name version 13"

    for index, text in enumerate(["8", "0", "12", "14", "130", ""], 1):
        cases.add(f"10.10.{index}", f"version {text!r}", version, text)
    cases.add("10.11", "missing version", refused, request(port, drop=["Sec-WebSocket-Version"]), 400, 426)
    cases.add("10.12", "missing Upgrade", refused, request(port, drop=["Upgrade"]), 400, 404, 426)
    cases.add(
        "10.13",
        "Upgrade to something else",
        refused,
        request(port, replace={"Upgrade": "h2c"}),
        400,
        404,
        426,
        501,
    )
    cases.add("10.14", "missing Connection", refused, request(port, drop=["Connection"]), 400, 404, 426)
    cases.add(
        "10.15",
        "Connection without upgrade",
        refused,
        request(port, replace={"Connection": "keep-alive"}),
        400,
        404,
        426,
    )
    for index, method in enumerate(["POST", "PUT", "HEAD", "OPTIONS"], 1):
        cases.add(
            f"10.16.{index}",
            f"{method} instead of GET",
            refused,
            request(port, line=f"{method} /websocket HTTP/1.1"),
            400,
            404,
            405,
        )
    cases.add("10.17", "HTTP/1.0", refused, request(port, line="GET /websocket HTTP/1.0"), 400, 426, 505)
    cases.add("10.18", "missing Host", refused, request(port, drop=["Host"]), 400)
    cases.add("10.19", "a body", refused, request(port, replace={"Content-Length": "3"}) + b"abc", 400, 413)
    cases.add(
        "10.20",
        "frames right behind the head",
        lambda: Session(port, behind=frame(TEXT, b"early") + frame(PING, b"p")).expect(
            (TEXT, b"early"), (PONG, b"p")
        ),
    )

    def bytewise():
        wire = dial(port)
        wire.send_bytewise(request(port) + frame(TEXT, b"early"))
        equal(status_of(wire.read_head()), 101, "status")
        equal(wire.read_frame(), (True, 0, TEXT, b"early"), "echo")

    cases.add("10.21", "byte by byte", bytewise)
    cases.add("10.22", "head of 64 KiB", refused, request(port, extra=["X-Fill: " + "x" * 65536]), 431, 400)

    def garbage(data):
        wire = dial(port)
        wire.send(data)
        answer = wire.read_all()
        assert answer == b"" or status_of(answer) in (400, 431, 505, 501), f"the answer is {answer[:80]!r}"
        wire.close()

    rng = random.Random(7)
    for index, data in enumerate(
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
            b"\0" * 300,
            b"\r\n" * 20 + b"\0",
            rng.randbytes(2000),
            b"GET / HTTP/9.9\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            frame(TEXT, b"hi") * 40,
            b"GET /websocket\r\n\r\n",
        ],
        1,
    ):
        cases.add(f"10.23.{index}", f"garbage {data[:12]!r}", garbage, data)

    def reader_of_two():
        """A key of another value gives another accept; the server does not answer by rote."""
        import base64, hashlib

        for _ in range(20):
            key = base64.b64encode(os.urandom(16)).decode()
            wire = dial(port)
            wire.send(request(port, replace={"Sec-WebSocket-Key": key}))
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            fields = parse_head(wire.read_head())[1]
            equal(
                fields.get("sec-websocket-accept"), base64.b64encode(digest).decode(), "Sec-WebSocket-Accept"
            )
            wire.close()

    cases.add("10.24", "twenty random keys", reader_of_two)


def slow(cases, port):
    """Against a server whose head timeout is 0.5 s and that pings every 0.3 s, waiting 0.6 s for the pong."""

    def ended_within(wire, seconds, *statuses):
        start = time.monotonic()
        answer = wire.read_all()
        took = time.monotonic() - start
        assert took < seconds, f"the connection stood for {took:.1f} s"
        assert answer == b"" or status_of(answer) in statuses, f"the answer is {answer[:80]!r}"

    def silent():
        ended_within(dial(port), 3, 408)

    def slow_head():
        wire = dial(port)
        wire.send(request(port)[:60])
        ended_within(wire, 3, 408, 400)

    def dripping():
        wire = dial(port)
        data = request(port)
        start = time.monotonic()
        wire.socket.settimeout(0.05)
        for index in range(len(data)):
            wire.send(data[index : index + 1])
            try:
                if not wire.more():
                    break
            except TimeoutError:
                pass
            if time.monotonic() - start > 4:
                break
        took = time.monotonic() - start
        assert took < 3, f"a dripping head was borne for {took:.1f} s"

    def no_pong():
        session = Session(port)
        start = time.monotonic()
        found = session.wire.read_frame()
        equal(found and found[2], PING, "opcode")
        while (found := session.wire.read_frame()) is not None:
            assert found[2] in (PING, CLOSE), f"frame {found}"
        took = time.monotonic() - start
        assert took < 4, f"a peer without pongs was borne for {took:.1f} s"

    def pongs():
        session = Session(port)
        seen = 0
        while seen < 5:
            found = session.wire.read_frame()
            assert found is not None, f"the connection ended after {seen} pings that were answered"
            equal(found[2], PING, "opcode")
            session.send(frame(PONG, found[3]))
            seen += 1
        session.finish()

    def unfinished_close():
        """The server's side of the closing handshake is bounded too."""
        session = Session(port)
        session.send(frame(TEXT, b"\xff"))
        found = session.next_message()
        equal(found and found[0], CLOSE, "opcode")
        start = time.monotonic()
        session.wire.read_all()
        assert time.monotonic() - start < 4, "the server waits for ever for the end of a failed connection"

    for index, (title, run) in enumerate(
        [
            ("connection without a byte", silent),
            ("half a head", slow_head),
            ("head that drips", dripping),
            ("pings without pongs", no_pong),
            ("pings with pongs", pongs),
            ("client that never ends", unfinished_close),
        ],
        1,
    ):
        cases.add(f"11.{index}", title, run)


def parse_extension(text):
    """permessage-deflate's parameters, or None where the extension was declined."""
    if text is None:
        return None
    name, *rest = [part.strip() for part in text.split(";")]
    equal(name, "permessage-deflate", "extension")
    return {
        part.split("=")[0].strip(): part.split("=")[1].strip().strip('"') if "=" in part else True
        for part in rest
    }


class Deflated:
    """permessage-deflate at this end (the client's), by what the server agreed to."""

    def __init__(self, agreed):
        self.agreed = agreed
        self.out_bits = int(agreed.get("client_max_window_bits", 15) or 15)
        self.in_bits = int(agreed.get("server_max_window_bits", 15))
        self.restart_out()
        self.inflater = zlib.decompressobj(-self.in_bits)

    def restart_out(self):
        self.deflater = zlib.compressobj(6, zlib.DEFLATED, -self.out_bits)

    def pack(self, data):
        packed = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        if "client_no_context_takeover" in self.agreed:
            self.restart_out()
        assert packed.endswith(b"\0\0\xff\xff")
        return packed[:-4]

    def unpack(self, data):
        plain = self.inflater.decompress(data + b"\0\0\xff\xff")
        if "server_no_context_takeover" in self.agreed:
            self.inflater = zlib.decompressobj(-self.in_bits)
        return plain


def deflated_echo(port, offer, check=None, messages=None):
    session = Session(port, offer)
    agreed = parse_extension(session.fields.get("sec-websocket-extensions"))
    assert agreed is not None, "the server declined"
    if check:
        check(agreed)
    codec = Deflated(agreed)
    for payload in messages or DEFLATE_MESSAGES:
        session.send(frame(TEXT, codec.pack(payload), rsv=4))
        found = session.wire.read_frame()
        assert found is not None, "the connection ended"
        fin, rsv, opcode, data = found
        equal((fin, opcode), (True, TEXT), "frame")
        equal(codec.unpack(data) if rsv == 4 else data, payload, "echo")
    session.finish()


DEFLATE_MESSAGES = [
    b"",
    b"a",
    b"Hello",
    b"Hello",
    b'{"e":"depthUpdate","b":[["1.5","2"]]}' * 30,
    b"x" * 70_000,
    bytes(random.Random(4).choices(b"0123456789.,[]", k=40_000)),
    b"Hello",
]


def negotiation(cases, port):
    name = "permessage-deflate"
    good = [
        ("", None),
        ("; client_max_window_bits", None),
        ("; client_no_context_takeover", None),
        ("; server_no_context_takeover", "server_no_context_takeover"),
        ("; server_no_context_takeover; client_no_context_takeover", "server_no_context_takeover"),
        ("; client_max_window_bits; server_no_context_takeover", "server_no_context_takeover"),
        ('; server_max_window_bits="10"', "server_max_window_bits"),
        (";client_max_window_bits;server_max_window_bits=12", "server_max_window_bits"),
    ]
    good += [(f"; server_max_window_bits={bits}", "server_max_window_bits") for bits in range(9, 16)]
    good += [(f"; client_max_window_bits={bits}", None) for bits in range(9, 16)]

    def agreed_to(offer, parameter):
        def check(agreed):
            known = {
                "server_no_context_takeover",
                "client_no_context_takeover",
                "server_max_window_bits",
                "client_max_window_bits",
            }
            assert set(agreed) <= known, f"unknown parameters in {agreed}"
            if parameter:
                assert parameter in agreed, f"{parameter} is not in the answer {agreed}"
            if "server_max_window_bits=" in offer.replace('"', ""):
                wanted = int(offer.replace('"', "").split("server_max_window_bits=")[1].split(";")[0])
                assert int(agreed["server_max_window_bits"]) <= wanted, f"the server's window is {agreed}"
            if "client_max_window_bits" not in offer:
                assert "client_max_window_bits" not in agreed, f"a limit the client did not offer: {agreed}"
            elif "client_max_window_bits=" in offer:
                wanted = int(offer.split("client_max_window_bits=")[1].split(";")[0])
                # Without it in the answer the client keeps within what it said itself.
                assert (
                    int(agreed.get("client_max_window_bits", wanted)) <= wanted
                ), f"the client's window is {agreed}"
                agreed.setdefault("client_max_window_bits", wanted)
            for flag in ("server_no_context_takeover", "client_no_context_takeover"):
                equal(agreed.get(flag, True), True, flag)

        deflated_echo(port, offer, check)

    for index, (offer, parameter) in enumerate(good, 1):
        cases.add(f"12.1.{index}", f"offer {name}{offer}", agreed_to, name + offer, parameter)

    def declined(offer):
        session = Session(port, offer)
        equal(session.fields.get("sec-websocket-extensions"), None, "Sec-WebSocket-Extensions")
        session.send(frame(TEXT, b"plain"))
        session.expect((TEXT, b"plain"))
        session.finish()

    bad = [
        "; foo",
        "; foo=1",
        "; server_max_window_bits",
        "; server_max_window_bits=7",
        "; server_max_window_bits=16",
        "; server_max_window_bits=abc",
        "; server_max_window_bits=09",
        "; server_max_window_bits=-9",
        "; client_max_window_bits=7",
        "; client_max_window_bits=16",
        "; client_max_window_bits=x",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=true",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_max_window_bits=10; client_max_window_bits=11",
        "; server_max_window_bits=10; server_max_window_bits=10",
    ]
    for index, offer in enumerate(bad, 1):
        cases.add(f"12.2.{index}", f"offer {name}{offer} is declined", declined, name + offer)
    cases.add(
        "12.3.1",
        "second offer is taken where the first is not known",
        agreed_to,
        f"{name}; foo, {name}; server_no_context_takeover",
        "server_no_context_takeover",
    )
    cases.add(
        "12.3.2",
        "first of two good offers",
        deflated_echo,
        port,
        f"{name}; server_max_window_bits=10, {name}",
        lambda agreed: equal(agreed.get("server_max_window_bits"), "10", "server_max_window_bits"),
    )
    cases.add("12.3.3", "another extension in front", deflated_echo, port, f"x-webkit-deflate-frame, {name}")

    def eight():
        """zlib has no raw window of 256 bytes: declining is right, and so is agreeing and keeping to it."""
        session = Session(port, f"{name}; server_max_window_bits=8")
        agreed = parse_extension(session.fields.get("sec-websocket-extensions"))
        if agreed is None:
            return session.finish()
        equal(agreed.get("server_max_window_bits"), "8", "server_max_window_bits")
        session.wire.close()
        deflated_echo(port, f"{name}; server_max_window_bits=8")

    cases.add("12.3.4", "server window of 8 bits", eight)

    def client_eight():
        session = Session(port, f"{name}; client_max_window_bits=8")
        agreed = parse_extension(session.fields.get("sec-websocket-extensions"))
        if agreed is not None:
            assert int(agreed.get("client_max_window_bits", 8)) <= 8, f"more than the client can do: {agreed}"
        session.finish()

    cases.add("12.3.5", "client window of 8 bits", client_eight)


def deflated(cases, port, small_port):
    offer = "permessage-deflate; client_max_window_bits"

    def opened(extra="", at=None):
        session = Session(at or port, "permessage-deflate" + extra)
        agreed = parse_extension(session.fields.get("sec-websocket-extensions"))
        assert agreed is not None, "the server declined"
        return session, Deflated(agreed)

    def receive(session, codec, wanted):
        kind, parts, packed = None, [], False
        while True:
            found = session.wire.read_frame()
            assert found is not None, "the connection ended"
            fin, rsv, opcode, data = found
            if opcode >= 8:
                return equal((opcode, data), wanted, "control frame")
            if kind is None:
                kind, packed = opcode, rsv == 4
            else:
                equal(rsv, 0, "reserved bits of a continuation")
            parts.append(data)
            if fin:
                data = b"".join(parts)
                return equal((kind, codec.unpack(data) if packed else data), wanted, "message")

    def plain_message():
        session, codec = opened()
        session.send(frame(TEXT, b"not deflated"))
        receive(session, codec, (TEXT, b"not deflated"))
        session.send(frame(TEXT, codec.pack(b"deflated"), rsv=4), frame(TEXT, b"plain again"))
        receive(session, codec, (TEXT, b"deflated"))
        receive(session, codec, (TEXT, b"plain again"))
        session.finish()

    cases.add("13.1", "plain messages stay allowed", plain_message)

    def in_fragments(size, with_ping):
        session, codec = opened()
        for _ in range(3):
            payload = b"fragmented and deflated " * 400
            packed = codec.pack(payload)
            parts = [packed[place : place + size] for place in range(0, len(packed), size)]
            for number, part in enumerate(parts):
                last = number == len(parts) - 1
                session.send(
                    frame(TEXT if number == 0 else CONTINUATION, part, fin=last, rsv=4 if number == 0 else 0)
                )
                if with_ping and not last:
                    session.send(frame(PING, b"between"))
                    receive(session, codec, (PONG, b"between"))
            receive(session, codec, (TEXT, payload))
        session.finish()

    for index, (size, ping) in enumerate([(1, False), (7, False), (50, False), (20, True)], 2):
        cases.add(
            f"13.{index}",
            f"deflated message in fragments of {size}{', pings between' if ping else ''}",
            in_fragments,
            size,
            ping,
        )

    def empty_tail():
        """An empty final fragment, as some clients end a message."""
        session, codec = opened()
        session.send(frame(TEXT, codec.pack(b"with an empty end"), rsv=4, fin=False), frame(CONTINUATION))
        receive(session, codec, (TEXT, b"with an empty end"))
        session.finish()

    cases.add("13.6", "empty final fragment", empty_tail)

    def final_block():
        """RFC 7692, 7.2.3.4: a block with the final bit is followed by an empty byte."""
        session, _ = opened("; client_no_context_takeover; server_no_context_takeover")
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = deflater.compress(b"Hello") + deflater.flush(zlib.Z_FINISH) + b"\0"
        session.send(frame(TEXT, packed, rsv=4))
        receive(session, Deflated({"server_no_context_takeover": True}), (TEXT, b"Hello"))
        session.finish()

    cases.add("13.7", "a block with the final bit", final_block)

    def stored():
        """RFC 7692, 7.2.3.3: a stored block."""
        session, codec = opened()
        session.send(frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4))
        receive(session, codec, (TEXT, b"Hello"))
        session.finish()

    cases.add("13.8", "a stored block", stored)

    def rfc_example():
        """RFC 7692, 7.2.3.1 and 7.2.3.2: the same message twice, the second by the shared window."""
        session, codec = opened()
        for data in ("f248cdc9c90700", "f2001100 00".replace(" ", "")):
            session.send(frame(TEXT, bytes.fromhex(data), rsv=4))
            receive(session, codec, (TEXT, b"Hello"))
        session.finish()

    cases.add("13.9", "the RFC's examples", rfc_example)

    def two_blocks():
        """RFC 7692, 7.2.3.5: two blocks in one message."""
        session, codec = opened()
        session.send(frame(TEXT, bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")), rsv=4))
        receive(session, codec, (TEXT, b"Hello"))
        session.finish()

    cases.add("13.10", "two blocks in a message", two_blocks)

    def refused(data, *codes, at=None):
        session, _ = opened(at=at)
        session.send(data)
        session.expect_failure(*codes)

    packed = zlib.compress(b"x" * 100, 6)[2:-4]
    deflate_ok = Deflated({}).pack(b"some text")
    cases.add(
        "13.11",
        "reserved bit 1 on a continuation",
        refused,
        frame(TEXT, deflate_ok[:2], fin=False, rsv=4) + frame(CONTINUATION, deflate_ok[2:], rsv=4),
        1002,
    )
    cases.add("13.12", "reserved bit 1 on a ping", refused, frame(PING, b"x", rsv=4), 1002)
    cases.add("13.13", "reserved bit 1 on a close", refused, frame(CLOSE, close_payload(1000), rsv=4), 1002)
    cases.add("13.14", "reserved bit 2 with deflate", refused, frame(TEXT, deflate_ok, rsv=6), 1002)
    for index, data in enumerate(
        [b"\xff" * 10, b"\x06\x07\x08", bytes(range(7, 60)), packed[:3] + b"\xff\xff\xff"], 15
    ):
        cases.add(
            f"13.{index}",
            f"no deflate data: {data[:6].hex()}",
            refused,
            frame(BINARY, data, rsv=4),
            1002,
            1003,
            1007,
            1008,
            1011,
        )
    cases.add(
        "13.19",
        "invalid UTF-8 inside deflate",
        refused,
        frame(TEXT, Deflated({}).pack(b"ok \xed\xa0\x80"), rsv=4),
        1007,
    )
    bomb = Deflated({}).pack(b"\0" * (64 * MIB))
    cases.add("13.20", f"{len(bomb)} bytes that inflate to 64 MiB", refused, frame(BINARY, bomb, rsv=4), 1009)
    cases.add(
        "13.21",
        "small bomb over a small limit",
        lambda: refused(frame(BINARY, Deflated({}).pack(b"\0" * 100_000), rsv=4), 1009, at=small_port),
    )

    def volume(extra):
        session, codec = opened(extra)
        rng = random.Random(5)
        for index in range(200):
            payload = bytes(rng.choices(b'{"price":"0123456789.",[]}', k=rng.randrange(3000)))
            session.send(frame(BINARY if index % 2 else TEXT, codec.pack(payload), rsv=4))
            receive(session, codec, (BINARY if index % 2 else TEXT, payload))
        session.finish()

    for index, extra in enumerate(
        [
            "",
            "; server_no_context_takeover",
            "; client_no_context_takeover",
            "; server_max_window_bits=9",
            "; client_max_window_bits=9",
        ],
        22,
    ):
        cases.add(f"13.{index}", f"200 messages, offer{extra or ' without parameters'}", volume, extra)

    def large():
        session, codec = opened()
        session.wire.socket.settimeout(20)
        payload = random.Random(6).randbytes(1000) * 4000
        session.send(frame(BINARY, codec.pack(payload), rsv=4))
        receive(session, codec, (BINARY, payload))
        session.finish()

    cases.add("13.27", "4 MB deflated", large)


def library(cases, port, deflate_port, tls_port, authority):
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosedError

    context = ssl.create_default_context(cafile=authority)

    async def talk(url, **options):
        async with connect(url, max_size=None, proxy=None, **options) as client:
            for size in (0, 1, 125, 126, 65535, 65536, MIB):
                text = "é" * (size // 2) + "x" * (size % 2)
                await client.send(text)
                equal(await client.recv(), text, "echo")
                data = os.urandom(size)
                await client.send(data)
                equal(await client.recv(), data, "echo")
            await client.send(["fragments ", "of ", "one text"])
            equal(await client.recv(), "fragments of one text", "echo")
            await client.send(iter([b"a", b"", b"b" * 70_000]))
            equal(await client.recv(), b"ab" + b"b" * 69_999, "echo")
            waiter = await client.ping(b"are you there")
            await asyncio.wait_for(waiter, 5)
            for index in range(500):
                await client.send(f"message {index}")
            for index in range(500):
                equal(await client.recv(), f"message {index}", "echo")
            return client.response.headers.get("Sec-WebSocket-Extensions")

    run = lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 30))

    def compressed(url, wanted, **options):
        found = run(talk(url, **options))
        equal(found is not None, wanted, "whether deflate was agreed on")

    ws = f"ws://127.0.0.1:{port}/websocket"
    cases.add("14.1", "echo, fragments, pings; deflate declined", lambda: compressed(ws, False))
    cases.add("14.2", "without deflate", lambda: compressed(ws, False, compression=None))
    cases.add("14.3", "with deflate", lambda: compressed(f"ws://127.0.0.1:{deflate_port}/websocket", True))
    cases.add("14.4", "TLS", lambda: compressed(f"wss://localhost:{tls_port}/websocket", True, ssl=context))

    def windows(bits):
        from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

        factory = ClientPerMessageDeflateFactory(
            server_max_window_bits=bits, client_max_window_bits=bits, server_no_context_takeover=bits % 2 == 0
        )
        compressed(f"ws://127.0.0.1:{deflate_port}/websocket", True, extensions=[factory], compression=None)

    for index, bits in enumerate(range(9, 16), 5):
        cases.add(f"14.{index}", f"windows of {bits} bits", windows, bits)

    async def code_of(data):
        async with connect(ws, proxy=None) as client:
            await client.send(data, text=True)
            try:
                await client.recv()
            except ConnectionClosedError as error:
                return error.rcvd and error.rcvd.code

    cases.add(
        "14.12", "invalid text is closed with 1007", lambda: equal(run(code_of(b"\xff\xfe")), 1007, "code")
    )

    async def ends():
        client = await connect(ws, proxy=None)
        await client.close(4001, "enough")
        return client.close_code, client.close_reason

    cases.add("14.13", "close code and reason come back", lambda: equal(run(ends())[0], 4001, "close code"))

    async def not_trusted():
        try:
            await connect(f"wss://localhost:{tls_port}/websocket", proxy=None)
        except ssl.SSLCertVerificationError:
            return True

    cases.add(
        "14.14",
        "unknown authority is refused by the client, and the server lives on",
        lambda: (
            equal(run(not_trusted()), True, "refusal"),
            compressed(f"wss://localhost:{tls_port}/websocket", True, ssl=context),
        ),
    )

    async def together():
        async def one(number):
            async with connect(ws, proxy=None) as client:
                for index in range(20):
                    await client.send(f"{number} {index}")
                    equal(await client.recv(), f"{number} {index}", "echo")

        await asyncio.gather(*(one(number) for number in range(50)))

    cases.add("14.15", "fifty clients at once", lambda: run(together()))


def aiohttp_client(cases, port, deflate_port, tls_port, authority):
    import aiohttp

    context = ssl.create_default_context(cafile=authority)

    async def talk(url, **options):
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, max_msg_size=0, **options) as client:
                for size in (0, 1, 125, 126, 65535, 65536, MIB):
                    await client.send_str("x" * size)
                    equal(await client.receive_str(), "x" * size, "echo")
                    data = os.urandom(size)
                    await client.send_bytes(data)
                    equal(await client.receive_bytes(), data, "echo")
                for index in range(200):
                    await client.send_json({"index": index})
                for index in range(200):
                    equal(await client.receive_json(), {"index": index}, "echo")
                await client.close()
                equal(client.close_code, 1000, "close code")
                return client.compress

    run = lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 30))
    cases.add("15.1", "echo", lambda: run(talk(f"http://127.0.0.1:{port}/websocket")))
    for index, bits in enumerate((9, 12, 15), 2):
        cases.add(
            f"15.{index}",
            f"deflate with {bits} bits",
            lambda bits=bits: equal(
                run(talk(f"http://127.0.0.1:{deflate_port}/websocket", compress=bits)) > 0, True, "deflate"
            ),
        )
    cases.add("15.5", "TLS", lambda: run(talk(f"https://localhost:{tls_port}/websocket", ssl=context)))
    cases.add(
        "15.6",
        "deflate asked for and declined",
        lambda: equal(run(talk(f"http://127.0.0.1:{port}/websocket", compress=15)), 0, "deflate"),
    )


def main():
    arguments = kit.arguments(
        __doc__, ("--reference", {"help": "ports of other servers, for trying the table"})
    )
    cases = kit.Cases("websocket_server_cases", arguments)
    with tempfile.TemporaryDirectory(prefix="weir-conformance-") as folder:
        authority, leaf, key = kit.certificate(folder)
        if arguments.reference:
            plain, deflate, small, slow_port, tls = map(int, arguments.reference.split(","))
        else:
            port = lambda *words: kit.start(arguments.peer, "websocket-echo", *words)[1]["port"]
            plain, deflate = port(), port("--deflate")
            small = port("--deflate", "--message-bytes-max", "1000")
            slow_port = port("--head-ms", "500", "--ping-ms", "300", "--pong-ms", "600")
            tls = port("--deflate", "--tls", leaf, "--key", key)
        for section in (framing, pings, reserved, opcodes, fragments, utf8, closing, lengths):
            section(cases, plain)
        handshakes(cases, plain)
        negotiation(cases, deflate)
        deflated(cases, deflate, small)
        slow(cases, slow_port)
        cases.run(workers=8)
        limits(cases, plain, small)
        library(cases, plain, deflate, tls, authority)
        aiohttp_client(cases, plain, deflate, tls, authority)
        cases.run()
        cases.finish()


main()
