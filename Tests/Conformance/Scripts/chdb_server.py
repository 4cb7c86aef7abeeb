"""ClickHouse's HTTP interface, as far as Weir uses it, over the engine of chdb. For tests only: one request at a time.

usage: chdb_server.py PORT FOLDER [--die-after INSERTS]

Statements come as the body, inserts with their statement in ?query= and rows as a body in zstd or gzip; all other
parameters but database and query_id are settings. With --die-after the process kills itself (SIGKILL) after so many
inserts, without an answer to the last.
"""

import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

port, folder = int(sys.argv[1]), sys.argv[2]
inserts_left = int(sys.argv[4]) if len(sys.argv) > 4 else -1
engine = session.Session(folder)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"Ok.\n")

    def do_POST(self):
        global inserts_left
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parameters = dict(parse_qsl(urlsplit(self.path).query))
        database = parameters.pop("database", "default")
        parameters.pop("query_id", None)
        statement = parameters.pop("query", None)
        try:
            engine.query(f"USE {database}")
            if statement is None:
                # The engine's own default is another format than the server's.
                data = engine.query(body.decode(), "TabSeparated").bytes()
            else:
                # As a file: behind a statement the engine takes some last bytes for blanks.
                with open(folder + ".rows", "wb") as rows:
                    rows.write(body)
                settings = ", ".join(f"{name} = '{value}'" for name, value in parameters.items())
                source = f" FROM INFILE '{folder}.rows' COMPRESSION '{self.headers['Content-Encoding']}'"
                source += f" SETTINGS {settings} FORMAT " if settings else " FORMAT "
                data = b""
                engine.query(statement.replace(" FORMAT ", source))
                inserts_left -= 1
                if inserts_left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        except Exception as error:
            code = re.search(r"Code: (\d+)", str(error))
            code = code.group(1) if code else "1002"
            text = str(error) if "DB::Exception" in str(error) else f"Code: {code}. DB::Exception: {error}"
            return self.answer(500, text.encode(), code)
        self.answer(200, data)

    def answer(self, status, body, code=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


HTTPServer(("127.0.0.1", port), Handler).serve_forever()
