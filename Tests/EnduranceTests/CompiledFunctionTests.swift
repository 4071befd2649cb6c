import Kiln
import KilnEngine
import OpCases
import Synchronization
import Testing

/// Functions that are traced once and replayed: right numbers, in place, and an error for whatever could go stale.
@Suite("Compiled functions")
struct CompiledFunctionTests {
  private static func devices() throws -> [Device] { [try Device.named("cpu"), try Device.named("opencl:0")] }

  private func weights(on device: Device) -> Tensor {
    Tensor([0.5, -1, 2, 0.25] as [Float], shape: [2, 2], on: device)
  }
  private func batch(_ seed: UInt64, rows: Int = 3, on device: Device) -> [Tensor] {
    let generator = RandomGenerator(seed: seed)
    return [
      .randomNormal([rows, 2], generator: generator, on: device),
      .randomNormal([rows, 2], generator: generator, on: device),
    ]
  }

  @Sendable private static func descend(_ state: [Tensor], _ inputs: [Tensor], _ scalars: [Tensor]) throws -> (
    state: [Tensor], outputs: [Tensor]
  ) {
    let w = state[0].watched()
    let loss = square(matmul(inputs[0], w) - inputs[1]).mean()
    let g = try gradient(of: loss, withRespectTo: w)
    return ([state[0] - g * scalars[0]], [loss])
  }

  @Test("replays give the bits of evaluating, with new numbers and inputs, and compile nothing")
  func replaysEqualEvaluation() throws {
    for base in try Self.devices() {
      let driver = CountingDriver(base)
      let device = Device(driver)
      let step = CompiledFunction(Self.descend)
      var state = [weights(on: device)]
      var plain = weights(on: base)
      for i in 0..<6 {
        let rate = 0.1 / Double(i + 1)
        let result = try step(state: state, inputs: batch(UInt64(i), on: device), scalars: [rate])
        state = result.state
        let inputs = batch(UInt64(i), on: base)
        try evaluate(inputs)
        let w = plain.watched()
        let loss = square(matmul(inputs[0], w) - inputs[1]).mean()
        let next = try plain - gradient(of: loss, withRespectTo: w) * rate
        try evaluate([next, loss.stopGradient()])
        plain = next.stopGradient()
        #expect(try state[0].hostBytes() == plain.hostBytes(), "\(base) step \(i)")
        #expect(try result.outputs[0].hostBytes() == loss.hostBytes(), "\(base) step \(i)")
      }
      // One program makes batches, one is the step; the second call traced again, to compare.
      #expect(step.traces == 2)
      #expect(driver.compilations.load(ordering: .relaxed) <= 3)
    }
  }

  @Test("state is updated in place, unless another tensor shows it; the old one is given away")
  func inPlace() throws {
    for device in try Self.devices() {
      let step = CompiledFunction { state, _, _ in (state.map { $0 * 2 }, []) }
      let first = weights(on: device)
      let identity = first.bufferIdentity
      let second = try step(state: [first], inputs: []).state[0]
      #expect(second.bufferIdentity == identity)
      #expect(throws: TensorError.self) { try first.doubles() }
      let view = second[0]
      try evaluate(view)
      let third = try step(state: [second], inputs: []).state[0]
      #expect(third.bufferIdentity != identity)
      #expect(try view.doubles() == [1, -2])
      #expect(try third.doubles() == [2, -4, 8, 1])
      let fourth = try step(state: [third], inputs: []).state[0]
      #expect(fourth.bufferIdentity == third.bufferIdentity || third.bufferIdentity == nil)
    }
  }

  @Test("an input that shows the state's memory keeps it from being overwritten")
  func sharedArgument() throws {
    for device in try Self.devices() {
      let step = CompiledFunction { state, inputs, _ in ([state[0] * 2], [inputs[0] + state[0]]) }
      for _ in 0..<3 {
        let w = weights(on: device)
        let result = try step(state: [w], inputs: [w])
        #expect(try result.state[0].doubles() == [1, -2, 4, 0.5])
        #expect(try result.outputs[0].doubles() == [1, -2, 4, 0.5])
      }
    }
  }

  @Test("what comes back as it went in, twice, or exchanged")
  func passedThrough() throws {
    for device in try Self.devices() {
      let step = CompiledFunction { state, inputs, _ in
        ([state[1], state[0], state[2]], [inputs[0], state[0], state[0] + 1, state[0] + 1])
      }
      var state = [weights(on: device), weights(on: device) * 3, weights(on: device) * 5]
      for _ in 0..<3 {
        let before = try state.map { try $0.doubles() }
        let x = Tensor([7] as [Float], on: device)
        let result = try step(state: state, inputs: [x])
        state = result.state
        #expect(try state.map { try $0.doubles() } == [before[1], before[0], before[2]])
        let outputs = try result.outputs.map { try $0.doubles() }
        #expect(outputs == [[7], before[0], before[0].map { $0 + 1 }, before[0].map { $0 + 1 }])
      }
    }
  }

  @Test("random numbers go on as evaluating would draw them, also after the generator was set back")
  func randomNumbers() throws {
    for device in try Self.devices() {
      let (generator, twin) = (RandomGenerator(seed: 5), RandomGenerator(seed: 5))
      let step = CompiledFunction { _, inputs, _ in
        let unused = Tensor.randomNormal([3], generator: generator, on: inputs[0].device)
        _ = unused
        let mask = Tensor.randomUniform([3, 2], generator: generator, on: inputs[0].device) .< 0.5
        return ([], [select(mask, inputs[0], 0), Tensor.randomNormal([2], generator: generator, on: inputs[0].device)])
      }
      let x = batch(1, on: device)[0]
      var seen: Set<[UInt8]> = []
      for i in 0..<6 {
        if i == 4 {
          generator.state = .init(seed: 5, counter: 0)
          twin.state = .init(seed: 5, counter: 0)
        }
        let outputs = try step(inputs: [x]).outputs
        _ = Tensor.randomNormal([3], generator: twin, on: device)
        let mask = Tensor.randomUniform([3, 2], generator: twin, on: device) .< 0.5
        let noise = Tensor.randomNormal([2], generator: twin, on: device)
        #expect(try outputs[0].hostBytes() == select(mask, x, 0).hostBytes(), "\(device) call \(i)")
        #expect(try outputs[1].hostBytes() == noise.hostBytes(), "\(device) call \(i)")
        #expect(generator.state == twin.state)
        if i < 4 { #expect(try seen.insert(outputs[1].hostBytes()).inserted) }
      }
    }
  }

  @Test("another shape, dtype, mode or option is traced anew, and each once")
  func signatures() throws {
    let device = Device.cpu
    let step = CompiledFunction(Self.descend)
    func run(rows: Int, mode: [Int] = []) throws -> [Double] {
      try step(state: [weights(on: device)], inputs: batch(9, rows: rows, on: device), scalars: [0.5], mode: mode)
        .state[0].doubles()
    }
    let three = try run(rows: 3)
    let four = try run(rows: 4)
    #expect(three != four)
    #expect(step.traces == 2)
    for _ in 0..<3 {
      #expect(try run(rows: 3) == three)
      #expect(try run(rows: 4) == four)
    }
    #expect(step.traces == 4)
    #expect(try run(rows: 4, mode: [1]) == four)
    #expect(step.traces == 5)
    #expect(try EngineOptions.with({ $0.fusion = false }) { try run(rows: 4) } == four)
    #expect(step.traces == 6)
    #expect(try EngineOptions.with({ $0.eager = true }) { try run(rows: 4) } == four)
    #expect(step.traces == 6)
  }

  @Test("a captured tensor, and one made of numbers inside, are refused")
  func captured() throws {
    let device = Device.cpu
    let mean = Tensor([1, 2] as [Float], on: device)
    let centre = CompiledFunction { _, inputs, _ in ([], [inputs[0] - mean]) }
    #expect(throws: TensorError.self) { try centre(inputs: batch(1, on: device)) }
    let made = CompiledFunction { _, inputs, _ in ([], [inputs[0] - Tensor([1, 2] as [Float], on: device)]) }
    #expect(throws: TensorError.self) { try made(inputs: batch(1, on: device)) }
    // A view of one as well.
    let view = CompiledFunction { _, inputs, _ in ([], [inputs[0] - mean[0]]) }
    #expect(throws: TensorError.self) { try view(inputs: batch(1, on: device)) }
  }

  @Test("reading or evaluating inside is refused, and takes no random numbers")
  func readsInside() throws {
    let device = Device.cpu
    let generator = RandomGenerator(seed: 8)
    let bodies: [CompiledFunction.Body] = [
      { _, inputs, scalars in
        _ = Tensor.randomNormal([2], generator: generator, on: device)
        return ([], [inputs[0] * (try inputs[0].sum().item())])
      },
      { _, inputs, scalars in ([], [inputs[0] * (try scalars[0].item())]) },
      { _, inputs, _ in
        let y = Tensor.randomNormal([3, 2], generator: generator, on: device) * inputs[0]
        try evaluate(y)
        return ([], [y])
      },
    ]
    for body in bodies {
      #expect(throws: TensorError.self) {
        try CompiledFunction(body)(inputs: batch(1, on: device), scalars: [2])
      }
      #expect(generator.state.counter == 0)
    }
  }

  @Test("a number that changes inside, or another course, is found at the second call and by recheck")
  func changedInside() throws {
    let device = Device.cpu
    let x = Tensor([1, 2] as [Float], on: device)
    let generator = RandomGenerator(seed: 2)
    let count = SharedCount()
    let counting = CompiledFunction { _, inputs, _ in
      _ = Tensor.randomNormal([2], generator: generator, on: device)
      return ([], [inputs[0] * Double(count.next())])
    }
    #expect(try counting(inputs: [x]).outputs[0].doubles() == [0, 0])
    #expect(throws: TensorError.self) { try counting(inputs: [x]) }
    #expect(generator.state.counter == 1)

    let switched = SharedCount()
    let step = CompiledFunction { _, inputs, _ in ([], [switched.value == 0 ? inputs[0] * 3 : inputs[0] + 1]) }
    for _ in 0..<3 { #expect(try step(inputs: [x]).outputs[0].doubles() == [3, 6]) }
    _ = switched.next()
    step.recheck()
    #expect(throws: TensorError.self) { try step(inputs: [x]) }
    step.reset()
    #expect(try step(inputs: [x]).outputs[0].doubles() == [2, 3])
  }

  @Test("results that do not fit, errors inside and bad arguments are errors")
  func refusals() throws {
    let device = Device.cpu
    let w = weights(on: device)
    let shrinking = CompiledFunction { state, _, _ in ([state[0][0]], []) }
    #expect(throws: TensorError.self) { try shrinking(state: [w], inputs: []) }
    let losing = CompiledFunction { _, _, _ in ([], []) }
    #expect(throws: TensorError.self) { try losing(state: [w], inputs: []) }
    let wrong = CompiledFunction { state, inputs, _ in (state, [matmul(inputs[0], Tensor.zeros([7, 7], on: device))]) }
    #expect(throws: TensorError.self) { try wrong(state: [w], inputs: [w]) }
    #expect(throws: TensorError.self) { try wrong(state: [matmul(w, Tensor.zeros([7, 7], on: device))], inputs: [w]) }
    // None of the refused calls gave the state away.
    #expect(try w.doubles() == [0.5, -1, 2, 0.25])
  }
}

/// A number that closures share.
private final class SharedCount: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func next() -> Int { count.add(1, ordering: .relaxed).oldValue }
}
