import Foundation

/// Something about a training that a person would want to be told, in words.
public struct Diagnosis: Sendable, Hashable, Codable, CustomStringConvertible {
  public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
    case overfitting, underfitting
    case vanishingGradients = "vanishing gradients"
    case explodingGradients = "exploding gradients"
    case deadUnits = "dead units"
    case divergingLoss = "diverging loss"
    case notFinite = "not finite"
  }
  public var kind: Kind
  /// From 1: the epoch under way or just finished.
  public var epoch: Int
  /// Updates so far.
  public var step: Int
  /// What was seen, with figures.
  public var finding: String
  /// What usually helps.
  public var advice: String

  public init(_ kind: Kind, epoch: Int, step: Int, finding: String, advice: String) {
    (self.kind, self.epoch, self.step, self.finding, self.advice) = (kind, epoch, step, finding, advice)
  }

  public var description: String { "\(kind.rawValue) (epoch \(epoch), step \(step)): \(finding); \(advice)" }
}

/// A number in a sentence: three digits that count.
func words(_ value: Double) -> String { String(format: "%.3g", value) }
