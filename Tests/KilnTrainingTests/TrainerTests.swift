import Foundation
import Kiln
import Testing

@Suite("The trainer", .serialized)
struct TrainerTests {
  @Test("early stopping gives the best epoch's weights, bit for bit, and a resumed run too")
  func earlyStopping() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path, keep: 100)
    func run(_ store: CheckpointStore?, from checkpoint: Checkpoint? = nil) throws -> (Trainer, Recorder, EarlyStopping)
    {
      let trainer = Small.trainer(.cpu, learningRate: 0.1)
      let (recorder, stopping) = (Recorder(), EarlyStopping(patience: 3))
      let saving: [any TrainingCallback] = store.map { [Checkpointing($0)] } ?? []
      let state = try checkpoint.map { try trainer.restore($0, callbacks: [stopping]) }
      try trainer.fit(
        Small.dataset(.cpu), epochs: 200, batchSize: 16, seed: 2, validation: Small.dataset(.cpu, seed: 4),
        callbacks: [stopping, recorder] + saving, from: state)
      return (trainer, recorder, stopping)
    }
    let (trainer, recorder, stopping) = try run(store)
    let losses = recorder.epochs.compactMap(\.validation?.loss)
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
    #expect(losses.count == best + 4 && losses.count < 200)
    #expect(stopping.bestEpoch == best + 1)
    let hash = try trainer.model.weightsHash()
    #expect(hash == recorder.hashes[best])
    #expect(hash != recorder.hashes.last)
    // The last checkpoint holds the restored weights.
    let last = Small.trainer(.cpu)
    try #require(try store.latest().checkpoint).loadWeights(into: last.model)
    #expect(try last.model.weightsHash() == hash)

    let all = try store.all()
    for checkpoint in [all[1], all[all.count - 2], all[all.count - 1]] {
      let (resumed, _, _) = try run(nil, from: checkpoint)
      #expect(try resumed.model.weightsHash() == hash, "from step \(checkpoint.step)")
    }
  }

  @Test("early stopping by validation without validation data is refused")
  func noValidation() throws {
    #expect(throws: TensorError.self) {
      try Small.trainer(.cpu).fit(Small.dataset(.cpu), epochs: 1, batchSize: 16, callbacks: [EarlyStopping()])
    }
  }

  @Test("a loss that is not finite ends the training and names the step")
  func notFinite() throws {
    var data = try Small.dataset(.cpu)
    var values = try data.features.doubles()
    values[0] = .nan
    data = try ArrayDataset(
      features: Tensor(values.map { Float($0) }, shape: data.features.shape, on: .cpu), labels: data.labels)
    let order = try BatchIterator(count: 70, batchSize: 10, seed: 2).order
    let step = try #require(order.firstIndex(of: 0)) / 10 + 1
    do {
      try Small.trainer(.cpu).fit(data, epochs: 1, batchSize: 10, seed: 2)
      Issue.record("nothing was thrown")
    } catch let error as TensorError {
      #expect("\(error)".contains("the loss must be finite, got nan at step \(step) (epoch 1)"))
    }
  }

  @Test("an own loop of steps gives fit's weights, with and without callbacks")
  func ownLoop() throws {
    let data = try Small.dataset(.cpu)
    let fitted = Small.trainer(.cpu)
    let recorder = Recorder()
    try fitted.fit(data, epochs: 2, batchSize: 16, seed: 9, callbacks: [recorder])
    #expect(recorder.steps == Array(1...10))
    let own = Small.trainer(.cpu)
    for epoch in 0..<2 {
      for positions in try BatchIterator(count: data.count, batchSize: 16, seed: 9, epoch: epoch) {
        let batch = data.batch(positions)
        try own.step(batch.features, batch.labels)
      }
    }
    #expect(try Small.bits(own) == Small.bits(fitted))
  }

  @Test("predict gives the model's results in any batch size, in evaluation mode, and refuses nothing to predict")
  func predict() throws {
    let trainer = Small.trainer(.cpu)
    let data = try Small.dataset(.cpu)
    try trainer.fit(data, epochs: 1, batchSize: 16)
    let whole = try trainer.model.evaluating { try trainer.model(data.features).doubles() }
    for size in [1, 33, 70, 1000] {
      let result = try trainer.predict(data.features, batchSize: size)
      #expect(result.shape == [70, 6])
      #expect(try zip(result.doubles(), whole).allSatisfy { abs($0 - $1) < 1e-5 })
    }
    #expect(throws: TensorError.self) { try trainer.predict(data.features, batchSize: 0) }
    // Dropout would give other numbers.
    #expect(try trainer.evaluate(data) == trainer.evaluate(data))
  }

  @Test("history.csv and the log hold every epoch, after a resume too")
  func files() throws {
    let folder = try TemporaryFolder()
    let store = CheckpointStore(folder.path + "/checkpoints")
    let (csv, log) = (folder.path + "/history.csv", folder.path + "/log.jsonl")
    let data = try Small.dataset(.cpu)
    func callbacks() -> [any TrainingCallback] { [HistoryFile(csv), EventLog(log), Checkpointing(store)] }
    try Small.trainer(.cpu).fit(data, epochs: 2, batchSize: 16, validation: data, callbacks: callbacks())
    // Cut short by a kill.
    let whole = try String(contentsOfFile: log, encoding: .utf8)
    try (whole + "{\"time\":").write(toFile: log, atomically: true, encoding: .utf8)
    let trainer = Small.trainer(.cpu)
    let state = try trainer.restore(try #require(try store.latest().checkpoint))
    try trainer.fit(data, epochs: 3, batchSize: 16, validation: data, callbacks: callbacks(), from: state)
    let lines = try String(contentsOfFile: csv, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines[0] == "epoch,loss,validation_loss,validation_accuracy,learning_rate,seconds")
    #expect(lines[3].hasPrefix("3,") && lines[3].split(separator: ",").count == 6)
    let events = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }.compactMap { $0["event"] as? String }
    #expect(events == ["began", "epoch", "epoch", "ended", "resumed", "epoch", "ended"])
  }
}
