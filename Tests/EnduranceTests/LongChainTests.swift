import Kiln
import Testing

@Suite("Long graphs")
struct LongChainTests {
  @Test("a chain of 1,000,000 ops is built and released without overflowing the stack")
  func longChain() {
    var x = Tensor.zeros([2], on: .cpu)
    for _ in 0..<1_000_000 { x = x + 1 }
    #expect(x.error == nil)
    // Released here, and once more with a second owner of a node in the middle.
    var y = Tensor.zeros([2], on: .cpu)
    var middle = y
    for i in 0..<200_000 {
      y = y * 2
      if i == 100_000 { middle = y }
    }
    y = middle
    #expect(y.shape == [2])
  }

  @Test("a watched chain of 100,000 ops is evaluated in stretches, differentiated and released")
  func watchedChain() throws {
    let x = Tensor([1, 2] as [Float], on: .cpu).watched()
    var y = x
    for i in 1...100_000 {
      y = y + 1
      if i % 500 == 0 { try evaluate(y) }
    }
    #expect(try y.doubles() == [100_001, 100_002])
    #expect(try gradient(of: y.sum(), withRespectTo: [x])[0].doubles() == [1, 1])
  }
}
