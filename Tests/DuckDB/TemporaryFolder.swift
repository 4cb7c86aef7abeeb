import Core
import Foundation

/// A folder that goes away with its last reference.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = "/tmp/weir-duckdb-\(UUID().uuidString)"
    try Files.makeFolder(path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
