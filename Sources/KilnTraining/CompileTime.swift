import KilnEngine

/// How much of the time of training steps went into tracing and compiling them: that of the steps in which the engine
/// compiled a program, less what a step takes once its programs are there.
struct CompileTime: Sendable {
  private var compiling = 0.0
  private var compilingSteps = 0
  /// Of a step that compiled nothing; the first of these trace once more to compare.
  private var shortest: Double?

  var seconds: Double { max(compiling - Double(compilingSteps) * (shortest ?? 0), 0) }

  mutating func add(_ seconds: Double, compiled: Bool) {
    if compiled {
      compiling += seconds
      compilingSteps += 1
    } else {
      shortest = min(shortest ?? seconds, seconds)
    }
  }
}
