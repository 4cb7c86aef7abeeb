@preconcurrency import Glibc

/// The variables this process was started with.
public enum ProcessEnvironment {
  /// Call it before threads that change the environment exist; Weir has none.
  public static func variables() -> [String: String] {
    var result: [String: String] = [:]
    var entry = environ
    while let raw = entry.pointee {
      let text = String(cString: raw)
      if let mark = text.firstIndex(of: "=") {
        // The first of repeated names is the one getenv returns.
        let name = String(text[..<mark])
        if result[name] == nil { result[name] = String(text[text.index(after: mark)...]) }
      }
      entry += 1
    }
    return result
  }
}
