import DataPipeline
import MixtureOfExperts

extension RoutingAnalysis {
    /// What stands beside a tally's numbers: how tokens are written, and how frequent they are.
    public struct Vocabulary: Sendable {
        public let pieces: [String]
        /// Tokens that are not text: `<2xxx>`, `</s>`.
        public let isControl: [Bool]

        public init(pieces: [String], isControl: [Bool]) {
            precondition(pieces.count == isControl.count)
            self.pieces = pieces
            self.isControl = isControl
        }
    }

    /// Adds the rows of one direction, and `average` anew. `every`: every how many layers a block stands.
    public mutating func append(
        _ direction: Direction, _ tally: RoutingTally, every: Int, vocabulary: Vocabulary,
        frequencies: (source: TokenFrequencies, target: TokenFrequencies)
    ) {
        let name = direction.description
        func capacity(_ side: RoutingTally.Side) -> Double {
            // Of a token in parts, the mean over them.
            ratio(
                side.blocks.reduce(0) { $0 + $1.strataPassed.reduce(0, +) },
                side.blocks.reduce(0) { $0 + side.tokens * Int64($1.rowsPerToken) })
        }
        rcByDirection.append(
            .init(
                direction: name, sentences: Int(tally.sentences[0]), sourceTokens: Int(tally.encoder.tokens),
                targetTokens: Int(tally.decoder.tokens), encoder: capacity(tally.encoder), decoder: capacity(tally.decoder)))
        let directions = Double(rcByDirection.count)
        average = Sides(
            encoder: rcByDirection.reduce(0) { $0 + $1.encoder } / directions,
            decoder: rcByDirection.reduce(0) { $0 + $1.decoder } / directions)
        for (side, sums, frequencies) in [
            (Side.encoder, tally.encoder, frequencies.source), (.decoder, tally.decoder, frequencies.target),
        ] {
            for (index, block) in sums.blocks.enumerated() {
                let layer = (index + 1) * every - 1, strataPassed = block.strataPassed.reduce(0, +)
                rcByBlock.append(
                    .init(
                        direction: name, side: side, layer: layer, tokens: Int(sums.tokens), strataPassed: Int(strataPassed),
                        rc: ratio(strataPassed, sums.tokens * Int64(block.rowsPerToken))))
                let text = Self.tokens(sums, block, vocabulary, frequencies).filter {
                    !vocabulary.isControl[$0.token] && $0.count >= minimumCount
                }
                tokenExtremes.append(
                    .init(
                        direction: name, side: side, layer: layer, highest: Self.extremes(text) { $0.rc > $1.rc },
                        lowest: Self.extremes(text) { $0.rc < $1.rc }))
                append(block, name, side, layer)
            }
        }
    }

    private mutating func append(_ block: BlockTally, _ direction: String, _ side: Side, _ layer: Int) {
        let experts = block.experts
        func pairs(_ counts: [Int64]) -> ExpertPairs {
            ExpertPairs(
                direction: direction, side: side, layer: layer,
                counts: (0..<experts).map { row in counts[row * experts..<(row + 1) * experts].map(Int.init) })
        }
        coActivation.append(pairs(block.coActivation))
        gatePairs?.append(pairs(block.gatePairs))
        for (gate, sums) in block.gates.enumerated() {
            let tokens = Int(sums.tokens[0])
            expertLoad.append(
                .init(
                    direction: direction, side: side, layer: layer, gate: gate, tokens: tokens, first: sums.first.map(Int.init),
                    second: sums.second.map(Int.init),
                    confidence: zip(sums.confidence, sums.first).map { sum, tokens in
                        tokens > 0 ? Double(sum) * BlockTally.probabilityUnit / Double(tokens) : 0
                    }))
            gateEntropy.append(
                .init(
                    direction: direction, side: side, layer: layer, gate: gate, tokens: tokens, experts: sums.visible.count,
                    entropy: tokens > 0 ? Double(sums.entropy[0]) * BlockTally.entropyUnit / Double(tokens) : 0))
            drops.append(
                .init(
                    direction: direction, side: side, layer: layer, gate: gate, choices: Int(sums.choices),
                    wouldBeDropped: Int(sums.dropped[0]), fraction: ratio(sums.dropped[0], sums.choices)))
        }
    }

    /// Every token that occurs, by id.
    static func tokens(
        _ side: RoutingTally.Side, _ block: BlockTally, _ vocabulary: Vocabulary, _ frequencies: TokenFrequencies
    ) -> [TokenCapacity] {
        side.counts.indices.filter { side.counts[$0] > 0 }.map { token in
            TokenCapacity(
                token: token, piece: vocabulary.pieces[token], count: Int(side.counts[token]),
                strataPassed: Int(block.strataPassed[token]),
                rc: ratio(block.strataPassed[token], side.counts[token] * Int64(block.rowsPerToken)),
                frequency: Int(frequencies.counts[token]),
                frequencyRank: frequencies.ranks[token])
        }
    }

    private static func extremes(
        _ tokens: [TokenCapacity], _ isBefore: (TokenCapacity, TokenCapacity) -> Bool
    ) -> [TokenCapacity] {
        Array(
            tokens.sorted { a, b in
                a.rc != b.rc ? isBefore(a, b) : (b.count, a.token) < (a.count, b.token)
            }.prefix(TokenExtremes.limit))
    }
}

extension RoutingTally.Side {
    var tokens: Int64 { counts.reduce(0, +) }
}

private func ratio(_ part: Int64, _ whole: Int64) -> Double { whole > 0 ? Double(part) / Double(whole) : 0 }
