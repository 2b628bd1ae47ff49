import Checkpoints

/// Tensors in memory.
struct MemoryTensors: NamedTensors {
    var tensors: [String: (shape: [Int], values: [Float])]
    var names: [String] { tensors.keys.sorted() }

    func shape(_ name: String) -> [Int]? { tensors[name]?.shape }

    func read(_ name: String, _ elements: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
        for (place, element) in elements.enumerated() { target[place] = tensors[name]!.values[element] }
    }
}
