import Glibc
import Synchronization

/// SIGINT as a question that a training asks after every step. A second one ends the process at once.
enum Interrupt {
  private static let flag = Atomic<Bool>(false)

  static var isRequested: Bool { flag.load(ordering: .relaxed) }

  static func listen() {
    // The handler must not be the first to touch it.
    flag.store(false, ordering: .relaxed)
    signal(SIGINT) { _ in
      Interrupt.request()
      signal(SIGINT, SIG_DFL)
    }
  }

  private static func request() { flag.store(true, ordering: .relaxed) }
}
