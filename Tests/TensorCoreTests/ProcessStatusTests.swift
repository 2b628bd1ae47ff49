import TensorCore
import Testing

@Suite struct ProcessStatusTests {
    @Test func thePeakCountsWhatWasTouchedAndGivenBack() {
        let bytes = 256 << 20
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
        for page in stride(from: 0, to: bytes, by: 4096) { memory.storeBytes(of: 1, toByteOffset: page, as: UInt8.self) }
        memory.deallocate()
        #expect((256.0..<1_048_576).contains(ProcessStatus.peakResidentMebibytes))
    }
}
