import Tensor
import Testing

/// A test for each set of kernels. Suites that are parameterised by `Kernels.all` leave out what the processor lacks without a
/// word; here it is a skipped test, so that a report tells which sets were tested and which were not.
@Suite("The sets of kernels")
struct KernelSetTests {
    private static func exists(_ name: String) -> ConditionTrait {
        .enabled(if: Kernels(named: name) != nil, "this processor has no kernels \(name)")
    }

    private func expectTested(_ name: String) throws {
        let kernels = try #require(Kernels(named: name))
        #expect(kernels.name == name)
        #expect(name == "openblas" || Kernels.all.contains { $0.name == name }, "what the suites are parameterised by")
        try KernelSelfTest.run(kernels)
    }

    @Test("scalar") func scalar() throws { try expectTested("scalar") }

    @Test("openblas") func openBLAS() throws { try expectTested("openblas") }

    @Test("avx2", exists("avx2")) func avx2() throws { try expectTested("avx2") }

    @Test("avx512", exists("avx512")) func avx512() throws { try expectTested("avx512") }

    @Test("avx512-bf16", exists("avx512-bf16")) func avx512BF16() throws { try expectTested("avx512-bf16") }

    @Test("neon", exists("neon")) func neon() throws { try expectTested("neon") }

    @Test("neon-bf16", exists("neon-bf16")) func neonBF16() throws { try expectTested("neon-bf16") }
}

@Test("Every set of kernels that this processor runs has its test in KernelSetTests")
func everyKernelSetHasItsTest() {
    #if arch(arm64)
        let known = ["scalar", "neon", "neon-bf16"]
    #else
        let known = ["scalar", "avx2", "avx512", "avx512-bf16"]
    #endif
    #expect(Kernels.all.map(\.name) == Array(known.prefix(Kernels.all.count)))
}
