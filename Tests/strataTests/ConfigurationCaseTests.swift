import Testing
import _TestSupport

/// Cases of users about values that a configuration allows.
@Suite(.hangLimit) struct ConfigurationCaseTests {
    @Test func aSmallTemperatureTrains() throws {
        let run = try ReportedCase("small-temperature")
        try run.train()
        #expect(try run.checkpoints() == ["step-00000002", "step-00000004"])
    }

    @Test(arguments: ["bench step --steps 1", "bench decode", "train"]) func aModelThatNoMachineHasRoomFor(command: String)
        throws
    {
        let sizes = ["model.dim=65536", "model.ffn_dim=1048576", "model.encoder_layers=128"].flatMap { ["--set", $0] }
        let words = command.split(separator: " ").map(String.init)
        let outcome = try Launch.alone.strata(
            words
                + (command == "train"
                    ? [TinyCommandLine.configuration, "--out", "\(CommandLineFolder().path)/run"]
                    : [
                        "--config", TinyCommandLine.configuration,
                    ]) + sizes)
        expectError(outcome, 64, "a rank must fit into the machine's memory")
    }
}
