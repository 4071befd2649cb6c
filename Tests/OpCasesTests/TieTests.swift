import KilnDevices
import KilnEngine
import Testing

/// Where several elements are equal, the rules of docs/numerics.md say which counts: values alone do not show it.
@Suite struct TieTests {
  @Test("a pooling window's gradient goes to the first of its equal elements", arguments: TestDevices.all)
  func pooling(device: Device) throws {
    let x = Tensor.ones([1, 1, 4, 4], on: device).watched()
    let gradient = try gradient(of: maxPool2D(x, size: (2, 2)).sum(), withRespectTo: x)
    #expect(try gradient.doubles() == [1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0])
  }

  @Test("argmax and argmin give the first of equals", arguments: TestDevices.all)
  func positions(device: Device) throws {
    let values = (0..<600).map { Float($0 % 3) }
    let x = Tensor(values, shape: [2, 300], on: device)
    #expect(try x.argmax(axis: 1).doubles() == [2, 2])
    #expect(try x.argmin(axis: 1).doubles() == [0, 0])
  }

  @Test("sorting keeps the order of equals, both ways", arguments: TestDevices.all)
  func sorting(device: Device) throws {
    let values = (0..<200).map { Int32($0 % 2) }
    let x = Tensor(values, on: device)
    let even = stride(from: 0.0, to: 200, by: 2)
    let odd = stride(from: 1.0, to: 200, by: 2)
    #expect(try x.argsorted().doubles() == Array(even) + Array(odd))
    #expect(try x.argsorted(descending: true).doubles() == Array(odd) + Array(even))
  }

  @Test("equal operands of maximum and minimum share the gradient evenly", arguments: TestDevices.all)
  func pairs(device: Device) throws {
    let a = Tensor([1, 2, 3] as [Float], on: device).watched()
    let b = Tensor([1, 3, 2] as [Float], on: device).watched()
    let greater = try gradient(of: maximum(a, b).sum(), withRespectTo: [a, b])
    #expect(try greater.map { try $0.doubles() } == [[0.5, 0, 1], [0.5, 1, 0]])
    let lesser = try gradient(of: minimum(a, b).sum(), withRespectTo: [a, b])
    #expect(try lesser.map { try $0.doubles() } == [[0.5, 1, 0], [0.5, 0, 1]])
  }

  @Test("equal extremes along an axis share the gradient evenly", arguments: TestDevices.all)
  func reductions(device: Device) throws {
    let x = Tensor([4, 1, 4, 4] as [Float], on: device).watched()
    let shares = try gradient(of: x.max(), withRespectTo: x).doubles()
    for (share, expected) in zip(shares, [1.0 / 3, 0, 1.0 / 3, 1.0 / 3]) { #expect(abs(share - expected) < 1e-6) }
    #expect(shares.count == 4)
  }
}
