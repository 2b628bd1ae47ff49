extension String {
    /// The folder that a path lies in: of `a/b` and `a/b/` it is `a`, of `/a` it is `/`; empty for a bare name, which lies in the
    /// current folder.
    ///
    /// Foundation's `deletingLastPathComponent` ends the program on a name of one character.
    package var parentFolder: String {
        let path = withoutTrailingSlashes
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return path[..<slash].isEmpty ? "/" : String(path[..<slash]).withoutTrailingSlashes
    }

    /// `/` stays as it is.
    package var withoutTrailingSlashes: String {
        guard let last = lastIndex(where: { $0 != "/" }) else { return isEmpty ? "" : "/" }
        return String(self[...last])
    }
}
