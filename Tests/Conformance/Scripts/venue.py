"""Starting and ending `weir venue serve`, and a book kept by the exchange's official procedure."""

import asyncio
import json
import os
import tempfile
import threading
import urllib.request
from decimal import Decimal

import kit

KEY, SECRET = "weir-demo-key", "weir-demo-secret"
TOKEN = "conformance-token"


class Venue:
    """One simulated exchange on a port of its own."""

    def __init__(self, weir, *words, symbols="BTCUSDT,ETHUSDT,SOLUSDT", seed=7):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-conformance-")
        self.truth_file = os.path.join(self.folder.name, "truth.json")
        self.symbols = symbols.split(",")
        self.process, ready = kit.start(
            weir,
            "venue",
            "serve",
            "--port",
            "0",
            "--seed",
            str(seed),
            "--symbols",
            symbols,
            "--truth",
            self.truth_file,
            *words,
            environment={"WEIR_VENUE_TOKEN": TOKEN},
        )
        self.rest, self.ws = ready["rest"], ready["ws"]

    def get(self, path):
        with urllib.request.urlopen(self.rest + path, timeout=5) as answer:
            return json.load(answer)

    def stop(self):
        """Ends the exchange orderly; its truth."""
        kit.stop(self.process)
        with open(self.truth_file) as file:
            return json.load(file)


def compare_book(truth, last_u, bids, asks):
    """Raises unless a client's sides ({price: quantity} of Decimals) are the truth's at the same update."""
    kit.equal(last_u, truth["last_u"], "last update of the client")
    for name, side in (("bids", bids), ("asks", asks)):
        wanted = {Decimal(price): Decimal(quantity) for price, quantity in truth[name]}
        assert wanted, f"the truth has no {name}"
        extra = {price for price in side if side[price] != wanted.get(price)}
        missing = {price for price in wanted if price not in side}
        assert not extra and not missing, (
            f"{name}: {len(extra)} levels differ ({sorted(extra)[:3]}), {len(missing)} are missing "
            f"({sorted(missing)[:3]}) of {len(wanted)}"
        )


class Books(threading.Thread):
    """Books of all symbols by the official procedure over Python websockets, and the trades' ids."""

    def __init__(self, venue):
        super().__init__(daemon=True)
        self.venue = venue
        self.books = {}
        self.trades = {symbol: [] for symbol in venue.symbols}
        self.problems = []
        self.resyncs = 0
        self.over = threading.Event()

    def run(self):
        asyncio.run(self.follow())
        self.over.set()

    async def follow(self):
        from websockets.asyncio.client import connect

        depth = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in self.venue.symbols)
        trade = "/".join(f"{symbol.lower()}@aggTrade" for symbol in self.venue.symbols)

        async def read(url, take):
            async with connect(url, proxy=None, compression=None, max_size=None) as socket:
                async for text in socket:
                    await take(json.loads(text))

        async def take_depth(message):
            event = message["data"]
            symbol = event["s"]
            book = self.books.setdefault(symbol, {"waiting": [], "u": None})
            book["waiting"].append(event)
            if book["u"] is None:
                await asyncio.to_thread(self.snapshot, symbol, book)
            self.apply(symbol, book)

        async def take_trade(message):
            event = message["data"]
            self.trades[event["s"]].append(event)

        await asyncio.gather(
            read(f"{self.venue.ws}/public/stream?streams={depth}", take_depth),
            read(f"{self.venue.ws}/market/stream?streams={trade}", take_trade),
            return_exceptions=True,
        )

    def snapshot(self, symbol, book):
        answer = self.venue.get(f"/fapi/v1/depth?symbol={symbol}&limit=1000")
        for name, side in (("b", "bids"), ("a", "asks")):
            book[name] = {Decimal(price): Decimal(quantity) for price, quantity in answer[side]}
        book["u"], book["first"] = answer["lastUpdateId"], True

    def apply(self, symbol, book):
        while book["waiting"]:
            event = book["waiting"].pop(0)
            if book["first"]:
                if event["u"] < book["u"]:
                    continue
                fits = event["U"] <= book["u"] <= event["u"]
                # Where nothing has happened since the snapshot, the next event only follows it.
                fits = fits or event["pu"] == book["u"]
            else:
                fits = event["pu"] == book["u"]
            if not fits:
                self.problems.append(
                    f"{symbol}: U {event['U']} u {event['u']} pu {event['pu']} after {book['u']}"
                )
                book["u"] = None
                self.resyncs += 1
                return
            for name in ("b", "a"):
                for price, quantity in event[name]:
                    if Decimal(quantity) == 0:
                        book[name].pop(Decimal(price), None)
                    else:
                        book[name][Decimal(price)] = Decimal(quantity)
            book["u"], book["first"] = event["u"], False
