import Foundation
import Glibc
import KilnData
import KilnEngine

/// What a run was started with: enough to start it again and get the same weights.
public struct RunConfiguration: Sendable, Hashable, Codable {
  public var format = 1
  public var recipe: String
  /// The folder of the data sets, if one was named.
  public var data: String?
  public var device: String
  public var epochs: Int
  public var batchSize: Int
  public var learningRate: Double
  public var seed: UInt64
  /// A checkpoint every so many steps within epochs; `nil` for none.
  public var checkpointEvery: Int?
  /// When it was started, ISO 8601.
  public var started: String

  public init(
    recipe: String, data: String?, device: String, epochs: Int, batchSize: Int, learningRate: Double, seed: UInt64,
    checkpointEvery: Int?, started: String = Date().formatted(.iso8601)
  ) {
    (self.recipe, self.data, self.device, self.epochs) = (recipe, data, device, epochs)
    (self.batchSize, self.learningRate, self.seed) = (batchSize, learningRate, seed)
    (self.checkpointEvery, self.started) = (checkpointEvery, started)
  }
}

/// How a run ended.
public struct RunResult: Sendable, Hashable, Codable {
  /// `Layer.weightsHash`.
  public var weights: String
  public var test: Evaluation
  public var seconds: Double
  /// Of these, what the training step took to be traced and compiled.
  public var compileSeconds: Double?
  /// Why it ended before its last epoch.
  public var stopReason: String?

  public init(weights: String, test: Evaluation, seconds: Double, compileSeconds: Double? = nil, stopReason: String?) {
    (self.weights, self.test, self.seconds, self.stopReason) = (weights, test, seconds, stopReason)
    self.compileSeconds = compileSeconds
  }
}

/// The folder of one run:
///
///     run.json       what it was started with
///     config.yaml, preparation.json   of a configuration's run: it, and what was learned from the training data
///     checkpoints/   see `CheckpointStore`; with the losses of all batches
///     history.csv    one line for each epoch
///     log.jsonl      what happened when
///     tensorboard/   event files; see `TensorBoardLog`
///     diagnoses.json what went wrong on the way, in words; see `RunDiagnostics`
///     result.json    once it is finished
///     report.html    the same for people: see `RunReport`
public struct RunFolder: Sendable, Hashable {
  public var path: String

  public init(_ path: String) { self.path = path }

  public var checkpoints: CheckpointStore { CheckpointStore("\(path)/checkpoints") }
  public var historyPath: String { "\(path)/history.csv" }
  public var logPath: String { "\(path)/log.jsonl" }
  public var diagnosesPath: String { "\(path)/diagnoses.json" }
  public var reportPath: String { "\(path)/report.html" }
  private var configurationPath: String { "\(path)/run.json" }
  private var resultPath: String { "\(path)/result.json" }

  /// Whether there is a run here.
  public var exists: Bool { Folders.exists(configurationPath) }

  /// The path of a file in the folder, if it is there.
  public func file(_ name: String) -> String? {
    let file = "\(path)/\(name)"
    return Folders.exists(file) ? file : nil
  }

  /// Makes the folder of a new run. `adding` writes what else belongs to it, before the folder counts as a run. Throws
  /// `DataError` when there is a run already.
  public func create(_ configuration: RunConfiguration, adding: (_ path: String) throws -> Void = { _ in }) throws {
    guard !exists else {
      throw DataError(
        file: path, rule: "holds a run already", fix: "name another folder, or go on with `kiln resume \(path)`")
    }
    try Folders.create(path)
    try adding(path)
    try TextFile.write(JSONFile.encode(configuration, file: configurationPath), to: configurationPath)
    try Folders.flush(path)
  }

  /// What `create` was given. Throws `DataError`.
  public func configuration() throws -> RunConfiguration {
    guard exists else {
      throw DataError(file: path, rule: "is no run: it has no run.json", fix: "name a folder that `kiln train` made")
    }
    return try JSONFile.decode(RunConfiguration.self, from: configurationPath, fix: "restore it, or train again")
  }

  /// `nil` while the run is not finished. Throws `DataError`.
  public func result() throws -> RunResult? {
    guard Folders.exists(resultPath) else { return nil }
    return try JSONFile.decode(RunResult.self, from: resultPath, fix: "resume the run, which writes it again")
  }

  /// What `RunDiagnostics` wrote; nothing for a run without it. Throws `DataError`.
  public func diagnoses() throws -> [Diagnosis] {
    guard Folders.exists(diagnosesPath) else { return [] }
    return try JSONFile.decode([Diagnosis].self, from: diagnosesPath, fix: "remove it")
  }

  /// Writes `result.json`.
  public func finish(_ result: RunResult) throws {
    try TextFile.write(JSONFile.encode(result, file: resultPath), to: resultPath)
  }

  /// The runs in a folder of runs, by name.
  public static func all(in folder: String) throws -> [RunFolder] {
    try Folders.names(in: folder).map { RunFolder("\(folder)/\($0)") }.filter(\.exists)
  }

  /// Holds the run for this process alone, until it ends in any way, and removes what a kill left half written. Throws
  /// `DataError` if another one has it.
  public func lock() throws {
    let file = "\(path)/lock"
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw DataError(
        file: file, rule: "cannot be opened: \(String(cString: strerror(errno)))",
        fix: "check the folder's permissions and the free space of the disk")
    }
    // The descriptor stays open: the lock goes with the process.
    guard lockf(descriptor, F_TLOCK, 0) == 0 else {
      close(descriptor)
      throw DataError(file: path, rule: "is in use by another process", fix: "wait for it to end, or end it")
    }
    for name in try Folders.names(in: path) where name.hasSuffix(".tmp") { try Folders.remove("\(path)/\(name)") }
  }
}
