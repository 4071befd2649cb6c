/// References of what only moves elements, or adds them by index.
extension Reference {
  public static func permute(_ x: NDArray, _ axes: [Int]) -> NDArray {
    NDArray(axes.map { x.shape[$0] }) { at in
      var index = at
      for (i, axis) in axes.enumerated() { index[axis] = at[i] }
      return x[index]
    }
  }

  /// Python's x[from:to:step] along one axis; nil means Python's default for the step's sign.
  public static func slice(_ x: NDArray, axis: Int, from: Int?, to: Int?, step: Int) -> NDArray {
    let n = x.shape[axis]
    var picked: [Int] = []
    if step > 0 {
      var i = from.map { $0 < 0 ? Swift.max($0 + n, 0) : Swift.min($0, n) } ?? 0
      let end = to.map { $0 < 0 ? Swift.max($0 + n, 0) : Swift.min($0, n) } ?? n
      while i < end {
        picked.append(i)
        i += step
      }
    } else {
      var i = from.map { $0 < 0 ? Swift.max($0 + n, -1) : Swift.min($0, n - 1) } ?? (n - 1)
      let end = to.map { $0 < 0 ? Swift.max($0 + n, -1) : Swift.min($0, n - 1) } ?? -1
      while i > end {
        picked.append(i)
        i += step
      }
    }
    return pick(x, axis: axis, picked)
  }

  /// The listed positions along `axis`.
  public static func pick(_ x: NDArray, axis: Int, _ positions: [Int]) -> NDArray {
    var shape = x.shape
    shape[axis] = positions.count
    return NDArray(shape) { at in
      var index = at
      index[axis] = positions[at[axis]]
      return x[index]
    }
  }

  public static func broadcast(_ x: NDArray, to shape: [Int]) -> NDArray {
    NDArray(shape) { x.broadcastValue(at: $0) }
  }

  public enum Edge: Sendable {
    case constant(Double)
    case reflect, edge
  }

  public static func pad(_ x: NDArray, low: [Int], high: [Int], _ mode: Edge) -> NDArray {
    NDArray(x.shape.indices.map { x.shape[$0] + low[$0] + high[$0] }) { at in
      var index = at
      for axis in at.indices {
        let n = x.shape[axis]
        var i = at[axis] - low[axis]
        if i < 0 || i >= n {
          switch mode {
          case .constant(let value): return value
          case .edge: i = i < 0 ? 0 : n - 1
          case .reflect: i = i < 0 ? -i : 2 * (n - 1) - i
          }
        }
        index[axis] = i
      }
      return x[index]
    }
  }

  public static func concatenate(_ parts: [NDArray], axis: Int) -> NDArray {
    var shape = parts[0].shape
    shape[axis] = parts.reduce(0) { $0 + $1.shape[axis] }
    return NDArray(shape) { at in
      var index = at
      for part in parts {
        if index[axis] < part.shape[axis] { return part[index] }
        index[axis] -= part.shape[axis]
      }
      return .nan
    }
  }

  public static func tile(_ x: NDArray, _ counts: [Int]) -> NDArray {
    let rank = Swift.max(counts.count, x.shape.count)
    let shape = [Int](repeating: 1, count: rank - x.shape.count) + x.shape
    let times = [Int](repeating: 1, count: rank - counts.count) + counts
    let source = NDArray(shape, x.values)
    return NDArray((0..<rank).map { shape[$0] * times[$0] }) { at in
      source[at.indices.map { at[$0] % shape[$0] }]
    }
  }

  /// x.shape[..<axis] + indices.shape + x.shape[axis + 1...].
  public static func gather(_ x: NDArray, _ indices: NDArray, axis: Int) -> NDArray {
    let inner = indices.shape.count
    return NDArray(Array(x.shape[..<axis]) + indices.shape + Array(x.shape[(axis + 1)...])) { at in
      let place = Int(indices[Array(at[axis..<(axis + inner)])])
      return x[Array(at[..<axis]) + [place] + Array(at[(axis + inner)...])]
    }
  }

  public static func takeAlong(_ x: NDArray, _ indices: NDArray, axis: Int) -> NDArray {
    NDArray(indices.shape) { at in
      var index = at
      index[axis] = Int(indices[at])
      return x[index]
    }
  }

  /// source.shape[..<axis] + indices.shape + rest; what `gather` reads, this adds.
  public static func scatterAdd(_ source: NDArray, _ indices: NDArray, axis: Int, count: Int) -> NDArray {
    let inner = indices.shape.count
    let shape = Array(source.shape[..<axis]) + [count] + Array(source.shape[(axis + inner)...])
    var result = NDArray(shape, [Double](repeating: 0, count: NDArray.count(shape)))
    result.slack = result.values
    let units = NDArray.sumUnits(indices.count)
    NDArray.forEachIndex(source.shape) { at in
      let place = Int(indices[Array(at[axis..<(axis + inner)])])
      let target = result.position(Array(at[..<axis]) + [place] + Array(at[(axis + inner)...]))
      result.values[target] += source[at]
      result.slack[target] += abs(source[at]) * units
    }
    return result
  }

  public static func scatterAddAlong(_ source: NDArray, _ indices: NDArray, axis: Int, count: Int) -> NDArray {
    var shape = source.shape
    shape[axis] = count
    var result = NDArray(shape, [Double](repeating: 0, count: NDArray.count(shape)))
    result.slack = result.values
    let units = NDArray.sumUnits(indices.shape.isEmpty ? 1 : indices.shape[axis])
    NDArray.forEachIndex(source.shape) { at in
      var index = at
      index[axis] = Int(indices[at])
      let target = result.position(index)
      result.values[target] += source[at]
      result.slack[target] += abs(source[at]) * units
    }
    return result
  }
}
