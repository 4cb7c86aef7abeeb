import Core
import Foundation
import Testing

@testable import DuckDB

/// Suites that need the library say why they are skipped.
let duckDBIsHere = DuckDBLibrary.problem == nil
let duckDBReason: Comment = "DuckDB is not here; run make setup"

@Suite("DuckDB's binding", .enabled(if: duckDBIsHere, duckDBReason))
struct DuckDBDatabaseTests {
  @Test(arguments: [
    ("CAST(-9223372036854775808 AS BIGINT)", DuckDBValue.integer(Int128(Int64.min))),
    ("CAST(255 AS UTINYINT)", .integer(255)), ("CAST(-128 AS TINYINT)", .integer(-128)),
    ("CAST(65535 AS USMALLINT)", .integer(65535)), ("CAST(-32768 AS SMALLINT)", .integer(-32768)),
    ("CAST(4294967295 AS UINTEGER)", .integer(4_294_967_295)), ("-2147483648", .integer(-2_147_483_648)),
    ("CAST(18446744073709551615 AS UBIGINT)", .integer(18_446_744_073_709_551_615)),
    (
      "CAST('-170141183460469231731687303715884105727' AS HUGEINT)",
      .integer(-170_141_183_460_469_231_731_687_303_715_884_105_727)
    ),
    ("CAST(-1.5 AS DECIMAL(4, 2))", .decimal(units: -150, scale: 2)),
    ("CAST(-1.5 AS DECIMAL(9, 2))", .decimal(units: -150, scale: 2)),
    ("CAST(63943.9 AS DECIMAL(18, 8))", .decimal(units: 6_394_390_000_000, scale: 8)),
    (
      "CAST('-123456789012345678901234567890.12345678' AS DECIMAL(38, 8))",
      .decimal(units: -12_345_678_901_234_567_890_123_456_789_012_345_678, scale: 8)
    ),
    ("CAST(0.1 AS DOUBLE)", .double(0.1)), ("CAST(0.1 AS FLOAT)", .double(0.1)),
    ("'it''s'", .text("it's")), ("'über zwölf Bytes lang 世界'", .text("über zwölf Bytes lang 世界")),
    ("''", .text("")), ("true", .boolean(true)), ("false", .boolean(false)),
    ("DATE '1969-12-31'", .date(-1)),
    ("TIMESTAMP '1970-01-01 00:00:01.5'", .timestamp(1_500_000, perSecond: 1_000_000)),
    (
      "make_timestamp_ns(1721347020984480942)",
      .timestamp(1_721_347_020_984_480_942, perSecond: 1_000_000_000)
    ),
    ("CAST('1970-01-01 00:00:02' AS TIMESTAMP_S)", .timestamp(2, perSecond: 1)),
    ("CAST('1970-01-01 00:00:02' AS TIMESTAMP_MS)", .timestamp(2000, perSecond: 1000)),
    ("NULL", .null), ("CAST(NULL AS DECIMAL(18, 8))", .null), ("CAST(NULL AS VARCHAR)", .null),
    ("[1, NULL, 3]", .text("[1, NULL, 3]")), ("{'a': 1}", .text("{'a': 1}")),
    ("INTERVAL 2 HOURS", .text("02:00:00")),
    ("TIME '10:11:12'", .text("10:11:12")), ("CAST('b' AS ENUM('a', 'b'))", .text("b")),
    ("CAST('f1d1ca4f-31aa-4e65-9f01-87f0f6a28770' AS UUID)", .text("f1d1ca4f-31aa-4e65-9f01-87f0f6a28770")),
  ])
  func valuesOfEveryTypeAreExact(_ expression: String, _ expected: DuckDBValue) throws {
    let database = try DuckDBDatabase()
    #expect(try database.value("SELECT \(expression) -- last\n;") == expected)
    // Behind a row that is null, and one of another value.
    let rows = try database.rows(
      "SELECT x FROM (SELECT 1 AS n, NULL AS x UNION ALL SELECT 2, \(expression)) ORDER BY n")
    #expect(rows == [[.null], [expected]])
  }

  @Test(arguments: [
    (DuckDBValue.decimal(units: -150, scale: 2), "-1.50", "-1.50"),
    (.decimal(units: 5, scale: 8), "0.00000005", "0.00000005"), (.decimal(units: 7, scale: 0), "7", "7"),
    (.double(0.1), "0.1", "0.1"), (.double(.infinity), "inf", "\"inf\""), (.double(-.nan), "nan", "\"nan\""),
    (.text("a\"b"), "a\"b", "\"a\\\"b\""), (.boolean(true), "true", "true"),
    (.date(19922), "2024-07-18", "\"2024-07-18\""),
    (
      .timestamp(1_721_347_020_984_480_942, perSecond: 1_000_000_000), "2024-07-18 23:57:00.984480942",
      "\"2024-07-18 23:57:00.984480942\""
    ),
    (.timestamp(-1, perSecond: 1000), "1969-12-31 23:59:59.999", "\"1969-12-31 23:59:59.999\""),
  ])
  func textsAndJSON(_ value: DuckDBValue, _ text: String, _ json: String) {
    #expect(value.text == text)
    #expect(value.json.text() == json)
  }

  @Test func rowsStreamInTheirOrder() throws {
    let database = try DuckDBDatabase()
    let result = try database.query(
      "SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'row ' || i END AS t FROM range(10000) AS r(i)")
    #expect(result.columns.map(\.name) == ["i", "t"])
    var next = 0
    while let chunk = try result.next() {
      for row in 0..<chunk.rowCount {
        #expect(chunk.value(row: row, column: 0) == .integer(Int128(next)))
        #expect(chunk.value(row: row, column: 1) == (next % 3 == 0 ? .null : .text("row \(next)")))
        next += 1
      }
    }
    #expect(next == 10000)
  }

  @Test(arguments: [
    ("SELECT bogus FROM range(3)", "bogus"), ("SELEC 1", "SELEC"), ("SELECT 1; SELECT 2", "multiple"),
    ("", "statement"),
    ("SELECT CAST('x' AS INTEGER)", "x"), ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
    ("COPY (SELECT 1) TO '/tmp/weir-never.csv'", "disabled"), ("SET threads = 3", "locked"),
    ("INSTALL httpfs", "disabled"), ("ATTACH '/tmp/weir-never.db'", "disabled"),
  ])
  func errorsHaveTheStatementAndDuckDBsMessage(_ sql: String, _ part: String) throws {
    let database = try DuckDBDatabase()
    try database.lock()
    let error = #expect(throws: DuckDBError.self) { try database.run(sql) }
    guard case .statement(let message, sql) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(message.contains(part), "\(message)")
    // The database goes on.
    #expect(try database.value("SELECT 5") == .integer(5))
  }

  /// By a thread of its own: the test holds one of the few on which tasks could run.
  @Test func aStatementIsInterruptedFromOutside() throws {
    let database = try DuckDBDatabase()
    let interrupter = database.interrupter
    let done = Flag()
    let ended = DispatchSemaphore(value: 0)
    Thread {
      while !done.isSet {
        interrupter.interrupt()
        usleep(20_000)
      }
      ended.signal()
    }.start()
    let sql = "SELECT sum(a.i * b.i) FROM range(10000000) AS a(i), range(10000000) AS b(i)"
    #expect(throws: DuckDBError.interrupted(sql: sql)) { try database.run(sql) }
    done.set()
    ended.wait()
  }

  @Test func aSignalInterrupts() throws {
    let database = try DuckDBDatabase()
    let sql = "SELECT sum(a.i * b.i) FROM range(10000000) AS a(i), range(10000000) AS b(i)"
    let done = Flag()
    var thread = pthread_t()
    let context = Unmanaged.passRetained(done)
    defer { context.release() }
    database.withInterruptBySignal {
      pthread_create(
        &thread, nil,
        { raw in
          let done = Unmanaged<Flag>.fromOpaque(raw!).takeUnretainedValue()
          // Where tests run, signals are blocked, and a new thread inherits that.
          var signals = sigset_t()
          sigemptyset(&signals)
          sigaddset(&signals, SIGINT)
          pthread_sigmask(SIG_UNBLOCK, &signals, nil)
          usleep(200_000)
          while !done.isSet {
            // To this thread alone: other tests of the process have signals of their own.
            pthread_kill(pthread_self(), SIGINT)
            usleep(50_000)
          }
          return nil
        }, context.toOpaque())
      #expect(throws: DuckDBError.interrupted(sql: sql)) { try database.run(sql) }
      done.set()
      pthread_join(thread, nil)
    }
  }

  @Test func memoryIsBounded() throws {
    let database = try DuckDBDatabase(DuckDBOptions(memoryMegabytesMax: 64))
    #expect(throws: DuckDBError.self) {
      try database.run(
        "CREATE TABLE t AS SELECT 'some text that takes its room ' || i FROM range(9000000) AS r(i)")
    }
    #expect(try database.value("SELECT 1") == .integer(1))
  }

  @Test(arguments: ["a'b", "a[b]*c?", "plain", "two words"])
  func pathsOfAnyNameAreFound(_ name: String) throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/\(name)"
    try Files.makeFolder(path)
    let writer = try DuckDBDatabase(DuckDBOptions(folders: nil))
    try writer.run("COPY (SELECT 7 AS x) TO \(SQLText.literal(path + "/f.parquet")) (FORMAT parquet)")
    let reader = try DuckDBDatabase(DuckDBOptions(folders: [path]))
    try reader.lock()
    let pattern = SQLText.literal(SQLText.pattern(ofPath: path) + "/*.parquet")
    #expect(try reader.value("SELECT x FROM read_parquet(\(pattern))") == .integer(7))
  }
}

/// A flag between threads: one byte behind a lock.
///
/// Unchecked: every access is between lock and unlock.
final class Flag: @unchecked Sendable {
  private var mutex = pthread_mutex_t()
  private var value = false

  init() { pthread_mutex_init(&mutex, nil) }

  var isSet: Bool {
    pthread_mutex_lock(&mutex)
    defer { pthread_mutex_unlock(&mutex) }
    return value
  }

  func set() {
    pthread_mutex_lock(&mutex)
    value = true
    pthread_mutex_unlock(&mutex)
  }
}
