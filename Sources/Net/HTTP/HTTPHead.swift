import Core
import Glibc

/// One message's head as it was received: its bytes, once, and where its parts lie in them.
///
/// A parser fills the same object again and again while nobody else holds it; strings are made only of the
/// parts that somebody asks for.
final class HTTPHead {
  struct Part {
    var start: Int32 = 0
    var count: Int32 = 0
    var end: Int { Int(start) + Int(count) }
  }

  struct Field {
    var name = Part()
    var value = Part()
  }

  /// A head with more fields is refused.
  static let fieldsMax = 100

  private var base: UnsafeMutableRawPointer
  private var capacity = 1024
  let fields: UnsafeMutablePointer<Field>
  var fieldCount = 0
  var target = Part()

  init() {
    base = .allocate(byteCount: capacity, alignment: 16)
    fields = .allocate(capacity: HTTPHead.fieldsMax)
  }

  deinit {
    base.deallocate()
    fields.deallocate()
  }

  func keep(_ bytes: UnsafeRawBufferPointer) {
    if bytes.count > capacity {
      base.deallocate()
      capacity = bytes.count
      base = .allocate(byteCount: capacity, alignment: 16)
    }
    base.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
  }

  func bytes(_ part: Part) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + Int(part.start), count: Int(part.count))
  }

  func text(_ part: Part) -> String { String(decoding: bytes(part), as: UTF8.self) }

  /// The first field's value of that name, which is given in lower case.
  func value(_ lowercased: StaticString) -> Part? {
    let name = UnsafeRawBufferPointer(start: lowercased.utf8Start, count: lowercased.utf8CodeUnitCount)
    return first { HTTPText.same($0, lowercased: name) }
  }

  func value(named name: String) -> String? {
    var lower = name.lowercased()
    return lower.withUTF8 { bytes in
      first { HTTPText.same($0, lowercased: UnsafeRawBufferPointer(bytes)) }.map { text($0) }
    }
  }

  private func first(where matches: (UnsafeRawBufferPointer) -> Bool) -> Part? {
    for index in 0..<fieldCount where matches(bytes(fields[index].name)) { return fields[index].value }
    return nil
  }

  var headers: HTTPHeaders {
    var headers = HTTPHeaders()
    for index in 0..<fieldCount { headers.add(text(fields[index].name), text(fields[index].value)) }
    return headers
  }
}
