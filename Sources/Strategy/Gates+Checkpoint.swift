import Core
import Flow

// A stored property added to `Gates` belongs in here; see `CheckpointLayoutTests`.
extension Gates: Checkpointed {
  /// The configuration is given.
  public func save(to writer: inout CheckpointWriter) {
    writer.append(lastConfirmed != nil)
    guard let lastConfirmed else { return }
    writer.append(lastConfirmed.kind)
    writer.append(lastConfirmed.timeMs)
  }

  public mutating func restore(from reader: inout CheckpointReader) throws(CheckpointError) {
    lastConfirmed = nil
    if try reader.boolean() { lastConfirmed = (try reader.value(), try reader.integer()) }
  }
}
