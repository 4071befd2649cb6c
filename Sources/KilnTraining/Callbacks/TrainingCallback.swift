import KilnData

/// Something that is done while a model is fitted. All calls come on the thread that called `fit`; an error that one
/// throws ends the training.
///
/// Everything has a default, so that a callback implements what it needs:
///
///     final class Printer: TrainingCallback {
///       func epochEnded(_ run: TrainingRun, _ report: EpochReport) { print(report.loss) }
///     }
public protocol TrainingCallback: AnyObject {
  /// Under which its state is saved; two of one kind need different names. By default the type's.
  var name: String { get }
  /// What it remembers from step to step, for checkpoints. By default nothing.
  var saved: CallbackState { get }
  /// Takes up what `saved` gave.
  func restore(_ state: CallbackState) throws
  func trainingBegan(_ run: TrainingRun) throws
  /// After every update. To read losses here waits for the device.
  func stepEnded(_ run: TrainingRun) throws
  /// The loss of batch `step` (from 1, over all epochs) is not finite; it may be found some updates later. Whoever undid the update answers
  /// `true`, and the training goes on; otherwise it ends with an error, which may be a better one that is thrown here.
  func lossNotFinite(_ run: TrainingRun, step: Int, loss: Double) throws -> Bool
  func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws
  /// After the last epoch, or the one that `TrainingRun.stop` ended; not after an error.
  func trainingEnded(_ run: TrainingRun) throws
}

/// What a callback remembers.
public struct CallbackState: Sendable, Hashable {
  public var numbers: [String: Double]
  public var arrays: [String: HostArray]
  public init(numbers: [String: Double] = [:], arrays: [String: HostArray] = [:]) {
    (self.numbers, self.arrays) = (numbers, arrays)
  }
}

extension TrainingCallback {
  public var name: String { "\(type(of: self))" }
  public var saved: CallbackState { CallbackState() }
  public func restore(_ state: CallbackState) throws {}
  public func trainingBegan(_ run: TrainingRun) throws {}
  public func stepEnded(_ run: TrainingRun) throws {}
  public func lossNotFinite(_ run: TrainingRun, step: Int, loss: Double) throws -> Bool { false }
  public func epochEnded(_ run: TrainingRun, _ report: EpochReport) throws {}
  public func trainingEnded(_ run: TrainingRun) throws {}
}
