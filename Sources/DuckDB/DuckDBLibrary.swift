import CDuckDB
import Core
import Glibc

/// # DuckDB, found when it is needed
///
/// **Problem.** SQL over columns is a database's work, not ours, but a library of 65 MB that Debian does not
/// package must not be needed to build or to run the rest.
///
/// **What is done.** The library is opened by `dlopen` at the first use. Looked at, in this order: the variable
/// `WEIR_DUCKDB_LIBRARY`; `.deps/lib/libduckdb.so`, where `make setup` puts it, in the folders above the
/// program and in the current one; the system's `libduckdb.so`. The library out of a Python wheel wants data
/// symbols of an interpreter: `libduckdb-python.so` beside it defines them. They are never used.
public enum DuckDBLibrary {
  /// What a search came to: one for the process, made once.
  private static let loaded: Result<String, DuckDBError> = load()

  /// - Throws: ``DuckDBError/unavailable(reason:)``
  public static func require() throws(DuckDBError) { _ = try loaded.get() }

  /// Why DuckDB cannot be used here, or nil.
  public static var problem: String? {
    if case .failure(let error) = loaded { return "\(error)" }
    return nil
  }

  /// `v2.0.0`; nil where there is none.
  public static var version: String? {
    guard (try? loaded.get()) != nil else { return nil }
    return cduckdb_library_version().map { String(cString: $0) }
  }

  /// The file it was loaded from; nil where there is none.
  public static var path: String? { try? loaded.get() }

  private static func load() -> Result<String, DuckDBError> {
    // The first place is the one that was meant.
    var reason: String?
    for path in candidates() {
      let names = folder(of: path).map { $0 + "/libduckdb-python.so" }
      guard let problem = cduckdb_load(path, names.flatMap { Files.exists($0) ? $0 : nil }) else {
        return .success(path)
      }
      reason = reason ?? String(cString: problem)
    }
    return .failure(.unavailable(reason: reason ?? "no library was found"))
  }

  static let variable = "WEIR_DUCKDB_LIBRARY"

  private static func candidates() -> [String] {
    if let named = getenv(variable), named.pointee != 0 { return [String(cString: named)] }
    var folders: [String] = []
    var program = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let length = readlink("/proc/self/exe", &program, Int(PATH_MAX))
    if length > 0 {
      let path = String(decoding: program[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      var above = folder(of: path)
      while let name = above, !name.isEmpty {
        folders.append(name)
        above = folder(of: name)
      }
    }
    let inDependencies = (folders + ["."]).map { $0 + "/.deps/lib/libduckdb.so" }.filter { Files.exists($0) }
    return inDependencies + ["libduckdb.so"]
  }

  private static func folder(of path: String) -> String? {
    path.lastIndex(of: "/").map { String(path[..<$0]) }
  }
}
