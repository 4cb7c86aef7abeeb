import Core

/// Everything retention decides by, as values: what lies where, who needs what, how full the disks are.
public struct RetentionInventory: Equatable, Sendable {
  /// One thing that is kept or removed as a whole.
  public struct Item: Equatable, Sendable {
    public var kind: RetainedKind
    /// What it is called in a plan: a segment's or file's path.
    public var path: String
    /// On the disk.
    public var bytes: Int64
    /// No record in it is as young as this.
    public var endNs: Int64
    /// Index of ``disks``.
    public var disk: Int
    public var detail: Detail

    public init(kind: RetainedKind, path: String, bytes: Int64, endNs: Int64, disk: Int, detail: Detail) {
      self.kind = kind
      self.path = path
      self.bytes = bytes
      self.endNs = endNs
      self.disk = disk
      self.detail = detail
    }
  }

  public enum Detail: Equatable, Sendable {
    case segment(Segment)
    case table(TableFile)
    /// Of a run; of a tape, the seal of a segment whose records are gone.
    case file
  }

  public struct Segment: Equatable, Sendable {
    /// Index of ``tapes``.
    public var tape: Int
    public var stem: String
    /// nil where there is no seal to tell.
    public var lastSequence: Int64?
    public var isCompressed: Bool
    /// Its seal is the one that a conversion record names.
    public var isConverted: Bool

    public init(tape: Int, stem: String, lastSequence: Int64?, isCompressed: Bool, isConverted: Bool) {
      self.tape = tape
      self.stem = stem
      self.lastSequence = lastSequence
      self.isCompressed = isCompressed
      self.isConverted = isConverted
    }
  }

  public struct TableFile: Equatable, Sendable {
    /// The folder of all Parquet.
    public var folder: String
    /// Of the symbol's day, under ``folder``: `kind=K/date=D/symbol=S`.
    public var leaf: String
    public var name: String
    /// nil for a compacted day.
    public var hour: Int?

    public init(folder: String, leaf: String, name: String, hour: Int?) {
      self.folder = folder
      self.leaf = leaf
      self.name = name
      self.hour = hour
    }

    /// The folder it lies in.
    public var place: String { "\(folder)/\(leaf)" }
  }

  public struct Tape: Equatable, Sendable {
    public var folder: String
    public var isBeingWritten: Bool
    public var holds: [Hold]
    /// The newest record that an earlier trim has removed, or was about to.
    public var trimmedTo: Int64?

    public init(folder: String, isBeingWritten: Bool = false, holds: [Hold] = [], trimmedTo: Int64? = nil) {
      self.folder = folder
      self.isBeingWritten = isBeingWritten
      self.holds = holds
      self.trimmedTo = trimmedTo
    }
  }

  /// Someone still needs a tape from a record or an hour on; with neither, all of it.
  public struct Hold: Equatable, Sendable {
    public var name: String
    public var sequence: Int64?
    public var stem: String?

    public init(name: String, sequence: Int64? = nil, stem: String? = nil) {
      self.name = name
      self.sequence = sequence
      self.stem = stem
    }

    func needs(_ segment: Segment) -> Bool {
      guard sequence != nil || stem != nil else { return true }
      if let stem, segment.stem >= stem { return true }
      guard let sequence else { return false }
      return segment.lastSequence.map { $0 >= sequence } ?? true
    }
  }

  public struct UnfinishedCompaction: Equatable, Sendable {
    /// Its folder.
    public var path: String
    /// The symbol's day it will replace, as ``TableFile/place``; nil where it will be thrown away.
    public var place: String?

    public init(path: String, place: String?) {
      self.path = path
      self.place = place
    }
  }

  public struct Disk: Equatable, Sendable {
    /// A folder on it.
    public var path: String
    public var totalBytes: Int64
    public var freeBytes: Int64

    public init(path: String, totalBytes: Int64, freeBytes: Int64) {
      self.path = path
      self.totalBytes = totalBytes
      self.freeBytes = freeBytes
    }

    public var usedBytes: Int64 { totalBytes - freeBytes }
  }

  public var items: [Item] = []
  public var tapes: [Tape] = []
  public var disks: [Disk] = []
  /// What interrupted compactions have left.
  public var unfinishedCompactions: [UnfinishedCompaction] = []

  public init() {}
}
