import Core
import Tape

extension SignalCheckpoint {
  /// The hour of the tape from which a run folder's signal stage would go on; nil where it would begin again.
  ///
  /// Only the head of the file is read: who it belongs to is for the stage to judge, which then needs either
  /// this hour or all of the tape.
  static func segment(runFolder: String) -> String? {
    guard let file = try? File(path(runFolder), .read) else { return nil }
    var head = [UInt8](repeating: 0, count: 1 << 16)
    let count = head.withUnsafeMutableBytes { (try? file.read(into: $0)) ?? 0 }
    return head.withUnsafeBytes { bytes in
      try? segment(inHead: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }
  }

  private static func segment(inHead bytes: UnsafeRawBufferPointer) throws(CheckpointError) -> String {
    var reader = CheckpointReader(bytes)
    for index in 0..<magic.utf8CodeUnitCount {
      guard try reader.integer() == magic.utf8Start[index] else { throw reader.failure("is none of ours") }
    }
    let found: UInt32 = try reader.integer()
    guard found == version else { throw reader.failure("is of another version") }
    try reader.section("IDEN") { (reader) throws(CheckpointError) in _ = try RunIdentity(from: &reader) }
    var segment = ""
    try reader.section("PLAC") { (reader) throws(CheckpointError) in
      segment = try TapePlace(from: &reader).segment
    }
    return segment
  }
}
