import Core

/// The metrics, in Prometheus' text format 0.0.4.
extension Harvester where Log: ~Copyable {
  private static var latencyBoundsMs: [Double] {
    [0.5, 1, 2.5, 5, 10, 25, 50, 100, 200, 300, 500, 1000, 2500, 5000, 10_000]
  }

  /// Appends all metrics. Names are part of the contract with alerts and dashboards.
  ///
  /// - Complexity: O(symbols × reasons)
  public func exposition(into writer: inout ByteWriter) {
    let counters = counters
    latencies(&writer)
    reconnects(&writer)
    let loss = lossRatios
    gauge("ws_packet_loss_ratio", "trades missed at first over a minute, of all", loss.trades, &writer)
    gauge("ws_depth_gap_ratio", "holes in the depth chain over a minute, of all events", loss.depth, &writer)
    gauge("clock_drift_ms_ewma", "movement of the clock's offset, smoothed", clock.driftMsEWMA, &writer)
    if offsetIsKnown {
      gauge(
        "weir_harvest_clock_offset_ms", "exchange clock minus ours", Double(offsetNs) / 1e6, &writer)
    }
    gauge("weir_harvest_degraded_time_sync", "1 while time is degraded", isTimeDegraded ? 1 : 0, &writer)
    totals(counters, &writer)
    perSymbol(counters, &writer)
  }

  private func latencies(_ writer: inout ByteWriter) {
    var all = latency
    all.add(formerLatency)
    all.add(recentLatency)
    head(
      "binance_ws_latency_seconds", "exchange time to receive time, clock offset removed", "histogram",
      &writer)
    for bound in Self.latencyBoundsMs {
      writer.append("binance_ws_latency_seconds_bucket{le=\"")
      writer.append(double: bound / 1000)
      writer.append("\"} ")
      line(Double(all.countAtMost(ms: bound)), &writer)
    }
    writer.append("binance_ws_latency_seconds_bucket{le=\"+Inf\"} ")
    line(Double(all.count), &writer)
    writer.append("binance_ws_latency_seconds_sum ")
    line(Double(all.sumNs) / 1e9, &writer)
    writer.append("binance_ws_latency_seconds_count ")
    line(Double(all.count), &writer)

    var recent = formerLatency
    recent.add(recentLatency)
    head("ws_e2e_latency_ms", "the same over the last one to two minutes", "gauge", &writer)
    for (label, share) in [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99)] {
      guard let value = recent.quantileMs(share) else { continue }
      writer.append("ws_e2e_latency_ms{quantile=\"\(label)\"} ")
      line(value, &writer)
    }
    head("msg_lag_seconds", "latency of a symbol's newest frame", "gauge", &writer)
    for index in 0..<symbolCount where states[index].latencyNs >= 0 {
      writer.append("msg_lag_seconds{symbol=\"\(states[index].name)\"} ")
      line(Double(states[index].latencyNs) / 1e9, &writer)
    }
  }

  /// A connection's reconnect counts for every symbol it carries.
  private func reconnects(_ writer: inout ByteWriter) {
    head("ws_reconnects_total", "reconnects of connections that carry the symbol", "counter", &writer)
    for symbol in 0..<symbolCount {
      for reason in CloseReason.allCases {
        var sum = 0
        for slot in slots.indices where plan.slots[slot].symbols.contains(symbol) {
          sum += slots[slot].reconnects[reason.rawValue]
        }
        guard sum > 0 || reason == .remote else { continue }
        writer.append("ws_reconnects_total{symbol=\"\(states[symbol].name)\",reason=\"\(reason.name)\"} ")
        line(Double(sum), &writer)
      }
    }
  }

  private func totals(_ c: HarvestCounters, _ writer: inout ByteWriter) {
    let named: [(StaticString, StaticString, Int64)] = [
      ("frames", "frames on the tape", c.frames),
      ("bytes", "bytes of frames", c.bytes),
      ("deduplicated", "frames two overlapping connections delivered twice", c.deduplicated),
      ("frames_refused", "frames too long for the tape", c.framesRefused),
      ("frames_stray", "frames of sockets that are gone", c.framesStray),
      ("decode_errors", "frames that cannot be decoded", c.decodeErrors),
      ("queue_dropped", "records dropped by a queue", c.queueDropped),
      ("gaps", "holes recorded", c.gaps),
      ("resyncs", "books brought back by a snapshot", c.resyncs),
      ("backfilled", "trades that came by REST", c.backfilled),
      ("lost", "trades given up", c.lost),
      ("connects", "connections opened", c.connects),
      ("connect_failures", "connections that could not be opened", c.connectFailures),
      ("reconnects", "connections opened again after a loss", c.reconnects),
      ("rotations", "connections replaced with overlap", c.rotations),
      ("rotations_abandoned", "replacements given up", c.rotationsAbandoned),
      ("first_frame_timeouts", "streams whose first frame was late", c.firstFrameTimeouts),
      ("substream_timeouts", "streams silent a second time running", c.substreamTimeouts),
      ("silence_timeouts", "connections dropped for silence", c.silenceTimeouts),
      ("heartbeat_timeouts", "connections dropped for want of a pong", c.heartbeatTimeouts),
      ("requests", "REST requests", c.requests),
      ("request_failures", "REST requests that failed", c.requestFailures),
      ("rate_limited", "answers 429", c.rateLimited),
      ("bans", "answers 418", c.bans),
      ("weight_used", "request weight sent", c.weightUsed),
      ("bad_answers", "REST answers that cannot be decoded", c.badAnswers),
      ("snapshots", "book snapshots taken", c.snapshots),
      ("snapshots_too_old", "snapshots that could not be used", c.snapshotsTooOld),
      ("book_checks", "books compared with the exchange's", c.bookChecks),
      ("book_checks_inconclusive", "comparisons without a result", c.bookChecksInconclusive),
      ("book_mismatches", "books that differed", c.bookMismatches),
      ("clock_jumps", "times our clock was set", c.clockJumps),
      ("restarts", "times all connections were to be replaced", c.restarts),
      ("books_polled", "book snapshots that stood in for a stream", c.booksPolled),
      ("trades_polled", "answers of trades that stood in for a stream", c.tradesPolled),
    ]
    for (name, help, value) in named {
      let name = "weir_harvest_\(name)_total"
      head(name, "\(help)", "counter", &writer)
      writer.append(name)
      writer.append(byte: 0x20)
      line(Double(value), &writer)
    }
    head("weir_harvest_requests_sent_total", "REST requests by purpose", "counter", &writer)
    for purpose in RequestQueue.Purpose.allCases {
      writer.append("weir_harvest_requests_sent_total{purpose=\"\(purpose.name)\"} ")
      line(Double(queue.sentCounts[Int(purpose.rawValue)]), &writer)
    }
    gauge("weir_harvest_request_queue_depth", "REST requests waiting", Double(queue.jobs.count), &writer)
    gauge("weir_harvest_requests_in_flight", "REST requests under way", Double(queue.flights.count), &writer)
    gauge(
      "weir_harvest_weight_this_minute", "request weight of the exchange's minute",
      Double(queue.usedThisMinute), &writer)
    gauge("weir_harvest_connections_open", "open connections", Double(connectionsOpen), &writer)
    gauge(
      "weir_harvest_rest_fallback", "1 while REST stands in for websockets", fallback.isOn ? 1 : 0, &writer)
    gauge(
      "weir_harvest_clock_apart_ms", "receive time minus this machine's clock, after it was set",
      Double(receiveClock.apartNs) / 1e6, &writer)
    head("weir_harvest_controls_total", "interventions put on the tape", "counter", &writer)
    for (name, count) in zip(Control.names, c.controls) {
      writer.append("weir_harvest_controls_total{control=\"\(name)\"} ")
      line(Double(count), &writer)
    }
  }

  private func perSymbol(_ counters: HarvestCounters, _ writer: inout ByteWriter) {
    func each(
      _ name: String, _ help: String, _ type: String, _ value: (HarvestCounters.Symbol) -> Double
    ) {
      head(name, help, type, &writer)
      for symbol in counters.symbols {
        writer.append("\(name){symbol=\"\(symbol.name)\"} ")
        line(value(symbol), &writer)
      }
    }
    each("weir_harvest_book_in_sync", "1 while the book is in sync", "gauge") {
      $0.bookIsSynchronized ? 1 : 0
    }
    each("weir_harvest_symbol_frames_total", "frames on the tape", "counter") { Double($0.frames) }
    each("weir_harvest_symbol_depth_gaps_total", "holes in the depth chain", "counter") {
      Double($0.depthGaps)
    }
    each("weir_harvest_symbol_trade_gaps_total", "holes in the trade ids", "counter") { Double($0.tradeGaps) }
    each("weir_harvest_symbol_lost_total", "trades given up", "counter") { Double($0.lost) }
  }

  private func gauge(_ name: String, _ help: String, _ value: Double, _ writer: inout ByteWriter) {
    head(name, help, "gauge", &writer)
    writer.append(name)
    writer.append(byte: 0x20)
    line(value, &writer)
  }

  private func head(_ name: String, _ help: String, _ type: String, _ writer: inout ByteWriter) {
    writer.append("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
  }

  private func line(_ value: Double, _ writer: inout ByteWriter) {
    writer.append(double: value)
    writer.append(byte: 0x0A)
  }
}
