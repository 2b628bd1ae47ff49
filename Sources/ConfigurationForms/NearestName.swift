/// The number of insertions, deletions, substitutions and swaps of neighbours that turn one text into the other.
func editDistance(_ first: String, _ second: String) -> Int {
    let a = Array(first.unicodeScalars)
    let b = Array(second.unicodeScalars)
    var beforePrevious = [Int](repeating: 0, count: b.count + 1)
    var previous = Array(0...b.count)
    for i in 0..<a.count {
        var current = [i + 1]
        for j in 0..<b.count {
            var distance = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { distance = min(distance, beforePrevious[j - 1] + 1) }
            current.append(distance)
        }
        (beforePrevious, previous) = (previous, current)
    }
    return previous[b.count]
}

/// The name that `written` most probably stands for; nil if none is near.
public func nearestName(to written: String, among names: some Sequence<String>) -> String? {
    // The distance is quadratic in the lengths, and a very long word is no misspelling of a short name.
    guard !written.isEmpty, written.utf8.count <= 64 else { return nil }
    let lowercased = written.lowercased()
    var nearest: (name: String, distance: Int)?
    for name in names {
        let distance = editDistance(lowercased, name.lowercased())
        if distance <= max(1, name.count / 3), distance < nearest?.distance ?? .max { nearest = (name, distance) }
    }
    return nearest?.name
}
