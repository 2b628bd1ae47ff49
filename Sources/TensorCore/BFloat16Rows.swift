/// Rows rounded to bfloat16, to be half as many bytes where they travel: to the nearest, ties to even; what is not a number stays so.
public enum BFloat16Rows {
    /// Floats of memory that a row of `columns` takes: two elements to a float's place, and the last alone if they are odd.
    public static func width(_ columns: Int) -> Int { (columns + 1) / 2 }

    /// Floats of a row that are packed at a time: the first half of them into the lower halves of places, the rest into the upper.
    private static let block = 32
    /// Rows of a piece of work.
    private static let grain = 64

    /// x [T, d], packed into [T, width(d)].
    public static func pack(_ context: ComputeContext, _ x: Tensor, into out: Tensor) {
        precondition(
            x.rows == out.rows && out.columns == width(x.columns), "\(x.columns) columns take \(width(x.columns)) places")
        let columns = x.columns
        forEachRow(context, x, out) { from, to in
            forEachBlock(columns) { first, half, place in
                to.storeBits(upper(from.vector(at: first)) &>> 16 | upper(from.vector(at: first + half)), at: place)
            } rest: { first, second, place in
                let low = upper(Vector(repeating: from[first]))[0] >> 16
                let high = second.map { upper(Vector(repeating: from[$0]))[0] } ?? 0
                to[place] = Float(bitPattern: low | high)
            }
        }
    }

    /// Packed rows [T, width(d)] as floats again, into [T, d].
    public static func unpack(_ context: ComputeContext, _ packed: Tensor, into out: Tensor) {
        let columns = out.columns
        precondition(
            packed.rows == out.rows && packed.columns == width(columns), "\(columns) columns take \(width(columns)) places")
        forEachRow(context, packed, out) { from, to in
            forEachBlock(columns) { first, half, place in
                let bits = from.bits(at: place)
                to.storeBits(bits &<< 16, at: first)
                to.storeBits(bits & upperHalf, at: first + half)
            } rest: { first, second, place in
                to[first] = Float(bitPattern: from[place].bitPattern << 16)
                if let second { to[second] = Float(bitPattern: from[place].bitPattern & 0xFFFF_0000) }
            }
        }
    }

    /// x [T, d] as it comes out of `pack` and `unpack`, into [T, d].
    public static func round(_ context: ComputeContext, _ x: Tensor, into out: Tensor) {
        precondition(x.rows == out.rows && x.columns == out.columns)
        let columns = x.columns
        forEachRow(context, x, out) { from, to in
            var column = 0
            while column + 16 <= columns {
                to.storeBits(upper(from.vector(at: column)), at: column)
                column += 16
            }
            while column < columns {
                to[column] = Float(bitPattern: upper(Vector(repeating: from[column]))[0])
                column += 1
            }
        }
    }

    private typealias Bits = SIMD16<UInt32>
    private static let upperHalf = Bits(repeating: 0xFFFF_0000)

    /// The bits of floats rounded to bfloat16.
    @inline(__always)
    private static func upper(_ x: Vector) -> Bits {
        let bits = unsafeBitCast(x, to: Bits.self), isOdd = (bits &>> 16) & Bits(repeating: 1)
        let nearest = bits &+ isOdd &+ Bits(repeating: 0x7FFF)
        return nearest.replacing(with: bits | Bits(repeating: 0x40_0000), where: x .!= x) & upperHalf
    }

    /// Places of a row: whole blocks by vectors (`first` element, `half` a block, place), then pairs of what is left, of which the
    /// last may have no second element.
    @inline(__always)
    private static func forEachBlock(
        _ columns: Int, _ whole: (_ first: Int, _ half: Int, _ place: Int) -> Void,
        rest: (_ first: Int, _ second: Int?, _ place: Int) -> Void
    ) {
        var first = 0
        while first + block <= columns {
            whole(first, block / 2, first / 2)
            first += block
        }
        let places = width(columns - first)
        for place in 0..<places {
            let second = first + places + place
            rest(first + place, second < columns ? second : nil, first / 2 + place)
        }
    }

    private static func forEachRow(
        _ context: ComputeContext, _ from: Tensor, _ to: Tensor,
        _ body: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
    ) {
        let (source, target) = (UnsafePointer(from.pointer), to.pointer)
        context.pool.parallelRanges(from.rows, grain: grain) { rows in
            for row in rows { body(source + row * from.columns, target + row * to.columns) }
        }
        withExtendedLifetime((from, to)) {}
    }
}

extension UnsafePointer<Float> {
    @inline(__always)
    fileprivate func bits(at index: Int) -> SIMD16<UInt32> {
        UnsafeRawPointer(self + index).loadUnaligned(as: SIMD16<UInt32>.self)
    }
}

extension UnsafeMutablePointer<Float> {
    @inline(__always)
    fileprivate func storeBits(_ bits: SIMD16<UInt32>, at index: Int) {
        UnsafeMutableRawPointer(self + index).storeBytes(of: bits, as: SIMD16<UInt32>.self)
    }
}
