import Core
import Net
import Tape

/// What a supervisor may ask of a harvester, and what it hears.
///
/// | command | arguments | effect |
/// |---|---|---|
/// | `control` | the intervention (``Control``) | it is on the tape; `detail` has its `seq` |
/// | `restart-ws` | | all connections are replaced, with overlap |
/// | `fallback-rest` | `{"on":bool}` | REST stands in for websockets that are down |
/// | `compress` | `{"on":bool}` | closed segments are compressed at once |
/// | `rebuild-snapshot` | `{"symbol":"BTCUSDT"}` or none | books are made anew |
/// | `drain` | | everything is closed and on the disk; the process stays |
extension HarvestService {
  func linkToSupervisor() throws(NetError) {
    link = try SupervisorLink(on: loop) { [unowned self] in
      beat
    } command: { [unowned self] name, arguments in
      perform(name, arguments)
    } ended: { [unowned self] in
      end()
    }
  }

  private var beat: JSONValue {
    let counters = harvester.counters
    return .object([
      "seq": .integer(harvester.log.acknowledgedSequence),
      "time_ns": .integer(harvester.log.totals.lastSequence > 0 ? harvester.log.lastTime.rawValue : 0),
      "frames": .integer(counters.frames), "gaps": .integer(counters.gaps),
      "resyncs": .integer(counters.resyncs), "reconnects": .integer(counters.reconnects),
      "queue_dropped": .integer(counters.queueDropped),
      "substream_timeouts": .integer(counters.substreamTimeouts), "lost": .integer(counters.lost),
      "backfilled": .integer(counters.backfilled), "rotations": .integer(counters.rotations),
      "connections_open": .integer(harvester.connectionsOpen), "is_drained": .bool(isSettledOnDisk),
    ])
  }

  func perform(_ name: String, _ arguments: JSONValue) -> SupervisorLink.Reply {
    let now = HarvestService.now()
    var reply = SupervisorLink.Reply.done()
    do throws(ControlError) {
      switch name {
      case "control":
        try Control(arguments).validate(against: options.configuration.signal)
        step { harvester in
          if let error = try harvester.appendControl(arguments, now) {
            reply = .refused(error.description)
          } else {
            reply = .done("seq \(harvester.log.nextSequenceNumber - 1)")
          }
        }
      case "restart-ws":
        step { reply = .done(try $0.restartSockets(now) ? "" : "under way already") }
      case "fallback-rest":
        let isOn = try isOn(arguments)
        step { try $0.restFallback(isOn, now) }
      case "compress":
        let isOn = try isOn(arguments)
        step {
          try $0.compressNow(isOn, now)
          if isOn { try $0.log.compressClosedSegments() }
        }
      case "rebuild-snapshot":
        let symbol = arguments["symbol"]?.text
        step { harvester in
          let count = try harvester.rebuildSnapshots(of: symbol, now)
          reply =
            count > 0 || symbol == nil ? .done("\(count) books") : .refused("\(symbol!) is not harvested")
        }
      case "drain": beginDraining()
      default:
        throw ControlError(
          "unknown command \"\(name)\"; known are control, restart-ws, fallback-rest, compress, rebuild-snapshot, "
            + "drain")
      }
    } catch {
      return .refused(error.description)
    }
    if let failure { return .refused("\(failure)") }
    return reply
  }

  private func isOn(_ arguments: JSONValue) throws(ControlError) -> Bool {
    guard let isOn = arguments["on"]?.boolean else { throw ControlError("\"on\" must be true or false") }
    return isOn
  }

  func tapeExposition(into writer: inout ByteWriter) {
    writer.append(
      "# HELP weir_harvest_tape_sequence the tape's last record\n"
        + "# TYPE weir_harvest_tape_sequence gauge\n"
        + "weir_harvest_tape_sequence \(harvester.log.acknowledgedSequence)\n"
        + "# HELP weir_harvest_tape_bytes bytes written to the tape\n"
        + "# TYPE weir_harvest_tape_bytes gauge\n"
        + "weir_harvest_tape_bytes \(harvester.log.totals.bytes)\n")
  }
}
