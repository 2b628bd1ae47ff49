import ArgumentParser

/// `strata convert`: makes a model of another one.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Make a model with other experts of a trained one.",
        discussion: """
            What is made is an export, which strata translate and strata evaluate take, and which strata train --from goes on \
            with. Its config.json says in history what was made of what.

            Example:
              strata convert upcycle runs/dense --strata 4,4 --out exports/upcycled
            """,
        subcommands: [
            ConvertUpcycleCommand.self, ConvertMoefyCommand.self, ConvertMPOECommand.self,
            ConvertPruneCommand.self, ConvertMergeCommand.self,
        ])
}
