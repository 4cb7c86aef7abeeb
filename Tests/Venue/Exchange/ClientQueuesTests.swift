import Core
import Testing

@testable import Venue

@Suite("Exchange, queues of a level")
struct ClientQueuesTests {
  private func shape(_ queues: ClientQueues, _ tick: Int = 10) -> [[Int64]] {
    queues.queue(.bid, tick).map { [$0.orderID, $0.ahead, $0.lots] }
  }

  @Test func takersEatFromTheFront() {
    var queues = ClientQueues()
    #expect(queues.isEmpty)
    queues.append(.bid, 10, orderID: 1, lots: 5, resting: 100)
    // 20 anonymous lots join, then a second client.
    queues.append(.bid, 10, orderID: 2, lots: 7, resting: 125)
    #expect(shape(queues) == [[1, 100, 5], [2, 20, 7]])
    #expect(queues.lots(.bid, 10) == 12)
    #expect(queues.consume(.bid, 10, 99).isEmpty)
    #expect(queues.consume(.bid, 10, 4).map { [$0.orderID, $0.lots] } == [[1, 3]])
    #expect(shape(queues) == [[1, 0, 2], [2, 20, 7]])
    #expect(queues.consume(.bid, 10, 25).map { [$0.orderID, $0.lots] } == [[1, 2], [2, 3]])
    #expect(queues.consume(.bid, 10, 1000).map { [$0.orderID, $0.lots] } == [[2, 4]])
    #expect(queues.isEmpty)
  }

  @Test func cancelsLeaveYoungestFirstAndNeverTakeClients() {
    var queues = ClientQueues()
    queues.append(.bid, 10, orderID: 1, lots: 5, resting: 100)
    queues.append(.bid, 10, orderID: 2, lots: 7, resting: 125)
    // 132 lots and 30 more behind: those go first.
    #expect(queues.keep(.bid, 10, 140) == 140)
    #expect(shape(queues) == [[1, 100, 5], [2, 20, 7]])
    #expect(queues.keep(.bid, 10, 120) == 120)
    #expect(shape(queues) == [[1, 100, 5], [2, 8, 7]])
    #expect(queues.keep(.bid, 10, 100) == 100)
    #expect(shape(queues) == [[1, 88, 5], [2, 0, 7]])
    #expect(queues.keep(.bid, 10, 0) == 12)
    #expect(shape(queues) == [[1, 0, 5], [2, 0, 7]])
    #expect(queues.keep(.bid, 11, 3) == 3)
  }

  @Test func whoLeavesHandsOnWhatStoodAhead() {
    var queues = ClientQueues()
    queues.append(.bid, 10, orderID: 1, lots: 5, resting: 100)
    queues.append(.bid, 10, orderID: 2, lots: 7, resting: 125)
    #expect(queues.remove(.bid, 10, orderID: 3) == nil)
    #expect(queues.remove(.bid, 10, orderID: 1) == 5)
    #expect(shape(queues) == [[2, 120, 7]])
    #expect(queues.remove(.bid, 10, orderID: 2) == 7)
    #expect(queues.isEmpty)
  }

  @Test func parkedOrdersComeBackInOrder() {
    var queues = ClientQueues()
    queues.park(.bid, 10, orderID: 1, lots: 5)
    queues.park(.bid, 10, orderID: 2, lots: 6)
    #expect(queues.isEmpty && queues.hasParked)
    #expect(queues.remove(.bid, 10, orderID: 2) == 0)
    queues.append(.bid, 12, orderID: 4, lots: 1, resting: 9)
    queues.park(.bid, 12)
    #expect(queues.isEmpty)
    #expect(queues.unpark(.bid, 12).map { [$0.orderID, $0.ahead, $0.lots] } == [[4, 0, 1]])
    #expect(queues.unpark(.bid, 10).map(\.orderID) == [1])
    #expect(!queues.hasParked)
  }
}
