/// What is to be said of one host.
struct HostReport: Encodable, Equatable {
    /// As the hostfile names it.
    let host: String
    let checks: [EnvironmentCheck]

    /// What is fine in one paragraph; then what is not, each with the host's name and what to do.
    var text: String {
        let fine = checks.filter { $0.status == .fine }, others = checks.filter { $0.status != .fine }
        var lines: [String] = []
        for (index, check) in fine.enumerated() {
            let word = "\(check.name) \(check.found)\(index + 1 < fine.count ? "," : "")"
            if let last = lines.last, last.count + word.count < Self.width {
                lines[lines.count - 1] += " \(word)"
            } else {
                lines.append(lines.isEmpty ? "\(EnvironmentCheck.Status.fine.mark) \(host): \(word)" : "    \(word)")
            }
        }
        return lines.map { "\($0)\n" }.joined()
            + others.map { check in
                var named = check
                named.name = "\(host): \(check.name)"
                return named.text
            }.joined()
    }

    private static let width = 110
}
