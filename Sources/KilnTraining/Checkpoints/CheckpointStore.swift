import Foundation
import Glibc
import KilnData
import KilnEngine
import KilnLayers
import KilnOptimizers

/// The checkpoints of one run: a folder of folders, one for each, named by the step ("step-000000090").
///
/// A checkpoint appears whole or not at all: it is written under a temporary name, each file is flushed, then the
/// folder renamed. Older ones are removed after that only.
public struct CheckpointStore: Sendable, Hashable {
  /// The folder; it need not exist yet.
  public var path: String
  /// The last so many are kept, and the best.
  public var keep: Int

  public init(_ path: String, keep: Int = 3) { (self.path, self.keep) = (path, max(keep, 1)) }

  private static let prefix = "step-"
  private static let temporary = ".tmp-"

  /// What is there, oldest first; not yet verified.
  public func all() throws -> [Checkpoint] {
    try Folders.names(in: path).compactMap { name -> Checkpoint? in
      guard name.hasPrefix(Self.prefix) else { return nil }
      let parts = name.dropFirst(Self.prefix.count).split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count <= 2, let step = Int(parts[0]), parts.count == 1 || Int(parts[1]) != nil else { return nil }
      return Checkpoint(path: "\(path)/\(name)", step: step)
    }.sorted { ($0.step, Self.version($0.path)) < ($1.step, Self.version($1.path)) }
  }

  /// 1, or what follows the point: a step that was written again.
  private static func version(_ path: String) -> Int {
    let name = (path as NSString).lastPathComponent
    return name.lastIndex(of: ".").flatMap { Int(name[name.index(after: $0)...]) } ?? 1
  }

  /// A checkpoint that cannot be used, and why.
  public struct Damage: Error, Hashable, Sendable, CustomStringConvertible {
    public var checkpoint: Checkpoint
    public var error: DataError
    public var description: String { error.description }
  }

  /// The newest checkpoint that is whole, and what is wrong with each newer one.
  public func latest() throws -> (checkpoint: Checkpoint?, damaged: [Damage]) {
    var damaged: [Damage] = []
    for checkpoint in try all().reversed() {
      do {
        try checkpoint.verify()
        return (checkpoint, damaged)
      } catch let error as DataError {
        damaged.append(Damage(checkpoint: checkpoint, error: error))
      }
    }
    return (nil, damaged)
  }

  /// The best checkpoint by the newest whole one's account; that one itself if none was judged, or the best is gone.
  public func best() throws -> Checkpoint? {
    guard let latest = try latest().checkpoint else { return nil }
    guard let best = try latest.state().best, let found = try all().first(where: { $0.step == best.step }),
      (try? found.verify()) != nil
    else { return latest }
    return found
  }

  /// Writes a checkpoint. Throws one error that names the file; what was there before is untouched then.
  @discardableResult
  public func save(
    _ state: TrainingState, model: any Module, optimizer: Optimizer, average: WeightAverage? = nil,
    arrays: [String: HostArray] = [:], metadata: [String: String] = [:]
  ) throws -> Checkpoint {
    try save(
      state, model: model, optimizer: optimizer, average: average, arrays: arrays, metadata: metadata,
      losses: LossLog(path))
  }

  /// The same with a file of losses of which the beginning is known already.
  func save(
    _ state: TrainingState, model: any Module, optimizer: Optimizer, average: WeightAverage?,
    arrays: [String: HostArray], metadata: [String: String] = [:], losses: LossLog
  ) throws -> Checkpoint {
    try Folders.create(path)
    var state = state
    state.losses = try losses.write(state.history.stepLosses)
    state.history.stepLosses = []
    let digits = String(state.step)
    let name = Self.prefix + String(repeating: "0", count: max(0, 9 - digits.count)) + digits
    let work = "\(path)/\(Self.temporary)\(getpid())-\(name)"
    if Folders.exists(work) { try Folders.remove(work) }
    do {
      try Folders.create(work)
      try write(state, model, optimizer, average, arrays, metadata, to: work)
      // The same step again, after a resume: the old one goes when the new one is in place.
      let olds = try all().filter { $0.step == state.step }
      let version = (olds.map { Self.version($0.path) }.max() ?? 0) + 1
      let target = "\(path)/\(name)" + (version > 1 ? ".\(version)" : "")
      try Folders.rename(work, to: target)
      for old in olds { try discard(old.path) }
      try prune(upTo: state.step, best: state.best?.step)
      return Checkpoint(path: target, step: state.step)
    } catch {
      try? FileManager.default.removeItem(atPath: work)
      throw error
    }
  }

  private func write(
    _ state: TrainingState, _ model: any Module, _ optimizer: Optimizer, _ average: WeightAverage?,
    _ arrays: [String: HostArray], _ metadata: [String: String], to work: String
  ) throws {
    let files = Checkpoint.files
    try model.save(to: "\(work)/\(files.model)", metadata: metadata)
    let own = optimizer.state
    try writeSafetensors(own.slots, metadata: ["step": "\(own.stepCount)"], to: "\(work)/\(files.optimizer)")
    var state = state
    state.groups = own.groups
    state.parameterSteps = own.steps
    var names = [files.model, files.optimizer, files.state]
    if let saved = try average?.saved() {
      state.averageUpdates = saved.updates
      try writeSafetensors(saved.averages, to: "\(work)/\(files.average)")
      names.append(files.average)
    }
    if !arrays.isEmpty {
      let device = model.namedParameters.first?.parameter.value.device ?? .default
      try writeSafetensors(arrays.mapValues { Tensor($0, on: device) }, to: "\(work)/\(files.callbacks)")
      names.append(files.callbacks)
    }
    try TextFile.write(JSONFile.encode(state, file: files.state), to: "\(work)/\(files.state)")
    var entries: [String: Checkpoint.Manifest.Entry] = [:]
    for name in names {
      let data = try Folders.read("\(work)/\(name)")
      entries[name] = .init(bytes: data.count, fnv1a64: Checksum.of(data))
    }
    try TextFile.write(
      JSONFile.encode(Checkpoint.Manifest(files: entries), file: files.manifest), to: "\(work)/\(files.manifest)")
    try Folders.flush(work)
  }

  /// Removes what was being written, or removed, when a run was killed. No other process may be writing.
  public func clean() throws {
    for name in try Folders.names(in: path) where name.hasPrefix(Self.temporary) {
      try Folders.remove("\(path)/\(name)")
    }
  }

  /// Renames a damaged checkpoint, so that it is no longer one of those that are counted, tried and removed.
  /// - Returns: its new path.
  @discardableResult
  public func setAside(_ checkpoint: Checkpoint) throws -> String {
    var target = "\(path)/damaged-\((checkpoint.path as NSString).lastPathComponent)"
    while Folders.exists(target) { target += "-again" }
    try Folders.rename(checkpoint.path, to: target)
    return target
  }

  private func prune(upTo step: Int, best: Int?) throws {
    for checkpoint in try all().filter({ $0.step <= step }).dropLast(keep) where checkpoint.step != best {
      try discard(checkpoint.path)
    }
  }

  /// Takes a checkpoint out of the list at once, then its files: a kill in between leaves no half of one in sight.
  private func discard(_ folder: String) throws {
    let name = (folder as NSString).lastPathComponent
    let away = "\(path)/\(Self.temporary)\(getpid())-old-\(name)"
    if Folders.exists(away) { try Folders.remove(away) }
    try Folders.rename(folder, to: away)
    try Folders.remove(away)
  }
}
