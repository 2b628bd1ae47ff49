import Glibc

/// A thread of the operating system: for what blocks, which in a Task would take a thread from the cooperative pool. Unlike
/// Foundation's, it says so when the system refuses one.
package struct SystemThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Bytes of stack for a thread that is a rank: a recorded backward pass over a deep model nests deeply, and secondary threads
    /// get 8 MiB at best by default.
    package static let rankStackSize = 64 << 20

    private let thread: pthread_t

    /// Starts the thread; nil, with errno set, if the system refuses. It is to be joined or detached.
    package init?(stackSize: Int = 8 << 20, _ run: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackSize)
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

    /// Waits for the thread's end.
    package func join() { pthread_join(thread, nil) }

    /// Leaves the thread to end by itself.
    package func detach() { pthread_detach(thread) }
}
