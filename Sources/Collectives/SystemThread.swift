import Glibc

/// A thread that runs one simulated rank. Never a Task: ranks block, and a cooperative pool would run out of threads.
struct RankThread {
    /// A recorded backward pass over a deep model nests deeply; secondary threads get 8 MiB at best by default.
    static let stackSize = 64 << 20

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private let thread: pthread_t

    /// Starts the thread; nil, with errno set, if the system refuses.
    init?(_ run: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, Self.stackSize)
        let body = Unmanaged.passRetained(Body(run))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard code == 0 else {
            body.release()
            errno = code
            return nil
        }
        self.thread = thread
    }

    func join() { pthread_join(thread, nil) }
}
