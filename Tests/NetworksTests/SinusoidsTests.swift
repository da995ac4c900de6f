import FlowModel
import Networks
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite("The sinusoids of a time") struct SinusoidsTests {
    @Test(
        "are cosines and sines of frequencies from 1 downwards, in either order",
        arguments: [Sinusoids.Frequencies.exponentials, .singleExponentials, .singlePowers], [0, 1])
    func definition(frequencies: Sinusoids.Frequencies, shift: Int) {
        let t: Float = 0.7
        let values = Sinusoids(frequencies: frequencies, frequencyShift: shift).values(of: t, count: 64)
        for i in 0..<32 {
            let argument = Double(t) * pow(10_000, -Double(i) / Double(32 - shift))
            #expect(abs(Double(values[i]) - cos(argument)) < 1e-6)
            #expect(abs(Double(values[32 + i]) - sin(argument)) < 1e-6)
        }
        let reversed = Sinusoids(frequencies: frequencies, frequencyShift: shift, beginsWithSines: true)
        #expect(reversed.values(of: t, count: 64) == Array(values[32...] + values[..<32]))
    }

    @Test("have the rounding of PRG's on its paths, and of single precision in parametrised flows")
    func rounding() throws {
        let architecture = UNetArchitecture(
            modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [], heads: 1,
            imageSize: 16)
        func frequencies(_ flow: Flow) throws -> Sinusoids.Frequencies {
            try ModelConfiguration(
                name: "tiny", architecture: architecture, head: nil, flow: flow, grid: TimeGridConfiguration(count: 2),
                preprocessing: .reference(imageSize: 16)
            ).network().timeEmbedding.sinusoids.frequencies
        }
        func parametrised(_ prediction: Prediction, timeScale: Double = 1) -> Flow {
            let times: ParametrisedFlow.Times =
                prediction == .velocity
                ? .uniform(data: 1, noise: 0) : .noise(NoiseSchedule.levels(smallest: 0.002, largest: 80, rho: 7))
            return .parametrised(ParametrisedFlow(prediction: prediction, times: times, timeScale: timeScale))
        }
        #expect(try frequencies(.path(.gvp)) == .exponentials)
        #expect(try frequencies(parametrised(.velocity)) == .singleExponentials)
        #expect(try frequencies(parametrised(.vp)) == .singlePowers)
        #expect(try frequencies(parametrised(.edm)) == .singlePowers)
        // consistency_models'.
        #expect(try frequencies(parametrised(.edm, timeScale: 1000)) == .singleExponentials)
    }
}
