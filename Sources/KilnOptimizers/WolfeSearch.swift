import KilnEngine

/// A line search for the strong Wolfe conditions: a bracket is found by growing steps, then narrowed by cubic
/// interpolation (Nocedal and Wright, 2006, algorithms 3.5 and 3.6), with the choices that PyTorch's makes.
struct WolfeSearch {
  /// The loss and its gradient at some parameters.
  struct Point {
    var loss: Double
    var gradient: Tensor
  }
  /// A point on the line: how far along, and the derivative there.
  private struct Trial {
    var length: Double
    var point: Point
    var slope: Double
  }

  /// The derivative along the line at its start.
  var gradientDirection: Double
  /// The greatest element of the direction.
  var greatestMove: Double
  var tolerance: Double
  let sufficientDecrease = 1e-4
  let curvature = 0.9
  let maxTrials = 25

  func run(
    from start: Point, length first: Double, measure: (_ length: Double) throws -> (Point, slope: Double)
  ) throws -> (point: Point, length: Double, evaluations: Int) {
    var evaluations = 0
    func trial(_ length: Double) throws -> Trial {
      evaluations += 1
      let (point, slope) = try measure(length)
      return Trial(length: length, point: point, slope: slope)
    }
    let origin = Trial(length: 0, point: start, slope: gradientDirection)
    func isTooHigh(_ t: Trial) -> Bool {
      t.point.loss > start.loss + sufficientDecrease * t.length * gradientDirection
    }
    func isFlat(_ t: Trial) -> Bool { Swift.abs(t.slope) <= -curvature * gradientDirection }

    var current = try trial(first)
    var previous = origin
    var rounds = 0
    var bracket: (Trial, Trial)?
    while rounds < maxTrials {
      if isTooHigh(current) || (rounds > 1 && current.point.loss >= previous.point.loss) {
        bracket = (previous, current)
        break
      }
      if isFlat(current) { return (current.point, current.length, evaluations) }
      if current.slope >= 0 {
        bracket = (previous, current)
        break
      }
      let bounds = (current.length + 0.01 * (current.length - previous.length), current.length * 10)
      let next = minimum(previous, current, bounds)
      previous = current
      current = try trial(next)
      rounds += 1
    }
    var (low, high) = bracket ?? (origin, current)
    // The order in which they were found decides between equal losses.
    if low.point.loss > high.point.loss { swap(&low, &high) }
    var isStuck = false
    while rounds < maxTrials, Swift.abs(high.length - low.length) * greatestMove >= tolerance {
      let (near, far) = (min(low.length, high.length), max(low.length, high.length))
      var length = minimum(low, high, (near, far))
      // Too close to an end twice, or at it, is no progress: a tenth of the bracket away from it then.
      let margin = 0.1 * (far - near)
      if min(far - length, length - near) < margin {
        if isStuck || length >= far || length <= near {
          length = Swift.abs(length - far) < Swift.abs(length - near) ? far - margin : near + margin
          isStuck = false
        } else {
          isStuck = true
        }
      } else {
        isStuck = false
      }
      let new = try trial(length)
      rounds += 1
      if isTooHigh(new) || new.point.loss >= low.point.loss {
        high = new
        if high.point.loss < low.point.loss { swap(&low, &high) }
      } else {
        let isDone = isFlat(new)
        if !isDone, new.slope * (high.length - low.length) >= 0 { high = low }
        low = new
        if isDone { break }
      }
    }
    return (low.point, low.length, evaluations)
  }

  /// Where the cubic through both ends has its minimum, within bounds; their middle if it has none.
  private func minimum(_ a: Trial, _ b: Trial, _ bounds: (Double, Double)) -> Double {
    let (left, right) = a.length <= b.length ? (a, b) : (b, a)
    let (f1, f2) = (left.point.loss, right.point.loss)
    let d1 = left.slope + right.slope - 3 * (f1 - f2) / (left.length - right.length)
    let square = d1 * d1 - left.slope * right.slope
    guard square >= 0 else { return (bounds.0 + bounds.1) / 2 }
    let d2 = square.squareRoot()
    let position =
      right.length - (right.length - left.length) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2))
    return min(max(position, bounds.0), bounds.1)
  }
}
