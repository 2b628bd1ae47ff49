import DataPipeline
import MixtureOfExperts
import TransformerModel

/// The requested capacity (RC) of text: the strata that its tokens pass, on average over tokens and blocks, with the reference
/// translation given. Encoder and decoder apart.
public struct RequestedCapacity: Sendable, Equatable {
    public var encoder: RoutingStatistics
    public var decoder: RoutingStatistics

    /// `decoderStrata` nil: as the encoder's.
    public init(strata: [Int], decoderStrata: [Int]? = nil) {
        encoder = RoutingStatistics(strata: strata)
        decoder = RoutingStatistics(strata: decoderStrata ?? strata)
    }

    /// Runs the model over a group of sentence pairs and adds what its tokens asked for.
    public mutating func add(_ group: TokenGroup, _ model: TranslationModel) throws {
        let reports = try model.reports(on: group.batch)
        for report in reports.encoder { encoder += report.statistics }
        for report in reports.decoder { decoder += report.statistics }
    }

    /// Sums every count over ranks: `reduce` adds up the ranks' arrays, which are equally long.
    public mutating func sum(_ reduce: (inout [Int64]) throws -> Void) rethrows {
        for side in [\RequestedCapacity.encoder, \.decoder] {
            var counts = self[keyPath: side].counts.map { Int64($0) }
            try reduce(&counts)
            self[keyPath: side].counts = counts.map { Int($0) }
        }
    }
}
