import ConfigurationForms
import Files
import Foundation

/// A configuration file with everything that it inherits.
public enum ConfigurationFile {
    static let mostBytes = 1 << 20

    /// Reads a file, over the file that its `inherit` names (relative to it), and so on; maps merge key by key.
    ///
    /// - Throws: `ConfigurationError` for a file that is missing, unreadable, no YAML, or inherits itself.
    public static func load(_ path: String) throws -> ConfigurationNode {
        try load(path, inheritedAt: nil, heirs: [])
    }

    private static func load(
        _ path: String, inheritedAt: ConfigurationOrigin?, heirs: [String]
    ) throws -> ConfigurationNode {
        let canonical = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        if let inheritedAt, heirs.contains(canonical) {
            throw ConfigurationError(
                inheritedAt,
                "inherit must name a file that does not inherit this one, but \(path) does: a cycle of "
                    + "\(heirs.count) \(heirs.count == 1 ? "file" : "files")")
        }
        let text = try read(path, inheritedAt: inheritedAt)
        let whole = ConfigurationOrigin(source: path, line: nil)
        guard let root = try ConfigurationText.parse(text, source: path), !root.isEmpty else {
            throw ConfigurationError(whole, "must hold a configuration, but is empty; at least data is required")
        }
        guard case .map(var entries) = root.content else {
            throw ConfigurationError(root.origin, "must be a map of keys such as model and data, but is \(root.summary)")
        }
        guard let index = entries.firstIndex(where: { $0.key == "inherit" }) else { return root }
        let inherit = entries.remove(at: index).node
        guard let base = inherit.text, !base.isEmpty else {
            throw ConfigurationError(
                inherit.origin, "inherit must be the path of a file, relative to this one, but is \(inherit.summary)")
        }
        let basePath = base.hasPrefix("/") ? base : path.parentFolder.appendingPath(base)
        let inherited = try load(basePath, inheritedAt: inherit.origin, heirs: heirs + [canonical])
        return inherited.overridden(by: ConfigurationNode(content: .map(entries), origin: root.origin))
    }

    private static func read(_ path: String, inheritedAt: ConfigurationOrigin?) throws -> String {
        let origin = inheritedAt ?? ConfigurationOrigin(source: path, line: nil)
        let subject = inheritedAt == nil ? "" : "inherit: \(path) "
        func refuse(_ text: String) -> ConfigurationError { ConfigurationError(origin, subject + text) }

        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw refuse("must be the path of a file, but is empty or holds a NUL")
        }
        var status = stat()
        guard stat(path, &status) == 0 else {
            let reason = String(cString: strerror(errno))
            throw refuse("must be a readable file, but cannot be opened: \(reason)")
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw refuse("must be a file, but is a folder; name a .yaml file in it")
        default: throw refuse("must be a regular file, but is a device or a pipe")
        }
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw refuse("must be a readable file, but cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { try? file.close() }
        let data: Data
        do { data = try file.read(upToCount: mostBytes + 1) ?? Data() } catch {
            throw refuse("must be a readable file, but cannot be read: \(error.localizedDescription)")
        }
        guard data.count <= mostBytes else {
            throw refuse("must be at most \(mostBytes) bytes, but is larger; is it a configuration?")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ConfigurationError(
                ConfigurationOrigin(source: path, line: lineOfInvalidUTF8(in: data)),
                "must be UTF-8 text, but holds other bytes in this line")
        }
        return text
    }

    private static func lineOfInvalidUTF8(in data: Data) -> Int {
        var line = 1
        var bytes = data.makeIterator()
        var decoder = UTF8()
        while case .scalarValue(let scalar) = decoder.decode(&bytes) {
            if scalar == "\n" { line += 1 }
        }
        return line
    }
}

extension String {
    /// The path of this folder and a path in it; an empty folder is the current one.
    fileprivate func appendingPath(_ path: String) -> String {
        isEmpty ? path : (self as NSString).appendingPathComponent(path)
    }
}
