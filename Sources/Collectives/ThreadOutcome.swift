/// A computation for a thread of its own, and how it ended: to be read when the thread has been joined.
package final class ThreadOutcome<Value>: @unchecked Sendable {
    private var body: (() throws -> Value)?
    package private(set) var result: Result<Value, any Error>?

    package init(_ body: @escaping () throws -> Value) { self.body = body }

    /// Called once, by the thread; what the computation holds is let go when it ends.
    package func run() {
        result = Result { try body!() }
        body = nil
    }

    /// Called instead where there is no thread.
    package func fail(_ error: any Error) {
        result = .failure(error)
        body = nil
    }
}
