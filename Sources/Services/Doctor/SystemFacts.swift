import Core

/// What ``Doctor`` needs to know about the machine and this process.
public struct SystemFacts: Sendable, Equatable {
  public struct Library: Sendable, Equatable {
    public var name: String
    /// The version loaded at run time.
    public var linked: String
    /// The version of the headers, where the library tells it.
    public var builtWith: String?

    public init(name: String, linked: String, builtWith: String? = nil) {
      self.name = name
      self.linked = linked
      self.builtWith = builtWith
    }
  }

  public struct Disk: Sendable, Equatable {
    public var totalBytes: Int64
    /// What a process without privileges may still use.
    public var freeBytes: Int64

    public init(totalBytes: Int64, freeBytes: Int64) {
      self.totalBytes = totalBytes
      self.freeBytes = freeBytes
    }
  }

  public var libraries: [Library] = []
  public var kernel = ""
  public var processorCount = 0
  public var folder = "."
  public var disk: Disk?
  public var diskProblem: String?
  /// Why a file cannot be written in the folder; `nil` when one was.
  public var writeProblem: String?
  public var memoryAvailableBytes: Int64?
  public var realTime = UnixNanos(0)
  /// `nil` when the kernel doesn't tell.
  public var clockIsSynchronised: Bool?
  public var monotonicClockWorks = false
  /// `nil` for no limit.
  public var openFilesMax: UInt64?
  public var coreDumpBytesMax: UInt64?
  public var compiler = ""

  public init() {}
}
