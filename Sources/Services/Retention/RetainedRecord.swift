import Core

/// A ``ConversionRecord`` as retention sees it: it moves files from one list to another and leaves all else as it is,
/// also what a later version has written.
struct RetainedRecord {
  let path: String
  private(set) var json: JSONValue

  var segment: String {
    let name = json["segment"]?.text ?? ""
    return String(name.prefix { $0 != "." })
  }

  var sealSHA256: String? {
    if case .string(let text)? = json["seal_sha256"] { text } else { nil }
  }

  /// - Throws: ``RetentionError/record(path:)`` for one that cannot be understood: what it would name is
  ///   unknown.
  static func list(_ folder: String) throws -> [RetainedRecord] {
    let records = folder + "/_conversion"
    guard Files.isFolder(records) else { return [] }
    return try Files.list(records).filter { $0.hasSuffix(".json") }.map { name in
      let path = "\(records)/\(name)"
      let bytes = try Files.read(path, bytesMax: 64 << 20)
      guard let json = bytes.withUnsafeBytes({ try? JSONValue(parsing: $0) }), json["files"]?.elements != nil
      else { throw RetentionError.record(path: path) }
      return RetainedRecord(path: path, json: json)
    }
  }

  /// Rows by file, with the file's path under the Parquet folder.
  var files: [(path: String, rows: Int64)] {
    (json["files"]?.elements ?? []).compactMap { file in
      file["path"]?.text.map { ($0, file["rows"]?.integer ?? 0) }
    }
  }

  /// The rows of these files are now in another one.
  ///
  /// - Returns: whether that changes the record.
  mutating func move(_ paths: Set<String>, to target: String) -> Bool {
    change(paths) { file in
      var file = file
      file.set("path", .string(target))
      file.set("compacted", .bool(true))
      return file
    }
  }

  /// These files are removed: the record keeps them apart, so that nobody misses them.
  mutating func remove(_ paths: Set<String>, at: UnixNanos) -> Bool {
    var gone = json["removed_files"]?.elements ?? []
    let changes = change(paths) { file in
      var file = file
      file.set("removed_at", .string(UTCDate(at).isoText))
      gone.append(file)
      return nil
    }
    if changes { json.set("removed_files", .array(gone)) }
    return changes
  }

  private mutating func change(_ paths: Set<String>, _ body: (JSONValue) -> JSONValue?) -> Bool {
    var changes = false
    let files = (json["files"]?.elements ?? []).compactMap { file -> JSONValue? in
      guard let path = file["path"]?.text, paths.contains(path) else { return file }
      changes = true
      return body(file)
    }
    if changes { json.set("files", .array(files)) }
    return changes
  }

  func write() throws(FileError) {
    var failure: FileError?
    Array((json.text(pretty: true) + "\n").utf8).withUnsafeBytes { bytes in
      do throws(FileError) { try Files.replace(path, bytes, durable: true) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}

extension JSONValue {
  /// Replaces an object's member, or adds it at the end.
  fileprivate mutating func set(_ key: String, _ value: JSONValue) {
    guard case .object(var members) = self else { return }
    if let index = members.firstIndex(where: { $0.key == key }) {
      members[index].value = value
    } else {
      members.append(.init(key, value))
    }
    self = .object(members)
  }
}
