import Collectives
import ConfigurationForms
import MixtureMethods
import MixtureOfExperts
import Runs
import TensorCore

/// Trains a small model with a routing rule and experts that the library does not know, and prints the loss.
@main struct CustomRouting {
    static func main() throws {
        do {
            let file = CommandLine.arguments.dropFirst().first ?? "custom.yaml"
            let methods: [any MixtureMethod] = allMethods + [RelativeThreshold(), GatedExperts()]
            let configuration = try RunConfiguration.load(file: file, methods: methods)
            // Two ranks, as threads of this process; each hosts half of the experts of every stratum.
            _ = try SimulatedCluster.run(ranks: 2) { world in try train(configuration, on: world) }
        } catch let error as ConfigurationError {
            print(error)
        }
    }

    private static func train(_ configuration: RunConfiguration, on world: any Communicator) throws {
        let sentences = CodedSentences(groups: configuration.training.tokenGroups, words: 64)
        let run = try TrainingRun(
            configuration, vocabulary: sentences.vocabulary, world: world, context: ComputeContext())
        let trainer = try run.trainer(on: sentences)
        for update in 1...configuration.training.updates {
            let metrics = try trainer.step().metrics
            guard world.rank == 0, update == 1 || update % 20 == 0 else { continue }
            print("update \(update): loss \(rounded(metrics.nll)), strata a token passes \(rounded(metrics.requestedCapacity))")
        }
    }

    private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}
