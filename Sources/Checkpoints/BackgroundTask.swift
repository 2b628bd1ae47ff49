import Collectives
import Files
import Foundation

/// The writing of a file or folder by a thread of its own, whose outcome its owner looks at when it likes.
final class BackgroundTask<Value: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    /// Guarded by the condition.
    private var result: Result<Value, any Error>?

    /// If the system refuses a thread, the task has failed with a `FileError` of `path`.
    init(writing path: String, stackSize: Int = 8 << 20, _ body: @escaping @Sendable () throws -> Value) {
        let thread = SystemThread(stackSize: stackSize) { [self] in
            let result = Result { try body() }
            condition.lock()
            self.result = result
            condition.broadcast()
            condition.unlock()
        }
        if let thread {
            thread.detach()
        } else {
            result = .failure(FileError(path: path, while: "starting a thread to write it"))
        }
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
