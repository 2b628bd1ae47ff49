extension Int {
    /// A number without its fraction; the nearest `Int` of one that is larger or smaller than any, and 0 for NaN.
    ///
    /// For what a configuration, an option or a file decides, directly or not: there `Int(_:)` would end the program.
    public init(clamped value: Double) {
        if value.isNaN {
            self = 0
        } else {
            // Double(Int.max) is 2⁶³, one more than there is; its predecessor is the largest that fits.
            self = value >= 0x1p63 ? .max : value <= -0x1p63 ? .min : Int(value)
        }
    }
}
