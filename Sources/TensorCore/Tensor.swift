/// A matrix of 32-bit floats, [rows, columns], row-major without gaps; a vector is one row.
///
/// A tensor is a view: copies share the storage, and whoever writes through `pointer` is seen by all of them. Operations
/// write only into tensors that they have just made, or that their documentation names as written.
public struct Tensor: @unchecked Sendable {
    public let storage: TensorStorage
    /// The first element's position in the storage.
    public let offset: Int
    public let rows: Int
    public let columns: Int

    public init(storage: TensorStorage, offset: Int = 0, rows: Int, columns: Int) {
        precondition(rows >= 0 && columns >= 0 && offset >= 0, "a tensor's extents cannot be negative")
        precondition(offset + rows * columns <= storage.capacity, "a tensor must lie within its storage")
        self.storage = storage
        self.offset = offset
        self.rows = rows
        self.columns = columns
    }

    public var count: Int { rows * columns }
    /// Valid while the storage lives: a local tensor that is used through its pointer alone must be kept, for it may be freed
    /// after its own last use, and the block be given to another thread (`defer { withExtendedLifetime(tensor) {} }`).
    public var pointer: UnsafeMutablePointer<Float> { storage.pointer + offset }
    public var buffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: pointer, count: count) }

    /// The rows `range`, sharing this tensor's storage.
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
        return Tensor(storage: storage, offset: offset + range.lowerBound * columns, rows: range.count, columns: columns)
    }

    public func row(_ index: Int) -> UnsafeMutablePointer<Float> { pointer + index * columns }

    public subscript(row: Int, column: Int) -> Float {
        get { pointer[row * columns + column] }
        nonmutating set { pointer[row * columns + column] = newValue }
    }

    /// A copy of the elements, row after row.
    public var elements: [Float] { Array(buffer) }

    public func copy(from source: Tensor) {
        precondition(source.count == count, "\(source.count) elements cannot be copied into \(count)")
        pointer.update(from: source.pointer, count: count)
    }

    public func fill(_ value: Float) { pointer.update(repeating: value, count: count) }
}
