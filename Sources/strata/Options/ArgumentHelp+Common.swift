import ArgumentParser

/// What several commands say of an option that they share.
extension ArgumentHelp {
    static var verify: ArgumentHelp {
        "Run both models on sentences of the valid split, and say how far they are apart; where they must be equal, fail if not."
    }
    static var moments: ArgumentHelp {
        "Write the optimizer's moments too, for strata train --from with --moments to go on with."
    }
    static var json: ArgumentHelp { "Print JSON, and nothing else, on standard output." }
}
