import Foundation

/// What was found of one thing that training needs or runs better with.
struct EnvironmentCheck: Equatable, Codable {
    enum Status: String, Codable {
        case fine
        /// Works, but slower or only in part.
        case warning
        /// Required, and not there.
        case missing

        var mark: String {
            switch self {
            case .fine: return "✓"
            case .warning: return "!"
            case .missing: return "✗"
            }
        }
    }

    var name: String
    var status: Status
    var found: String
    /// What to do; nil where nothing is to be done.
    var advice: String?

    static func fine(_ name: String, _ found: String) -> Self { Self(name: name, status: .fine, found: found) }

    static func warning(_ name: String, _ found: String, do advice: String) -> Self {
        Self(name: name, status: .warning, found: found, advice: advice)
    }

    static func missing(_ name: String, _ found: String, do advice: String) -> Self {
        Self(name: name, status: .missing, found: found, advice: advice)
    }

    /// One line, and another with the advice.
    var text: String {
        let line = "\(status.mark) \(name): \(found)\n"
        return advice.map { "\(line)    → \($0)\n" } ?? line
    }
}
