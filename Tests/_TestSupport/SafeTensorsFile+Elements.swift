import Files

extension SafeTensorsFile {
    /// The floats of an F32 tensor; nil if there is none of that name and type, or it cannot be read.
    public func floats(_ name: String) -> [Float]? { elements(name, .float32, zero: 0) }

    /// The numbers of an I32 tensor; nil if there is none of that name and type, or it cannot be read.
    public func integers(_ name: String) -> [Int32]? { elements(name, .int32, zero: 0) }

    private func elements<Element: BitwiseCopyable>(_ name: String, _ type: SafeTensors.ElementType, zero: Element)
        -> [Element]?
    {
        guard let entry = entries[name], entry.type == type else { return nil }
        var elements = [Element](repeating: zero, count: entry.count)
        do { try elements.withUnsafeMutableBytes { try read(entry, into: $0) } } catch { return nil }
        return elements
    }
}
