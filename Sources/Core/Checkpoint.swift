/// Something that can be written down whole and made again, so that going on is as if it had never stopped.
///
/// **Problem.** A state machine that is fed for days must be back within a second after a crash, with the
/// same next output to the bit.
///
/// **Why the obvious answer fails.** Feeding it everything again takes as long as the days' data. A generic
/// encoder (JSON, a property list) rounds floating point, is slow for megabytes of windows and histories, and
/// its convenience hides which state there is. Copying memory ties a file to a compiler's layout.
///
/// **Algorithm.** Every type writes its own fields, in an extension `Type+Checkpoint.swift`: integers
/// little-endian, floating point by its bits, runs of words at once, a tag and a length around each type.
/// What follows from configuration or from other fields is not written but made again, and the extension says
/// so. Restoring is done in place, on a value that has just been made with the same configuration.
///
/// **Bounds.** A reader takes nothing on trust: counts are checked against what is left of the file before
/// room is made, and whatever later code relies on (a place in a ring, a scale, a rising order) is checked
/// here. It throws and never traps; a value whose restoring has thrown is to be thrown away.
public protocol Checkpointed: ~Copyable {
  func save(to writer: inout CheckpointWriter)

  /// - Precondition: the value is new, made with the configuration of the one that was saved.
  /// - Throws: ``CheckpointError`` for bytes that no ``save(to:)`` has written; the value is then undefined.
  mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError)
}

/// Where a checkpoint is not what was written.
public struct CheckpointError: Error, Equatable, CustomStringConvertible {
  public var offset: Int
  public var problem: String

  public init(_ problem: String, at offset: Int) {
    self.problem = problem
    self.offset = offset
  }

  public var description: String { "the checkpoint is damaged at byte \(offset): \(problem)" }
}

/// A section's name: four letters that are the same in every version of a format.
public struct CheckpointTag: Equatable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  let code: UInt32

  public init(stringLiteral text: StaticString) {
    precondition(text.utf8CodeUnitCount == 4, "a tag has four letters")
    code = (0..<4).reduce(0) { $0 | UInt32(text.utf8Start[$1]) << UInt32(8 * $1) }
  }

  init(code: UInt32) { self.code = code }

  public var description: String {
    String(decoding: (0..<4).map { UInt8(truncatingIfNeeded: code >> UInt32(8 * $0)) }, as: UTF8.self)
  }
}
