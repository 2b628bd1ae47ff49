import Testing

extension Trait where Self == TimeLimitTrait {
    /// Ends what hangs. The time counts from when a test is due, not from when a thread takes it up: on a loaded machine with
    /// few cores a test of a millisecond may wait a minute for others.
    public static var hangLimit: Self { .timeLimit(.minutes(10)) }
}
