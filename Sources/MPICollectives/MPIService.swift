import Collectives
import Glibc
import Synchronization

/// What the main thread does while another thread computes: it calls MPI for that one, and moves what is under way meanwhile.
///
/// With nothing under way it sleeps. Else it looks after the operations again and again, and sleeps between looks, longer and
/// longer: where cores are scarce, the thread that computes needs its own, and a look costs it tens of microseconds. MPI says of
/// nothing that it has come, so that there is no way to be woken by it.
final class MPIService: @unchecked Sendable {
    /// What the computing thread wants done on the main thread. An operation that it returns is to be complete before the thread
    /// goes on.
    typealias Request = () throws -> MPIOperation?

    /// Nanoseconds between two looks: at first, and at most while the other thread computes, and while it waits.
    private static let shortestPause = 5_000
    private static let longestPause = (computing: 200_000, waiting: 50_000)
    /// Looks in a row without a pause while nobody computes: the computing thread waits.
    private static let eagerLooks = 200

    private let session: MPISession
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// The main thread has something to do.
    private let requested = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// The computing thread can go on.
    private let answered = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by the mutex.
    private var request: Request?
    /// Whether a request is under way: one thread computes at a time.
    private var isAsked = false
    private var answer: Result<Void, any Error>?
    private var isEnding = false

    init(_ session: MPISession) {
        self.session = session
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(requested, &attributes)
        pthread_cond_init(answered, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(answered)
        pthread_cond_destroy(requested)
        pthread_mutex_destroy(mutex)
        answered.deallocate()
        requested.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` on a thread of its own and serves it until it returns, whatever is under way then.
    func run<Value>(_ body: () throws -> Value) throws -> Value {
        try withoutActuallyEscaping(body) { body in
            let computation = ThreadOutcome(body)
            let thread = SystemThread(stackSize: SystemThread.rankStackSize) { [self] in
                computation.run()
                locked { isEnding = true }
                pthread_cond_signal(requested)
            }
            guard let thread else {
                throw CollectiveError.transport(
                    operation: "serve", rank: session.rank,
                    detail: "the system refuses a thread (\(String(cString: strerror(errno)))); "
                        + "set parallel.communication_thread to off")
            }
            serve()
            thread.join()
            return try computation.result!.get()
        }
    }

    /// Called by the computing thread: returns when the main thread has done `body`, and what that returns is complete.
    func request(_ body: Request) throws {
        try withoutActuallyEscaping(body) { body in
            let answer = locked {
                precondition(!isAsked, "of the threads that compute one at a time asks for messages")
                isAsked = true
                defer { isAsked = false }
                request = body
                pthread_cond_signal(requested)
                while self.answer == nil { pthread_cond_wait(answered, mutex) }
                defer { self.answer = nil }
                return self.answer!
            }
            try answer.get()
        }
    }

    private func serve() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var awaited: MPIOperation?, looksInVain = 0
        while true {
            if request != nil {
                switch unlocked({ Result { try answerRequest() } }) {
                case let .success(operation?): awaited = operation
                case .success(nil): tell(.success(()))
                case let .failure(error): tell(.failure(error))
                }
                looksInVain = 0
            }
            if awaited?.isOver == true {
                awaited = nil
                tell(.success(()))
            }
            if isEnding { return }
            guard session.isBusy else {
                // What is awaited may have lost its last request in an error that another operation's met.
                if awaited != nil, let error = session.failure {
                    awaited = nil
                    tell(.failure(error))
                }
                sleep()
                continue
            }
            session.looks.add(1, ordering: .relaxed)
            switch unlocked({ Result { try session.advance(waiting: false) } }) {
            case .success(true): looksInVain = 0
            case .success(false):
                guard request == nil, !isEnding else { continue }
                looksInVain += 1
                pause(after: looksInVain, isAwaited: awaited != nil)
            case let .failure(error):
                // Nothing moves any more. Whoever computes is told when it next asks.
                if awaited != nil { tell(.failure(error)) }
                awaited = nil
                sleep()
            }
        }
    }

    /// Until there is something to do.
    private func sleep() {
        while request == nil, !isEnding { pthread_cond_wait(requested, mutex) }
    }

    /// In a function of its own, so that no reference to the request is left when it is answered.
    @inline(never)
    private func answerRequest() throws -> MPIOperation? {
        let body = locked {
            defer { request = nil }
            return request!
        }
        return try body()
    }

    private func tell(_ answer: Result<Void, any Error>) {
        self.answer = answer
        pthread_cond_signal(answered)
    }

    /// After so many looks in vain.
    private func pause(after looks: Int, isAwaited: Bool) {
        let looks = isAwaited ? looks - Self.eagerLooks : looks
        guard looks > 0 else { return unlocked { _ = sched_yield() } }
        let longest = isAwaited ? Self.longestPause.waiting : Self.longestPause.computing
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        end.tv_nsec += min(Self.shortestPause << min(looks - 1, 10), longest)
        if end.tv_nsec >= 1_000_000_000 { (end.tv_sec, end.tv_nsec) = (end.tv_sec + 1, end.tv_nsec - 1_000_000_000) }
        pthread_cond_timedwait(requested, mutex, &end)
    }

    private func locked<Value>(_ body: () throws -> Value) rethrows -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    private func unlocked<Value>(_ body: () throws -> Value) rethrows -> Value {
        pthread_mutex_unlock(mutex)
        defer { pthread_mutex_lock(mutex) }
        return try body()
    }
}
