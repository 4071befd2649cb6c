import Foundation
import Kiln
import Testing

@Suite("Checkpoints", .serialized)
struct CheckpointTests {
  /// A folder with all checkpoints of three epochs of five steps each, one every second step.
  private static func trained(_ device: Device, in folder: TemporaryFolder) throws -> (
    CheckpointStore, [String: [UInt8]], TrainingHistory
  ) {
    let store = CheckpointStore(folder.path + "/checkpoints", keep: 100)
    let trainer = Small.trainer(device)
    let history = try trainer.fit(
      Small.dataset(device), epochs: 3, batchSize: 16, seed: 2,
      callbacks: [Checkpointing(store, everySteps: 2)])
    return (store, try Small.bits(trainer), history)
  }

  @Test(
    "from every checkpoint, within epochs too, the training ends with the same bits", arguments: ["cpu", "opencl:0"])
  func resume(name: String) throws {
    let device = try Device.named(name)
    let folder = try TemporaryFolder()
    let (store, expected, history) = try Self.trained(device, in: folder)
    let all = try store.all()
    #expect(all.map(\.step) == [2, 4, 5, 6, 8, 10, 12, 14, 15])
    for checkpoint in all {
      let trainer = Small.trainer(device)
      // What a new process would not know.
      setSeed(999)
      let state = try trainer.restore(checkpoint)
      #expect(state.step == checkpoint.step)
      let resumed = try trainer.fit(Small.dataset(device), epochs: 3, batchSize: 16, seed: 2, from: state)
      #expect(try Small.bits(trainer) == expected, "step \(checkpoint.step)")
      #expect(resumed.stepLosses == history.stepLosses)
      #expect(resumed.epochLosses == history.epochLosses)
    }
  }

  @Test("a restore without the generator's state is seen by this test's bits")
  func generatorMatters() throws {
    let folder = try TemporaryFolder()
    let (store, expected, _) = try Self.trained(.cpu, in: folder)
    let trainer = Small.trainer(.cpu)
    let state = try trainer.restore(try #require(try store.all().first))
    setSeed(999)
    try trainer.fit(Small.dataset(.cpu), epochs: 3, batchSize: 16, seed: 2, from: state)
    #expect(try Small.bits(trainer) != expected)
  }

  @Test("other data, batch size or seed is refused")
  func otherData() throws {
    let folder = try TemporaryFolder()
    let (store, _, _) = try Self.trained(.cpu, in: folder)
    let trainer = Small.trainer(.cpu)
    let state = try trainer.restore(try #require(try store.latest().checkpoint))
    for (batch, seed, count) in [(8, 2, 70), (16, 3, 70), (16, 2, 71)] {
      #expect(throws: TensorError.self) {
        try trainer.fit(
          Small.dataset(.cpu, count: count), epochs: 4, batchSize: batch, seed: UInt64(seed), from: state)
      }
    }
  }

  @Test("the last ones and the best are kept")
  func kept() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path, keep: 2)
    let trainer = Small.trainer(.cpu, learningRate: 0.3)
    let data = try Small.dataset(.cpu)
    let history = try trainer.fit(
      data, epochs: 8, batchSize: 70, seed: 2, validation: Small.dataset(.cpu, seed: 4),
      callbacks: [Checkpointing(store)])
    let losses = history.epochs.compactMap(\.validation?.loss)
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] }) + 1
    #expect(try Set(store.all().map(\.step)) == Set([best, 7, 8]))
    #expect(try store.best()?.step == best)
  }

  @Test("damage of every kind is found, named, and the checkpoint before is used")
  func damage() throws {
    let folder = try TemporaryFolder()
    let (store, _, _) = try Self.trained(.cpu, in: folder)
    let newest = try #require(try store.latest().checkpoint)
    let names = try FileManager.default.contentsOfDirectory(atPath: newest.path)
    #expect(Set(names) == ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
    var random: UInt64 = 12345
    for name in names {
      let url = URL(filePath: "\(newest.path)/\(name)")
      let whole = try Data(contentsOf: url)
      func expectDamage(_ what: String) throws {
        let (found, damaged) = try store.latest()
        #expect(found?.step == 14, "\(name) \(what)")
        #expect(damaged.count == 1)
        #expect(damaged.first?.description.contains(newest.path) == true, "\(name) \(what)")
        #expect(damaged.first?.description.contains("\n") == false)
        #expect(throws: DataError.self) { try Small.trainer(.cpu).restore(newest) }
      }
      for length in [0, 1, whole.count / 2, whole.count - 1] {
        try whole.prefix(length).write(to: url)
        try expectDamage("cut to \(length)")
      }
      try FileManager.default.removeItem(at: url)
      try expectDamage("removed")
      if name != "manifest.json" {
        for _ in 0..<40 {
          random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          let bit = Int(random >> 33) % (whole.count * 8)
          var flipped = whole
          flipped[bit / 8] ^= UInt8(1 << (bit % 8))
          try flipped.write(to: url)
          try expectDamage("bit \(bit)")
        }
      }
      try whole.write(to: url)
      #expect(try store.latest().damaged.isEmpty)
    }
  }

  @Test("a checkpoint is as large after many steps as after few: the losses are in a file that only grows")
  func size() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path, keep: 100)
    let data = try Small.dataset(.cpu, count: 1000)
    let trainer = Small.trainer(.cpu)
    let history = try trainer.fit(
      data, epochs: 1, batchSize: 2, seed: 2, callbacks: [Checkpointing(store, everySteps: 100)])
    let all = try store.all()
    #expect(all.map(\.step) == [100, 200, 300, 400, 500])
    let sizes = try all.map { checkpoint in
      try FileManager.default.contentsOfDirectory(atPath: checkpoint.path).reduce(0) { sum, name in
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(checkpoint.path)/\(name)")
        return sum + (attributes[.size] as? Int ?? 0)
      }
    }
    // The last one has the epoch's report.
    #expect(sizes[..<4].allSatisfy { abs($0 - sizes[0]) < 100 } && abs(sizes[4] - sizes[0]) < 1000, "\(sizes)")
    let losses = URL(filePath: folder.path + "/losses.f64")
    let whole = try Data(contentsOf: losses)
    #expect(whole.count == 8 * 500)
    #expect(try all[2].state().history.stepLosses == Array(history.stepLosses[..<300]))
    #expect(try all.allSatisfy { try $0.lossDamage() == nil })

    // What the file lost is lost for the history alone.
    for damaged in [whole.prefix(8 * 250 + 3), whole.prefix(8) + Data([1]) + whole.dropFirst(9), Data()] {
      try damaged.write(to: losses)
      if damaged.isEmpty { try FileManager.default.removeItem(at: losses) }
      #expect(try store.latest().damaged.isEmpty)
      let damage = try #require(try all[2].lossDamage())
      #expect(damage.description.hasPrefix(losses.path()) && !damage.description.contains("\n"))
      let again = Small.trainer(.cpu)
      let state = try again.restore(all[2])
      #expect(state.history.stepLosses.count == 300 && state.history.stepLosses.allSatisfy(\.isNaN))
      let resumed = try again.fit(
        data, epochs: 1, batchSize: 2, seed: 2,
        callbacks: [Checkpointing(CheckpointStore(folder.path + "/more", keep: 1))], from: state)
      #expect(try Small.bits(again) == Small.bits(trainer))
      #expect(resumed.stepLosses.dropFirst(300) == history.stepLosses.dropFirst(300))
    }
  }

  @Test("losses of another course replace those after the checkpoint that it began at")
  func otherCourse() throws {
    let folder = try TemporaryFolder()
    let (store, _, history) = try Self.trained(.cpu, in: folder)
    let trainer = Small.trainer(.cpu)
    let sixth = try #require(try store.all().first { $0.step == 6 })
    let state = try trainer.restore(sixth)
    trainer.optimizer.learningRate = 0.1
    let other = try trainer.fit(
      Small.dataset(.cpu), epochs: 2, batchSize: 16, seed: 2, callbacks: [Checkpointing(store, everySteps: 2)],
      from: state)
    #expect(other.stepLosses[..<6] == history.stepLosses[..<6] && other.stepLosses[7] != history.stepLosses[7])
    let tenth = try #require(try store.all().last { $0.step == 10 })
    #expect(try tenth.lossDamage() == nil && tenth.state().history.stepLosses == other.stepLosses)
    #expect(try sixth.lossDamage() == nil)
  }

  @Test("damaged ones that were set aside are not counted, and what a kill left is cleaned up")
  func aside() throws {
    let folder = try TemporaryFolder()
    let (store, _, _) = try Self.trained(.cpu, in: folder)
    let newest = try #require(try store.latest().checkpoint)
    try FileManager.default.removeItem(atPath: "\(newest.path)/state.json")
    let place = try store.setAside(newest)
    #expect(FileManager.default.fileExists(atPath: place))
    #expect(try store.latest().damaged.isEmpty)
    try FileManager.default.createDirectory(atPath: "\(store.path)/.tmp-1-step-3", withIntermediateDirectories: true)
    try store.clean()
    #expect(try !FileManager.default.contentsOfDirectory(atPath: store.path).contains { $0.hasPrefix(".tmp") })
  }

  @Test("the same step again replaces the old checkpoint, and never both are gone")
  func again() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path, keep: 1)
    let trainer = Small.trainer(.cpu)
    let state = TrainingState()
    try store.save(state, model: trainer.model, optimizer: trainer.optimizer)
    let second = try store.save(state, model: trainer.model, optimizer: trainer.optimizer)
    #expect(try store.all() == [second])
    try second.verify()
  }

  @Test("a folder that cannot be written is one error, and older checkpoints stay")
  func cannotWrite() throws {
    let folder = try TemporaryFolder()
    let (store, _, _) = try Self.trained(.cpu, in: folder)
    let before = try store.all()
    let trainer = Small.trainer(.cpu)
    // A file where the folder should be.
    let blocked = CheckpointStore(folder.path + "/file/checkpoints")
    try Data().write(to: URL(filePath: folder.path + "/file"))
    #expect(throws: DataError.self) {
      try blocked.save(TrainingState(), model: trainer.model, optimizer: trainer.optimizer)
    }
    #expect(try store.all() == before)
  }
}
