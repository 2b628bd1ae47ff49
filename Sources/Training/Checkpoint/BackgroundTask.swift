import Foundation

/// Work on a thread of its own, whose outcome its owner looks at when it likes.
final class BackgroundTask<Value: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    /// Guarded by the condition.
    private var result: Result<Value, any Error>?

    init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
        let thread = Thread { [self] in
            let result = Result { try body() }
            condition.lock()
            self.result = result
            condition.broadcast()
            condition.unlock()
        }
        thread.name = name
        thread.start()
    }

    var isFinished: Bool {
        condition.lock()
        defer { condition.unlock() }
        return result != nil
    }

    func wait() -> Result<Value, any Error> {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if let result { return result }
            condition.wait()
        }
    }
}
