import Core
import DuckDB
import Report
import Tables

/// The section "Market by SQL" of a daily report: totals of each symbol and the busiest minutes of the day, as the
/// standard questions answer them over the converted tables.
///
/// What cannot be answered is said in the section; a report never fails for it. The tables are asked again only
/// when a segment was converted since.
final class MarketSection {
  static let title = "Market by SQL"

  private let folder: String
  private var answers: [String: (segments: Int, value: JSONValue)] = [:]

  init(folder: String) { self.folder = folder }

  func member(_ day: ReportDay) -> JSONValue.Member {
    let segments = ConversionRecord.segments(ParquetFolder(folder)?.root ?? folder).count
    if let known = answers[day.dayText], known.segments == segments {
      return .init(MarketSection.title, known.value)
    }
    let value: JSONValue
    do {
      value = try ask(minutes(day))
    } catch {
      value = .object(["detail": .string("\(error)")])
    }
    answers[day.dayText] = (segments, value)
    return .init(MarketSection.title, value)
  }

  /// The whole minutes that the day's rows lie in.
  private func minutes(_ day: ReportDay) -> Range<Int64> {
    let first = day.firstTime.rawValue
    let start = first - first % Nanoseconds.minute
    return start..<max(start, day.lastTime.rawValue) + 1
  }

  private func ask(_ times: Range<Int64>) throws -> JSONValue {
    let database = try MarketDatabase(.parquet(folder: folder), question: "bars_1m").database
    func table(_ query: StandardQuery, _ key: ([DuckDBValue]) -> String) throws -> JSONValue {
      let result = try database.query(query.sql(barsIn: times))
      let names = result.columns.map(\.name)
      var members: [JSONValue.Member] = []
      while let chunk = try result.next() {
        for row in 0..<chunk.rowCount {
          let values = names.indices.map { chunk.value(row: row, column: $0) }
          let cells = zip(names, values).dropFirst().filter { $0.0 != "start_ns" }
          members.append(.init(key(values), .object(cells.map { .init($0.0, $0.1.json) })))
        }
      }
      return .object(members)
    }
    return .object([
      "totals": try table(.symbolTotals) { $0[0].text ?? "" },
      "busiest minutes": try table(.busiestMinutes) { row in
        guard case .integer(let start) = row[1] else { return "" }
        return "\(UTCDate(UnixNanos(Int64(start))).isoText) \(row[0].text ?? "")"
      },
    ])
  }
}
