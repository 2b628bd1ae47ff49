import ArgumentParser

/// What several commands say of an option that they share.
extension ArgumentHelp {
    static var json: ArgumentHelp { "Print JSON, and nothing else, on standard output." }
}
