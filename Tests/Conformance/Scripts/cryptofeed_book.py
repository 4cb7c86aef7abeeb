"""cryptofeed keeps the books of several symbols for some seconds; then the exchange stops, and they must equal
its truth, level for level, at the same update.

Sections: 1 books, 2 trades. cryptofeed is told the addresses and nothing else. It takes none but wss, so the
exchange is served over TLS, and this process trusts the test's authority by the usual environment variables.
"""

import asyncio
import logging
import os
import tempfile

import kit
from kit import equal
from venue import Venue, compare_book

SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT,DOGEUSDT,XRPUSDT"


def main():
    arguments = kit.arguments(__doc__, ("--seconds", {"type": float, "default": 8}))
    cases = kit.Cases("cryptofeed_book", arguments)
    folder = tempfile.TemporaryDirectory(prefix="weir-conformance-")
    authority, leaf, key = kit.certificate(folder.name)
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = authority
    venue = Venue(arguments.weir, "--tls-cert", leaf, "--tls-key", key, symbols=SYMBOLS, seed=11)
    logging.disable(logging.INFO)

    from cryptofeed import FeedHandler
    from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK, TRADES
    from cryptofeed.exchanges import BinanceFutures

    original = BinanceFutures.rest_endpoints[0].routes
    complaints = []

    class Complaints(logging.Handler):
        def emit(self, record):
            complaints.append(record.getMessage())

    logging.getLogger("feedhandler").addHandler(Complaints(level=logging.WARNING))

    def feed_of(root):
        """The same feed with another address."""
        return type(
            "BinanceFutures",
            (BinanceFutures,),
            {
                "websocket_endpoints": [WebsocketEndpoint(venue.ws + root, options={"compression": None})],
                "rest_endpoints": [RestEndpoint(venue.rest, routes=original)],
            },
        )

    books, trades, updates = {}, {}, {}

    async def take_book(book, _):
        books[book.symbol] = book
        updates[book.symbol] = updates.get(book.symbol, 0) + 1

    async def take_trade(trade, _):
        trades.setdefault(trade.symbol, []).append(int(trade.id))

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler = FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
    names = [symbol.removesuffix("USDT") + "-USDT-PERP" for symbol in venue.symbols]
    handler.add_feed(feed_of("/public")(symbols=names, channels=[L2_BOOK], callbacks={L2_BOOK: take_book}))
    handler.add_feed(feed_of("/market")(symbols=names, channels=[TRADES], callbacks={TRADES: take_trade}))
    handler.run(start_loop=False, install_signal_handlers=False)
    loop.run_until_complete(asyncio.sleep(arguments.seconds))
    warnings_before_end = list(complaints)
    # The exchange ends while cryptofeed still reads, so that both hold the last frame.
    truth = loop.run_until_complete(loop.run_in_executor(None, venue.stop))
    loop.run_until_complete(asyncio.sleep(0.5))

    for index, (symbol, name) in enumerate(zip(venue.symbols, names), 1):

        def book(symbol=symbol, name=name):
            mine = books[name]
            assert updates[name] >= 5 * arguments.seconds, f"only {updates[name]} updates"
            compare_book(
                truth["symbols"][symbol],
                mine.sequence_number,
                mine.book.bids.to_dict(),
                mine.book.asks.to_dict(),
            )

        cases.add(f"1.{index}", f"book of {symbol}", book)

        def traded(symbol=symbol, name=name):
            ids = trades.get(name, [])
            assert ids, "no trade"
            equal(ids, list(range(ids[0], ids[0] + len(ids))), "ids")
            equal(ids[-1], truth["symbols"][symbol]["trades"]["last_a"], "last trade")

        cases.add(f"2.{index}", f"trades of {symbol}", traded)
    cases.add(
        "1.6",
        "no book was reset on the way",
        lambda: equal(
            [text for text in warnings_before_end if "Missing book update" in text], [], "warnings"
        ),
    )
    cases.run()
    cases.finish()


main()
