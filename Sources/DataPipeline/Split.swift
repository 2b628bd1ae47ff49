/// What a part of the parallel text is for. Training needs `train`; the others may be absent.
public enum Split: String, CaseIterable, Codable, Sendable {
    case train, valid, test
}
