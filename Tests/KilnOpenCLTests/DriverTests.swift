import Foundation
import Testing

@testable import KilnEngine
@testable import KilnOpenCL

@Suite(.serialized) struct DriverTests {
  private func doubling(_ count: Int, constant: Double) -> (Step, [Scalar]) {
    var expression = Expression()
    let x = expression.append(.load(0), .float32)
    let scalar = expression.append(.scalar(0), .float32)
    expression.outputs = [expression.append(.binary(.multiply, x, scalar), .float32)]
    return (
      .elementwise(
        ElementwiseStep(
          dims: [count], operands: [dense(.input(0), [count])], expression: expression,
          outputs: [dense(.output(0), [count])])), [Scalar(constant, .float32)]
    )
  }

  @Test func aDeviceIsDescribed() throws {
    for driver in try Drivers.required() {
      #expect(driver.summary.contains("compute units"))
      #expect(driver.supports(.float32) && driver.supports(.int64))
    }
    #expect(OpenCLDriver.all.first?.name == "opencl:0")
  }

  @Test func equalStructureBuildsNothingNew() throws {
    for driver in try Drivers.required() {
      let (first, scalars) = doubling(1000, constant: 2)
      _ = try run(
        driver, [first], inputs: [HostTensor(values: samples(1000))], outputs: [(1000, .float32)], scalars: scalars)
      let before = driver.buildCount
      let (second, others) = doubling(77, constant: 3)
      let result = try run(
        driver, [second], inputs: [HostTensor(values: samples(77))], outputs: [(77, .float32)], scalars: others)
      expectClose(result[0], samples(77).map { $0 * 3 }, driver.name)
      #expect(driver.buildCount == before)
    }
  }

  @Test func arenaValuesAndBaseOffsetsAreAddressed() throws {
    // arena[256 bytes on] = input * 3, output = arena value * 3.
    for driver in try Drivers.required() {
      let (step, scalars) = doubling(50, constant: 3)
      guard case .elementwise(let first) = step else { return }
      var into = first
      into.outputs = [dense(.arena(256), [50])]
      var from = first
      from.operands = [dense(.arena(256), [50])]
      var program = Program()
      program.steps = [.elementwise(into), .elementwise(from)]
      program.inputs = [.init(dtype: .float32, shape: [50])]
      program.outputs = [.init(dtype: .float32, shape: [50])]
      program.scalars = [.float32]
      program.arenaBytes = 512
      let compiled = try driver.compile(program)
      #expect(compiled.launches == 2)
      let values = samples(60)
      let input = try driver.allocate(byteCount: 240)
      try HostValues.bytes(values, .float32).withUnsafeBytes { try driver.write($0, to: input, byteOffset: 0) }
      let output = try driver.allocate(byteCount: 200)
      let arena = try driver.allocate(byteCount: 512)
      for offset in [0, 10, 3] {
        try compiled.run(Bindings(inputs: [(input, offset)], outputs: [output], arena: arena, scalars: scalars))
        var bytes = [UInt8](repeating: 0, count: 200)
        try bytes.withUnsafeMutableBytes { try driver.read(output, byteOffset: 0, into: $0) }
        expectClose(HostValues.doubles(bytes, .float32), values[offset..<(offset + 50)].map { $0 * 9 }, driver.name)
      }
    }
  }

  @Test func updatesInPlace() throws {
    for driver in try Drivers.required() {
      let (step, scalars) = doubling(5000, constant: 2)
      var program = Program()
      program.steps = [step]
      program.inputs = [.init(dtype: .float32, shape: [5000])]
      program.outputs = program.inputs
      program.donations = [0: 0]
      program.scalars = [.float32]
      let compiled = try driver.compile(program)
      let buffer = try driver.allocate(byteCount: 20000)
      let values = samples(5000)
      try HostValues.bytes(values, .float32).withUnsafeBytes { try driver.write($0, to: buffer, byteOffset: 0) }
      for _ in 0..<3 {
        try compiled.run(Bindings(inputs: [(buffer, 0)], outputs: [buffer], arena: nil, scalars: scalars))
      }
      var bytes = [UInt8](repeating: 0, count: 20000)
      try bytes.withUnsafeMutableBytes { try driver.read(buffer, byteOffset: 0, into: $0) }
      #expect(HostValues.doubles(bytes, .float32) == values.map { $0 * 8 }, "\(driver.name)")
    }
  }

  @Test func memoryIsCountedReusedAndLimited() throws {
    for driver in try Drivers.required() {
      let before = driver.memoryUse().live
      var buffer: Buffer? = try driver.allocate(byteCount: 1_000_000)
      #expect(driver.memoryUse().live - before >= 1_000_000)
      let block = (buffer as? OpenCLBuffer)?.block.serial
      buffer = nil
      #expect(driver.memoryUse().live == before)
      let again = try driver.allocate(byteCount: 1_000_000)
      #expect((again as? OpenCLBuffer)?.block.serial == block)
      let huge = 1 << 50
      do {
        _ = try driver.allocate(byteCount: huge)
        Issue.record("a petabyte was given")
      } catch DeviceError.outOfMemory(_, let requested, _, let capacity) {
        #expect(requested == huge && capacity > 0)
      }
      #expect(try driver.allocate(byteCount: 0).byteCount == 0)
    }
  }

  @Test func aLimitIsKeptAndTheCacheGivenUpForIt() throws {
    for other in try Drivers.required() {
      let driver = try OpenCLDriver(other, style: other.style, memoryLimit: 1_000_000)
      var first: Buffer? = try driver.allocate(byteCount: 600_000)
      let live = driver.memoryUse().live
      #expect(
        throws: DeviceError.outOfMemory(device: driver.name, requested: 500_000, live: live, capacity: 1_000_000)
      ) { try driver.allocate(byteCount: 500_000) }
      #expect(first?.byteCount == 600_000)
      first = nil
      #expect(driver.memoryUse().cached == live)
      // Another size class: what was kept must go first.
      let second = try driver.allocate(byteCount: 500_000)
      #expect(driver.memoryUse().cached == 0 && second.byteCount == 500_000)
    }
  }

  @Test func callsFromManyThreadsAreSerialised() throws {
    for driver in try Drivers.required() {
      let failures = NSLock()
      nonisolated(unsafe) var wrong = 0
      DispatchQueue.concurrentPerform(iterations: 8) { thread in
        let (step, scalars) = doubling(300 + thread, constant: Double(thread))
        for _ in 0..<10 {
          let values = samples(300 + thread)
          let result = try? run(
            driver, [step], inputs: [HostTensor(values: values)], outputs: [(values.count, .float32)],
            scalars: scalars)
          let expected = values.map { Double(Float($0) * Float(thread)) }
          if result?.first != expected { failures.withLock { wrong += 1 } }
        }
      }
      #expect(wrong == 0, "\(driver.name)")
    }
  }

  @Test func aCorruptDiskEntryFallsBackToSource() throws {
    let key = "0123456789abcdef0123456789abcdef"
    guard let folder = KernelDiskCache.folder else { return }
    let path = "\(folder)/\(key).bin"
    KernelDiskCache.write(key, [1, 2, 3, 4])
    #expect(KernelDiskCache.read(key) == [1, 2, 3, 4])
    var data = [UInt8](try #require(FileManager.default.contents(atPath: path)))
    data[data.count - 1] ^= 1
    #expect(FileManager.default.createFile(atPath: path, contents: Data(data)))
    #expect(KernelDiskCache.read(key) == nil)
    try FileManager.default.removeItem(atPath: path)
    #expect(KernelDiskCache.read(key) == nil)
  }

  @Test func errorsNameTheCall() {
    do {
      try check(-54, "clEnqueueNDRangeKernel", device: "opencl:9")
      Issue.record("no error")
    } catch {
      #expect(
        "\(error)" == "device 'opencl:9': clEnqueueNDRangeKernel failed with CL_INVALID_WORK_GROUP_SIZE (-54)")
    }
  }
}
