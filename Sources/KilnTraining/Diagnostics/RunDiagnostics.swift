import KilnData
import KilnEngine
import KilnLayers

/// Says in words what is going wrong while a model is fitted: overfitting, underfitting, vanishing or exploding gradients,
/// dead units, a loss that diverges or is not finite. Each kind is said once.
///
///     let diagnostics = RunDiagnostics(training) { print($0) }
///     try trainer.fit(training, epochs: 20, batchSize: 32, validation: heldOut, callbacks: [diagnostics])
///
/// Gradients and units are looked at after every epoch, on some samples in evaluation mode: weights and random numbers of
/// the training stay as they would be without it. A loss that is not finite ends the training with an error that names the
/// first operation and the layer that made it so, found by repeating the updates since the latest snapshot; or its update is
/// undone and the training goes on (`skipStep`).
public final class RunDiagnostics: TrainingCallback {
  /// What becomes of an update whose loss or weights are not finite.
  public enum NonFinite: Sendable, Hashable {
    case stop
    /// The update is undone, and the next batch follows; ten in a row end the training. Every update is then waited for.
    case skipStep
  }
  public let nonFinite: NonFinite
  /// What was said so far.
  public private(set) var diagnoses: [Diagnosis] = []
  /// A file of all diagnoses as JSON, written anew with each; a resumed training reads it first.
  public let path: String?
  private let training: ArrayDataset
  private let probeSize: Int
  private let generators: [RandomGenerator]
  private let onDiagnosis: (Diagnosis) -> Void
  private var sample: ArrayDataset?
  private var constantLoss: Double?
  private var snapshot: StepSnapshot?
  private var skippedInARow = 0
  /// Updates between snapshots where nothing is skipped.
  private static let interval = 50
  /// Updates between snapshots: few enough to be repeated, and each makes the update after it move to new memory.
  private static let snapshotInterval = 500
  private static let mostSkips = 10

  /// - Parameters:
  ///   - training: samples of what `fit` is given, or all of them.
  ///   - probeSize: how many of them gradients and units are looked at with.
  ///   - generators: those that the model draws from beside the default one.
  ///   - path: see `path`.
  public init(
    _ training: ArrayDataset, nonFinite: NonFinite = .stop, probeSize: Int = 256, generators: [RandomGenerator] = [],
    path: String? = nil, onDiagnosis: @escaping (Diagnosis) -> Void = { _ in }
  ) {
    (self.training, self.nonFinite) = (training, nonFinite)
    (self.probeSize, self.generators, self.path) = (max(probeSize, 1), generators, path)
    self.onDiagnosis = onDiagnosis
  }

  public func trainingBegan(_ run: TrainingRun) throws {
    diagnoses = []
    if run.isResumed, let path, Folders.exists(path) {
      diagnoses = try JSONFile.decode([Diagnosis].self, from: path, fix: "remove it: it is written anew")
    } else if let path {
      try write(path)
    }
    (sample, constantLoss, skippedInARow) = (nil, nil, 0)
    snapshot = try StepSnapshot(run, generators)
  }

  public func stepEnded(_ run: TrainingRun) throws {
    if nonFinite == .skipStep {
      let before = run.trainer.optimizer.stepCount
      try run.settle()
      let wasUndone = run.trainer.optimizer.stepCount < before
      if !wasUndone, let name = try run.trainer.model.firstNotFinite() {
        try undo(run, step: before, "parameter \(name) is not finite after the update")
      } else if !wasUndone {
        skippedInARow = 0
      }
      try takeSnapshot(run)
    } else if run.state.step % Self.snapshotInterval == 0 {
      try run.settle()
      try takeSnapshot(run)
    }
    if run.state.step % Self.interval == 0 { try note(course(run).divergence) }
  }

  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {
    guard training.count > 0 else { return }
    let sample = try self.sample ?? probeSample(run.trainer.device)
    self.sample = sample
    if constantLoss == nil, run.state.history.epochs.count >= 5 {
      constantLoss = (try? run.trainer.constantLoss(sample)) ?? .nan
    }
    let course = course(run)
    for diagnosis in [course.overfitting, course.underfitting, course.divergence] { try note(diagnosis) }
    try takeSnapshot(run)
    // A model or a loss that cannot be looked at in this way is passed over; its training is none the worse.
    guard let probe = try? ModelProbe(run.trainer, sample) else { return }
    let (epoch, step) = (report.epoch + 1, run.state.step)
    // Dead units make gradients vanish too.
    let dead = probe.deadUnits(epoch: epoch, step: step)
    try note(dead)
    if dead == nil { try note(probe.vanishing(epoch: epoch, step: step)) }
    try note(probe.exploding(epoch: epoch, step: step))
  }

  public func trainingEnded(_ run: TrainingRun) throws { snapshot = nil }

  public func lossNotFinite(_ run: TrainingRun, step: Int, loss: Double) throws -> Bool {
    if nonFinite == .skipStep {
      try undo(run, step: step, "the loss is \(loss)")
      return true
    }
    let place: String
    do {
      place = try locate(run, step: step) ?? "repeated, the step gave finite numbers"
    } catch {
      place = "where it comes from was not found: \(error)"
    }
    let diagnosis = Diagnosis(
      .notFinite, epoch: run.state.epoch + 1, step: step, finding: "the loss is \(loss); \(place)",
      advice: "use a smaller learning rate, clip gradients, and look for NaN in the data")
    try note(diagnosis)
    throw TensorError(
      operation: "Trainer.fit",
      rule: "the loss must be finite, got \(loss) at step \(step) (epoch \(run.state.epoch + 1)): \(place)",
      fix: diagnosis.advice)
  }

  // MARK: - Parts

  /// Samples from all over the set; only now, so that a training begins without delay.
  private func probeSample(_ device: Device) throws -> ArrayDataset {
    let count = min(probeSize, training.count)
    return try training.subset((0..<count).map { $0 * (training.count / count) }).to(device)
  }

  private func course(_ run: TrainingRun) -> LossCourse {
    let history = run.state.history
    return LossCourse(
      epochs: history.epochs, stepLosses: history.stepLosses, step: run.state.step, constantLoss: constantLoss)
  }

  private func takeSnapshot(_ run: TrainingRun) throws {
    // Of weights that are broken already, the next loss will tell: the one before them is what is needed then.
    guard try run.trainer.model.firstNotFinite() == nil else { return }
    snapshot = try StepSnapshot(run, generators)
  }

  /// Goes back to before the update.
  private func undo(_ run: TrainingRun, step: Int, _ reason: String) throws {
    guard let snapshot else { return }
    let generatorsNow = ([.default] + generators).map { ($0, $0.state) }
    try snapshot.restore(run.trainer)
    // The next batch draws other numbers than this one did.
    for (generator, state) in generatorsNow { generator.state = state }
    skippedInARow += 1
    let advice = "use a smaller learning rate, clip gradients, and look for NaN in the data"
    try note(
      Diagnosis(
        .notFinite, epoch: run.state.epoch + 1, step: step, finding: "\(reason): the update was undone", advice: advice)
    )
    guard skippedInARow < Self.mostSkips else {
      throw TensorError(
        operation: "Trainer.fit", rule: "\(skippedInARow) updates in a row were undone, the last as \(reason)",
        fix: advice)
    }
  }

  /// Repeats the updates since the snapshot and looks into the one that went wrong.
  private func locate(_ run: TrainingRun, step: Int) throws -> String? {
    guard var before = snapshot, before.batches < step else { return nil }
    let trainer = run.trainer
    try before.restore(trainer)
    var (number, epoch, first) = (before.batches, before.epoch, before.batch)
    while epoch <= run.state.epoch {
      let batches = try run.source.batches(epoch, first)
      var next = try batches()
      while let batch = next {
        next = try batches()
        (number, first) = (number + 1, first + 1)
        let search = try NonFiniteSearch(trainer, batch)
        if number >= step { return try search.run() }
        guard try trainer.step(batch, isLast: next == nil, measures: false).isUpdate else { continue }
        if try trainer.model.firstNotFinite() != nil {
          try before.restore(trainer)
          return try search.run().map { "after step \(number) the weights are not finite: \($0)" }
        }
        before = try StepSnapshot(trainer, batches: number, epoch: epoch, batch: first, generators: generators)
      }
      (epoch, first) = (epoch + 1, 0)
    }
    return nil
  }

  private func note(_ diagnosis: Diagnosis?) throws {
    guard let diagnosis, !diagnoses.contains(where: { $0.kind == diagnosis.kind }) else { return }
    diagnoses.append(diagnosis)
    if let path { try write(path) }
    onDiagnosis(diagnosis)
  }

  private func write(_ path: String) throws {
    try TextFile.write(JSONFile.encode(diagnoses, file: path), to: path)
  }
}

extension StepSnapshot {
  /// A run as it is between two updates, its losses read.
  fileprivate init(_ run: TrainingRun, _ generators: [RandomGenerator]) throws {
    try self.init(
      run.trainer, batches: run.state.history.stepLosses.count, epoch: run.state.epoch, batch: run.state.batch,
      generators: generators)
  }
}
