import Files
import Testing

@Suite struct ZeroPaddingTests {
    @Test func numbersHaveAtLeastTheirDigits() {
        #expect(String(UInt(7), digits: 5) == "00007")
        #expect(String(UInt(1_234_567), digits: 5) == "1234567")
        #expect(String(UInt64.max, digits: 16, radix: 16) == "ffffffffffffffff")
        #expect(String(UInt32(0xA), digits: 8, radix: 16) == "0000000a")
    }
}
