import DataPipeline
import MixtureOfExperts
import TransformerModel

/// How a model routes the text of one direction: counts of token groups and ranks, added up.
public struct RoutingTally: Equatable, Sendable {
    /// The mixture blocks of encoder or decoder, and what they read.
    struct Side: Equatable, Sendable {
        /// Occurrences, by token id.
        var counts: [Int64]
        var blocks: [BlockTally]

        mutating func add(_ tokens: [Int32], _ reports: [BlockReport]) {
            precondition(reports.count == blocks.count, "a report of each mixture block")
            for token in tokens { counts[Int(token)] += 1 }
            for (index, report) in reports.enumerated() { blocks[index].add(tokens: tokens, decisions: report.decisions) }
        }

        mutating func sum(_ reduce: (inout [Int64]) throws -> Void) rethrows {
            try reduce(&counts)
            for index in blocks.indices { try blocks[index].sum(reduce) }
        }
    }

    var sentences: [Int64] = [0]
    var encoder: Side
    var decoder: Side

    /// Makes an empty tally for a model of this shape, which has mixture blocks.
    public init(_ configuration: ModelConfiguration, vocabulary: Int) {
        guard let mixture = configuration.mixture else { preconditionFailure("a dense model routes nothing") }
        func side(_ mixture: MixtureConfiguration, blocks: Int) -> Side {
            Side(
                counts: [Int64](repeating: 0, count: vocabulary),
                blocks: [BlockTally](repeating: BlockTally(mixture, vocabulary: vocabulary), count: blocks))
        }
        encoder = side(mixture.ofEncoder, blocks: configuration.encoderBlocks)
        decoder = side(mixture.ofDecoder, blocks: configuration.decoderBlocks)
    }

    /// Runs the model over a group of sentence pairs, by the rules of evaluation, and adds what its gates did.
    public mutating func add(_ group: TokenGroup, _ model: TranslationModel) throws {
        let reports = try model.reports(on: group.batch, keepingDecisions: true)
        sentences[0] += Int64(group.sentences)
        encoder.add(group.batch.source, reports.encoder)
        decoder.add(group.batch.targetInput, reports.decoder)
    }

    /// Sums every count over ranks: `reduce` adds up the ranks' arrays, which are equally long.
    public mutating func sum(_ reduce: (inout [Int64]) throws -> Void) rethrows {
        try reduce(&sentences)
        try encoder.sum(reduce)
        try decoder.sum(reduce)
    }

    /// Occurrences in this text, by token id, as encoder and decoder read it.
    public var counts: (source: [Int64], target: [Int64]) { (encoder.counts, decoder.counts) }
}
