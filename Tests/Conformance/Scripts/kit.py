"""What the conformance scripts share: numbered cases, a verdict, our processes, raw websocket frames."""

import argparse
import atexit
import ctypes
import fnmatch
import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))


class Skipped(Exception):
    """The case cannot be run on this machine; its text says why."""


class Cases:
    """A numbered table of cases. Each is a function that raises where what it found is not what it wants."""

    def __init__(self, name, arguments):
        self.name = name
        self.only = arguments.only
        self.verbose = arguments.verbose
        self.table = []
        self.failed = []
        self.skipped = []
        self.passed = 0
        self.sections = {}
        self.ran = []

    def add(self, number, title, run, *values):
        if self.only and not fnmatch.fnmatch(number, self.only):
            return
        self.table.append((number, title, run, values))

    def run(self, workers=1):
        """Runs what was added since the last call; with several workers, cases side by side."""
        table, self.table = self.table, []
        if workers == 1:
            outcomes = map(self._one, table)
        else:
            pool = ThreadPoolExecutor(workers)
            outcomes = pool.map(self._one, table)
        for (number, title, _, _), found, seconds in outcomes:
            self.ran.append((number, title))
            section = number.split(".")[0]
            self.sections[section] = self.sections.get(section, 0) + 1
            if found is None:
                self.passed += 1
            elif isinstance(found, Skipped):
                self.skipped.append({"case": number, "title": title, "why": str(found)})
            else:
                self.failed.append({"case": number, "title": title, "found": found})
            if self.verbose:
                state = (
                    "ok" if found is None else "skipped" if isinstance(found, Skipped) else "FAILED: " + found
                )
                print(f"{number:10} {title:70} {seconds * 1000:6.0f} ms  {state}", file=sys.stderr)

    def _one(self, entry):
        number, title, run, values = entry
        start = time.monotonic()
        try:
            run(*values)
            found = None
        except Skipped as reason:
            found = reason
        except AssertionError as failure:
            found = str(failure) or traceback.format_exc(limit=-2)
        except Exception as failure:
            found = f"{type(failure).__name__}: {failure}"
            if self.verbose:
                traceback.print_exc()
        return entry, found, time.monotonic() - start

    def finish(self):
        cases = self.passed + len(self.failed) + len(self.skipped)
        print(
            json.dumps(
                {
                    "script": self.name,
                    "cases": cases,
                    "passed": self.passed,
                    "failed": self.failed,
                    "skipped": self.skipped,
                    "sections": self.sections,
                    "table": self.ran,
                }
            ),
            flush=True,
        )
        # Threads of third-party clients that wait for something must not keep the verdict waiting.
        stop_all()
        os._exit(0 if self.passed > 0 and not self.failed else 1)


def arguments(description, *extra):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--peer", help="the program net-peer")
    parser.add_argument("--weir", help="the program weir")
    parser.add_argument("--only", help="cases whose number matches, such as '6.*'")
    parser.add_argument("--verbose", action="store_true", help="a line for each case on standard error")
    for name, options in extra:
        parser.add_argument(name, **options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return parser.parse_args()


def equal(found, wanted, what=""):
    assert found == wanted, f"{what or 'value'} is {short(found)}, wanted {short(wanted)}"


def short(value):
    text = repr(value)
    return text if len(text) < 160 else f"{text[:100]}… ({len(text)} characters)"


# Our processes ----------------------------------------------------------------------------------------------

started = []


def die_with_parent():
    ctypes.CDLL("libc.so.6").prctl(1, signal.SIGTERM)


def start(*words, environment=None):
    """Starts one of our servers; returns the process and its ready line."""
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_parent,
        env=None if environment is None else {**os.environ, **environment},
    )
    started.append(process)
    ready, _, _ = select.select([process.stdout], [], [], 20)
    line = process.stdout.readline() if ready else ""
    assert line.startswith("{"), f"{' '.join(words)} printed no ready line but {line!r}"
    return process, json.loads(line)


def stop(process, seconds=10):
    """Ends a process; returns what it printed after its ready line."""
    if process.poll() is None:
        process.terminate()
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"{process.args[:2]} did not end within {seconds} s of SIGTERM")
    if process in started:
        started.remove(process)
    return text


@atexit.register
def stop_all():
    for process in started:
        process.kill()
    started.clear()


def certificate(folder):
    """An authority of this test's own and its certificate for localhost: (authority, certificate, key)."""

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    path = lambda name: os.path.join(folder, name)
    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=Weir test authority",
        "-keyout",
        path("ca.key"),
        "-out",
        path("ca.pem"),
    )
    openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        path("leaf.key"),
        "-out",
        path("leaf.csr"),
    )
    with open(path("names"), "w") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl(
        "x509",
        "-req",
        "-in",
        path("leaf.csr"),
        "-CA",
        path("ca.pem"),
        "-CAkey",
        path("ca.key"),
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        path("names"),
        "-out",
        path("leaf.pem"),
    )
    return path("ca.pem"), path("leaf.pem"), path("leaf.key")


# Raw websocket frames ---------------------------------------------------------------------------------------

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def frame(opcode, payload=b"", fin=True, rsv=0, mask=b"\x37\xfa\x21\x3d", length_form=None):
    """A frame; mask None leaves it unmasked. length_form 126 or 127 forces a longer form of the length."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    size = len(payload)
    form = length_form or (size if size < 126 else 126 if size < 65536 else 127)
    head += bytes([bit | form])
    if form == 126:
        head += struct.pack("!H", size)
    elif form == 127:
        head += struct.pack("!Q", size)
    if mask is None:
        return head + payload
    return head + mask + masked(payload, mask)


def masked(payload, mask):
    if not payload:
        return b""
    whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(payload), "big")


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class Wire:
    """A socket with a buffer: exact reads with a deadline, and websocket frames."""

    def __init__(self, connection, seconds=5):
        self.socket = connection
        self.buffer = b""
        self.socket.settimeout(seconds)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The answer, if any, has arrived before; the reader will find it.

    def send_bytewise(self, data, step=1, pause=0):
        for index in range(0, len(data), step):
            self.send(data[index : index + step])
            if pause:
                time.sleep(pause)

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        return len(data) > 0

    def read(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise EOFError(f"the connection ended after {len(self.buffer)} of {count} bytes")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_head(self):
        """Bytes up to and with the empty line; empty when the connection ends before any byte."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                data, self.buffer = self.buffer, b""
                return data
        end = self.buffer.index(b"\r\n\r\n") + 4
        return self.read(end)

    def read_all(self):
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def read_frame(self):
        """(fin, rsv, opcode, payload), unmasked; None at the end of the stream."""
        try:
            first, second = self.read(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack("!H", self.read(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self.read(8))[0]
            self.was_masked = bool(second & 0x80)
            mask = self.read(4) if self.was_masked else None
            payload = self.read(size)
        except EOFError:
            return None
        return bool(first & 0x80), first >> 4 & 7, first & 15, masked(payload, mask) if mask else payload

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass


def dial(port, tls=None, seconds=5):
    connection = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    if tls:
        context = ssl.create_default_context(cafile=tls)
        connection = context.wrap_socket(connection, server_hostname="localhost")
    return Wire(connection, seconds)


def parse_head(head):
    """(first line, {lower-case name: value}); several fields of one name are joined by commas."""
    lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        if ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return lines[0], fields


def status_of(head):
    """The status of an answer; None when the peer gave none."""
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") else None
