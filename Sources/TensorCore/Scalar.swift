import Foundation

/// The C library's functions of one float, for places where speed does not matter.
enum Scalar {
    static func exp(_ x: Float) -> Float { Foundation.exp(x) }
    static func log(_ x: Float) -> Float { Foundation.log(x) }
    static func cos(_ x: Float) -> Float { Foundation.cos(x) }
}
