import ArgumentParser
import Foundation
import ModelSurgery
import Reporting
import Runs

/// `strata export`: a trained model for other programs.
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a trained model as one safetensors file with its configuration and tokenizer.",
        discussion: """
            The folder has model.safetensors (parameters in 32-bit floats, without the optimizer's moments), \
            config.json, config.yaml and tokenizer.model. strata translate and strata evaluate take it in place of a run.

            Example:
              strata export runs/quickstart --out exports/quickstart
              strata export runs/quickstart --out exports/best --checkpoint best
            """)

    @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
    var folder: String

    @Option(help: ArgumentHelp("The folder to be made.", valueName: "folder"))
    var out: String

    @OptionGroup var options: CheckpointOptions

    func run() throws {
        try requirePath(out, of: "--out")
        let run = try RunFolder(trained: folder), choice = try options.choice()
        try requireNew(out)
        let model = try StoredModel(run, choice, averaged: options.average) { error in
            warn("\(error); using another one")
        }
        let bytes = try ModelExport.write(model, to: out)
        print("update \(model.step), \(NumberText.mebibytes(bytes)) MiB, in \(out)")
    }
}
