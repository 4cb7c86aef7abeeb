import Core

/// Commands that are sent together and answered together.
///
/// They are written in the protocol's form at once (an array of bulk strings), so that no array of pointers into
/// Swift's memory has to be kept for the library's `argv` calls, and a record is copied once.
///
/// **Bound.** A pipeline takes ``commandsMax`` commands; the caller sends it when it ``isFull``.
public struct RedisPipeline: ~Copyable {
  public let commandsMax: Int
  public private(set) var count = 0
  private(set) var wire: ByteWriter
  private(set) var firstCommand = ""
  private var wordsLeft = 0

  public init(commandsMax: Int = 100) {
    precondition(commandsMax > 0)
    self.commandsMax = commandsMax
    wire = ByteWriter(capacity: 64 << 10)
  }

  /// Bytes on the wire so far.
  public var bytes: Int { wire.count }
  public var isEmpty: Bool { count == 0 }
  public var isFull: Bool { count >= commandsMax }

  /// Adds a whole command.
  public mutating func add(_ words: [String]) {
    begin(words[0], words: words.count)
    for word in words.dropFirst() { append(word) }
  }

  /// Begins a command of so many words, its name among them; exactly the others must follow.
  public mutating func begin(_ name: String, words: Int) {
    precondition(wordsLeft == 0 && words > 0, "the command before has other words than it announced")
    precondition(count < commandsMax, "a full pipeline is sent before more is added")
    if count == 0 { firstCommand = name }
    count += 1
    wordsLeft = words
    wire.append(byte: 0x2A)
    wire.append(integer: Int64(words))
    wire.append("\r\n" as StaticString)
    append(name)
  }

  public mutating func append(_ word: String) {
    var copy = word
    copy.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  public mutating func append(_ word: UnsafeRawBufferPointer) {
    precondition(wordsLeft > 0, "a command has more words than it announced")
    wordsLeft -= 1
    wire.append(byte: 0x24)
    wire.append(integer: Int64(word.count))
    wire.append("\r\n" as StaticString)
    wire.append(bytes: word)
    wire.append("\r\n" as StaticString)
  }

  public mutating func removeAll() {
    wire.removeAll()
    count = 0
    wordsLeft = 0
  }
}
