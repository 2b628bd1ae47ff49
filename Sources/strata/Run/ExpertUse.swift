import Evaluation
import Files
import Foundation
import ModelSurgery

/// What the gates of a model did on some text, as strata analyze found it.
struct ExpertUse {
    /// By block, such as `encoder.layers.1.moe`, then by gate, over the directions.
    let gates: [String: [GateUse]]

    /// First choices of each expert of a block, by global id, over its gates.
    var first: [String: [Int]] {
        gates.mapValues { uses in uses[0].first.indices.map { expert in uses.reduce(0) { $0 + $1.first[expert] } } }
    }

    /// - Throws: `CommandFailure` for a dense model, in `folder`.
    static func requireExperts(of model: StoredModel, _ folder: String) throws {
        guard model.configuration.model.mixture != nil else {
            throw CommandFailure(.usage, "\(folder): must have experts, but is a dense model")
        }
    }

    /// `directions`: those that count; none: all.
    ///
    /// - Throws: `CommandFailure` where there is no analysis, or one of another model or without a direction; `folder` is the model's.
    init(_ path: String, for model: StoredModel, _ folder: String, directions: [String] = []) throws {
        try Self.requireExperts(of: model, folder)
        guard FileManager.default.fileExists(atPath: path) else {
            throw CommandFailure(
                .data, "\(path): must be what strata analyze wrote, but is absent: run strata analyze \(folder) first")
        }
        guard let found = try? JSONDecoder().decode(RoutingAnalysis.self, from: FileReader(path: path).contents()) else {
            throw CommandFailure(.data, "\(path): must be what strata analyze wrote, but cannot be read as that")
        }
        let mixture = model.configuration.model.mixture
        guard found.strata == mixture?.strata, found.decoderStrata == mixture?.decoderStrata else {
            func text(_ strata: [Int]?, _ decoder: [Int]?) -> String {
                "\(strata ?? [])" + (decoder.map { ", decoder \($0)" } ?? "")
            }
            throw CommandFailure(
                .usage,
                "\(path): must be of strata \(text(mixture?.strata, mixture?.decoderStrata)), but is of "
                    + text(found.strata, found.decoderStrata))
        }
        let isWhole = found.expertLoad.allSatisfy { load in
            let experts = found.strata(of: load.side).reduce(0, +)
            return [load.first.count, load.second.count, load.confidence?.count ?? experts].allSatisfy { $0 == experts }
                && found.strata.indices.contains(load.gate)
        }
        guard isWhole, !found.expertLoad.isEmpty else {
            throw CommandFailure(
                .data, "\(path): must have the load of every expert for every gate, but has not: run strata analyze again")
        }
        guard found.expertLoad.allSatisfy({ $0.confidence != nil }) else {
            throw CommandFailure(
                .data, "\(path): must say experts' confidence, but was made before it did: run strata analyze again")
        }
        if found.step != model.step { warn("\(path) is of update \(found.step), the model of update \(model.step)") }
        let known = Set(found.expertLoad.map(\.direction))
        if let absent = directions.first(where: { !known.contains($0) }) {
            throw CommandFailure(
                .usage, "--direction must be one of the analysis, \(known.sorted().joined(separator: ", ")), but is \(absent)")
        }
        var uses: [String: [GateUse]] = [:]
        for load in found.expertLoad where directions.isEmpty || directions.contains(load.direction) {
            let use = GateUse(tokens: load.tokens, first: load.first, second: load.second, confidence: load.confidence!)
            let block = "\(load.side.rawValue).layers.\(load.layer).moe"
            // Rows of a direction and block are ordered by gate.
            if load.gate < uses[block, default: []].count {
                uses[block]![load.gate] = uses[block]![load.gate] + use
            } else {
                uses[block, default: []].append(use)
            }
        }
        gates = uses
    }
}
