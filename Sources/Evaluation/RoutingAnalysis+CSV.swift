import DataPipeline
import MixtureOfExperts

// The analysis as comma-separated values (RFC 4180, UTF-8), a header line first; see Docs/Analysis.md for the columns.

extension RoutingAnalysis {
    /// File names and texts of all tables but rc_by_token.csv.
    public var csvFiles: [(name: String, text: String)] {
        [
            (
                "rc_by_direction.csv",
                Self.csv(
                    "direction,sentences,source_tokens,target_tokens,rc_encoder,rc_decoder",
                    rcByDirection.map {
                        "\($0.direction),\($0.sentences),\($0.sourceTokens),\($0.targetTokens),\($0.encoder),\($0.decoder)"
                    })
            ),
            (
                "rc_by_block.csv",
                Self.csv(
                    "direction,side,layer,tokens,rounds,rc",
                    rcByBlock.map { "\($0.direction),\($0.side.rawValue),\($0.layer),\($0.tokens),\($0.strataPassed),\($0.rc)" }
                )
            ),
            (
                "expert_load.csv",
                Self.csv(
                    "direction,side,layer,gate,expert,expert_stratum,tokens,first,second",
                    zip(expertLoad, gateEntropy).flatMap(loadLines))
            ),
            (
                "co_activation.csv",
                Self.csv(
                    "direction,side,layer,earlier_expert,later_expert,tokens",
                    coActivation.flatMap(Self.pairLines))
            ),
            (
                "gate_pairs.csv",
                Self.csv(
                    "direction,side,layer,expert,other_expert,tokens",
                    (gatePairs ?? []).flatMap(Self.pairLines))
            ),
            (
                "gate_entropy.csv",
                Self.csv(
                    "direction,side,layer,gate,tokens,experts,entropy",
                    gateEntropy.map {
                        "\($0.direction),\($0.side.rawValue),\($0.layer),\($0.gate),\($0.tokens),\($0.experts),\($0.entropy)"
                    })
            ),
            (
                "drops.csv",
                Self.csv(
                    "direction,side,layer,gate,choices,would_be_dropped,fraction",
                    drops.map {
                        "\($0.direction),\($0.side.rawValue),\($0.layer),\($0.gate),\($0.choices),\($0.wouldBeDropped),\($0.fraction)"
                    })
            ),
        ]
    }

    public static let tokenFile = "rc_by_token.csv"
    public static let tokenHeader = "direction,side,layer,token,piece,count,rounds,rc,frequency,frequency_rank\n"

    /// The lines of rc_by_token.csv for one direction: every token that occurs, in every block.
    public static func tokenLines(
        _ direction: Direction, _ tally: RoutingTally, every: Int, vocabulary: Vocabulary,
        frequencies: (source: TokenFrequencies, target: TokenFrequencies)
    ) -> String {
        var text = ""
        for (side, sums, frequencies) in [
            (Side.encoder, tally.encoder, frequencies.source), (.decoder, tally.decoder, frequencies.target),
        ] {
            for (index, block) in sums.blocks.enumerated() {
                let place = "\(direction),\(side.rawValue),\((index + 1) * every - 1)"
                for row in tokens(sums, block, vocabulary, frequencies) {
                    text +=
                        "\(place),\(row.token),\(quoted(row.piece)),\(row.count),\(row.strataPassed),\(row.rc),\(row.frequency),"
                        + "\(row.frequencyRank)\n"
                }
            }
        }
        return text
    }

    private static func csv(_ header: String, _ lines: [String]) -> String { ([header] + lines).map { $0 + "\n" }.joined() }

    private func loadLines(_ load: GateLoad, _ entropy: GateEntropy) -> [String] {
        let strata = strata(of: load.side)
        let stratumOfExpert = strata.enumerated().flatMap { Array(repeating: $0.offset, count: $0.element) }
        let first = strata[..<load.gate].reduce(0, +)
        return (first..<first + entropy.experts).map { expert in
            "\(load.direction),\(load.side.rawValue),\(load.layer),\(load.gate),\(expert),\(stratumOfExpert[expert]),"
                + "\(load.tokens),\(load.first[expert]),\(load.second[expert])"
        }
    }

    private static func pairLines(_ pairs: ExpertPairs) -> [String] {
        pairs.counts.enumerated().flatMap { expert, row in
            row.enumerated().filter { $1 > 0 }.map { other, count in
                "\(pairs.direction),\(pairs.side.rawValue),\(pairs.layer),\(expert),\(other),\(count)"
            }
        }
    }

    /// A field that may hold commas, quotes or line ends.
    private static func quoted(_ field: String) -> String {
        guard field.unicodeScalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}
