/// Members of notes on a depth stream that readers of the tape obey, because the harvester does the same to its book.
enum BookNote {
  /// `true`: the book is made anew from a snapshot.
  static let rebuild = "rebuild"
  /// `true`: snapshots stand in for the stream from here on; `false`: no more.
  static let polled = "book_polled"
}
