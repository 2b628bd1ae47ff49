import Foundation
import Runs

/// A configuration: what is accepted must, written out, be read as the same again.
enum ConfigurationTarget {
    private static let tokens = [
        "&a ", "*a", "*a\n", "[*a, *a]", "? ", ": ", "- ", "-\n", "[", "]", "{", "}", "{a: ", "<<: *a", "!!binary ", "!!int ",
        "! ", "!<x> ", "| \n",
        ">-\n  ", "---\n", "...\n", "%YAML 1.1\n", "\t", "  ", "\n", "#", "'", "\"", "\\", "\\x00", "\\U00110000", "~", "null",
        "auto", "none",
        "inherit: x\n", "model:", "moe:", "strata:", "data:", "batch_prioritized: true\n", "routing: expert_choice\n", "\u{0}",
        "\u{FEFF}", "\u{2028}", "\u{85}", "é", "é\u{301}",
        ".inf", ".nan", ",",
        "@", "`", "0o7", "1:30",
    ]

    private static let samples = [
        """
        # A comment
        model:
          preset: transformer-base
          dim: 128
          dropout: 0.05
          moe: {every: 2, strata: &sizes [2, 2, 2, 2], capacity_factor: none}
        data:
          format: numerals
          prepared: 'runs/some data'
          vocabulary: 600
          numerals: {below: 1000, languages: [cat, isl], pairs: 200, validation: 50, test: 100}
          directions: [eng-cat, cat-eng]
        training: {updates: 6000, learning_rate: 2.0e-3, seed: 18446744073709551615}
        parallel: {expert_parallel: auto}
        checkpoint:
          every: 10
          keep: 2

        """,
        """
        model:
          moe:
            strata: [4, 4]
            routing: token_choice
            top_k: 3
            capacity_priority: own_probability
            second_expert: best
            expert_output_masking: 0.1
            gating_dropout: 0.05
            shared_experts: 2
            conditional_routing: {budget: 0.7, gate_dropout: 0}
            stacked: true
            aux_loss_weight: 0
            bias_balancing_rate: 0.001
            router_z_loss: 1.0e-3
        data: {format: numerals, prepared: x}

        """,
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b, *b]\ndata: {format: numerals, prepared: x}\n",
        "{\"data\": {\"format\": \"moses\", \"path\": \"a\\u00e9\\n\", \"prepared\": \"b\", \"directions\": [\"eng-cat\"]}}",
    ]

    static func run(_ random: inout Mutator, _ folder: String) throws -> Bool {
        let bytes = random.changed(Data(random.pick(samples).utf8), tokens: tokens), path = "\(folder)/configuration.yaml"
        try bytes.write(to: URL(fileURLWithPath: path))
        let configuration = try RunConfiguration.load(file: path)
        guard try RunConfiguration.parse(configuration.yaml(), source: "written") == configuration else {
            FuzzReaders.fail("read again, it is another configuration:\n\(configuration.yaml())")
        }
        return true
    }
}
