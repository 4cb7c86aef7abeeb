import Testing

@testable import DuckDB

@Suite("DuckDB's library")
struct DuckDBLibraryTests {
  /// Runs with and without the library: either there is a version, or the reason says what to do.
  @Test func absenceSaysWhatToDo() {
    if let problem = DuckDBLibrary.problem {
      #expect(problem.hasSuffix("run make setup"))
      #expect(throws: DuckDBError.self) { _ = try DuckDBDatabase() }
    } else {
      #expect(DuckDBLibrary.version?.hasPrefix("v") == true)
      #expect(DuckDBLibrary.path?.hasSuffix(".so") == true)
    }
    #expect("\(DuckDBError.unavailable(reason: "x"))" == "DuckDB is not available: x; run make setup")
  }
}
