import ConfigurationForms

extension CheckpointConfiguration {
    public static var form: ConfigurationForm<CheckpointConfiguration> {
        .section(
            [
                .init("every", \.every, .integer(1...1_000_000_000)),
                .init("keep", \.keep, .integer(1...1_000_000)),
                .init("keep_best", \.keepBest, .integer(0...1_000_000)),
                .init("asynchronous", \.asynchronous, .boolean),
            ],
            over: CheckpointConfiguration())
    }
}
