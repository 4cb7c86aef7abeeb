import Core

/// One websocket connection.
final class Session {
  struct Subscription {
    var name: String
    /// Place in the ``StreamTable``; −1 for a stream that is acknowledged and never delivers.
    var stream: Int
  }

  let id: SessionID
  /// Sessions are numbered in order of opening.
  let number: Int64
  let root: VenueRoot
  var isRaw: Bool
  let openedAt: Int64
  var nextPing: Int64
  /// When an unanswered ping ends the session; `.max` while none is out.
  var pongDue = Int64.max
  var subscriptions: [Subscription] = []
  /// The running second of the client's messages.
  var secondBegin: Int64
  var secondMessages = 0

  init(id: SessionID, number: Int64, root: VenueRoot, isRaw: Bool, openedAt: Int64, nextPing: Int64) {
    self.id = id
    self.number = number
    self.root = root
    self.isRaw = isRaw
    self.openedAt = openedAt
    self.nextPing = nextPing
    secondBegin = openedAt
  }
}
