import Foundation

/// ClickHouse twice: the wire protocol by Debian's server of 2018, today's SQL by the engine of chdb.
extension RealServer {
  /// Debian's server, 18.16. It closes the descriptor by which Foundation notices a process's end, and
  /// Foundation then waits for it on the thread that watches all others; so a shell starts it, with whom it
  /// dies at once. User `default` has no password, user `weir` has `clickhouse-secret`.
  ///
  /// - Parameter data: the folder of its tables, which outlives it.
  public static func clickHouse(port: UInt16? = nil, data: String) throws -> RealServer {
    try FileManager.default.createDirectory(atPath: data + "/tmp", withIntermediateDirectories: true)
    waitUntilFree(data)
    let native = try ReservedPort()
    let users = """
      <yandex><profiles><default></default></profiles><quotas><default></default></quotas><users>
      <default><password></password><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota></default>
      <weir><password>clickhouse-secret</password><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota></weir></users></yandex>
      """
    native.release()
    return try RealServer(
      "sh", readyPath: "/ping", port: port,
      files: [
        "users.xml": users,
        "config.xml": """
        <yandex><logger><level>warning</level><console>1</console></logger>
        <listen_host>127.0.0.1</listen_host><tcp_port>\(native.port)</tcp_port>
        <path>\(data)/</path><tmp_path>\(data)/tmp/</tmp_path><users_config>users.xml</users_config>
        <default_profile>default</default_profile><default_database>default</default_database>
        <mark_cache_size>67108864</mark_cache_size><timezone>UTC</timezone></yandex>
        """,
      ]
    ) { port, folder in
      let server = "clickhouse-server --config-file=\(folder)/config.xml -- --http_port=\(port)"
      return ["-c", "setpriv --pdeathsig KILL \(server) & wait"]
    }
  }

  /// A server that was just killed may still hold its folder.
  private static func waitUntilFree(_ data: String) {
    let descriptor = open(data + "/status", O_RDWR)
    guard descriptor >= 0 else { return }
    let deadline = Date().addingTimeInterval(60)
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0, Date() < deadline { usleep(10_000) }
    close(descriptor)
  }

  /// The Python of the conformance tests, with chdb among its packages; nil without it.
  public static var chdbPython: String? {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path
    let python = root + "/.deps/peers/bin/python"
    let folder = root + "/.deps/peers/lib"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let hasEngine = versions.contains { access("\(folder)/\($0)/site-packages/chdb", F_OK) == 0 }
    return hasEngine ? python : nil
  }

  /// chdb's engine behind a page of Python.
  ///
  /// - Parameters:
  ///   - data: the folder of its tables, which outlives it.
  ///   - insertsMax: it kills itself after so many inserts.
  public static func chdb(port: UInt16? = nil, data: String, insertsMax: Int? = nil) throws -> RealServer {
    guard let python = chdbPython else {
      throw Failure(description: "chdb is not there; run scripts/peers.sh")
    }
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Conformance/Scripts/chdb_server.py").path
    return try RealServer("env", readyPath: "/ping", port: port) { port, _ in
      [python, script, "\(port)", data] + (insertsMax.map { ["--die-after", "\($0)"] } ?? [])
    }
  }
}
