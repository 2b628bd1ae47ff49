import Foundation

/// A host as a hostfile of Open MPI lists it.
struct ListedHost: Equatable {
    /// What ssh is given: a name or an address, after a user and @ where one is named.
    let name: String
    /// Ranks; nil: as many as the host has cores.
    var slots: Int?

    /// The name without the user.
    var address: String { name.split(separator: "@").last.map(String.init) ?? name }

    /// The hosts of a hostfile in its order, each once, with the slots of all its lines.
    ///
    /// - Throws: `CommandFailure` if the file cannot be read or names no host.
    static func read(_ path: String) throws -> [ListedHost] {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw CommandFailure(.usage, "--hostfile \(path): must be a readable text file: \(error.localizedDescription)")
        }
        var hosts: [ListedHost] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let content = line.prefix { $0 != "#" }
            guard let name = content.split(whereSeparator: \.isWhitespace).first.map(String.init) else { continue }
            let slots = content.firstMatch(of: /\sslots\s*=\s*(\d+)/).flatMap { Int($0.1) }
            if let known = hosts.firstIndex(where: { $0.name == name }) {
                hosts[known].slots = hosts[known].slots.flatMap { sum in slots.map { sum + $0 } }
            } else {
                hosts.append(ListedHost(name: name, slots: slots))
            }
        }
        guard !hosts.isEmpty else {
            throw CommandFailure(
                .usage, "--hostfile \(path): must name hosts, one a line, such as \"node1 slots=8\", but names none")
        }
        return hosts
    }
}
