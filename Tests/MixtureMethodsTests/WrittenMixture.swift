import ConfigurationForms
import Foundation
import MixtureMethods
import MixtureOfExperts

/// A mixture with all methods, read from the keys of `model.moe` as JSON.
enum WrittenMixture {
    static var form: ConfigurationForm<MixtureConfiguration> { MixtureConfiguration.form(methods: allMethods) }

    private struct Root { var moe: MixtureConfiguration? }

    /// - Throws: `ConfigurationError`; its paths begin with `moe`.
    static func read(_ json: String) throws -> MixtureConfiguration {
        let value = try JSONDecoder().decode(JSONValue.self, from: Data(json.utf8))
        let form = ConfigurationForm<Root>.section([.init("moe", \.moe, .optional(form))], over: Root())
        let root = ConfigurationNode(written: .map([.init(key: "moe", node: value.node)]))
        return try form.read(root: root) { $0.moe?.validate("moe", $1) }.moe!
    }

    /// A mixture with some keys, their values as JSON; those of a method that the library does not have are left out.
    static func mixture(_ strata: [Int], _ keys: [String: String]) -> MixtureConfiguration {
        let known = keys.filter { form.keys("").contains($0.key) }.map { "\"\($0.key)\": \($0.value)" }
        return try! read("{" + (["\"strata\": \(strata)"] + known).joined(separator: ", ") + "}")
    }

    /// What is wrong with it; empty for nothing.
    static func problem(_ json: String) -> String {
        do {
            _ = try read(json)
            return ""
        } catch {
            return "\(error)"
        }
    }

    /// The keys that a configuration is written with.
    static func keys(_ configuration: MixtureConfiguration) -> [String] {
        guard case .map(let entries)? = form.write(configuration) else { return [] }
        return entries.map(\.key)
    }

    /// Whether what is written is read again as the same.
    static func isReadAgain(_ configuration: MixtureConfiguration) throws -> Bool {
        let root = ConfigurationNode(written: form.write(configuration)!)
        return try form.read(root: root) == configuration
    }
}

extension MixtureConfiguration {
    /// What reports add to the name of a model with this mixture.
    var additions: [String] { methods.compactMap { $0.addition(to: self) } }
}

/// JSON, as a configuration's values are written in it.
enum JSONValue: Decodable {
    case null
    case boolean(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case map([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let boolean = try? value.decode(Bool.self) {
            self = .boolean(boolean)
        } else if let integer = try? value.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([JSONValue].self) {
            self = .list(list)
        } else {
            self = .map(try value.decode([String: JSONValue].self))
        }
    }

    var node: ConfigurationNode { ConfigurationNode(written: content) }

    private var content: ConfigurationNode.Content {
        switch self {
        case .null: .scalar("none", quoted: false)
        case .boolean(let boolean): .scalar("\(boolean)", quoted: false)
        case .integer(let integer): .scalar("\(integer)", quoted: false)
        case .number(let number): .scalar("\(number)", quoted: false)
        case .text(let text): .scalar(text, quoted: false)
        case .list(let items): .list(items.map(\.node))
        case .map(let entries): .map(entries.sorted { $0.key < $1.key }.map { .init(key: $0, node: $1.node) })
        }
    }
}
