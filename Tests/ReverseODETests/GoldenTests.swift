import FlowModel
import Networks
import Tensor
import TestFixtures
import Testing

@testable import ReverseODE

@Suite("The reverse pass computes what the reference implementation computes")
struct GoldenTests {
    /// Vector kernels on every case; the scalar twins, which are slow, on the smallest.
    static let cases = GoldenModel.names.flatMap { name in
        (Kernels.all + [.openBLAS]).filter { $0.name != "scalar" || name == "pretrained-only-ddp" }.map { (name, $0) }
    }

    @Test("Every state, tap and logit within 2e-5", arguments: cases)
    func golden(name: String, kernels: Kernels) throws {
        let golden = try GoldenModel(name)
        let model = golden.model
        #expect(model.grid.points == (try golden.expected.floats(of: "t_span")))
        let integrator = golden.integrator(capacity: 3, kernels: kernels)
        var taps = try model.grid.times.map { try model.resolve(Tap(time: .at($0), place: .state)) }
        taps.append(try model.resolve(Tap(time: .end, place: .pooled)))
        let places = golden.activationPlaces
        #expect(!places.isEmpty)
        for place in places { taps.append(try model.resolve(Tap(time: .end, place: TapPlace(parsing: place)))) }

        var trajectories = try (0..<3).map {
            integrator.trajectory(input: try golden.input($0), taps: taps, wantsLogits: model.head != nil)
        }
        integrator.run(&trajectories)
        for (n, trajectory) in trajectories.enumerated() {
            for step in 0...model.grid.steps {
                let expected = try golden.expectedState(step: step, image: n)
                #expect(relativeError(trajectory.features[step], expected) < 2e-5, "state \(step)")
            }
            let pooled = trajectory.features[model.grid.steps + 1]
            #expect(relativeError(pooled, try golden.expected("pooled", image: n, count: 768)) < 2e-5)
            for (i, place) in places.enumerated() {
                let means = trajectory.features[model.grid.steps + 2 + i]
                let expected = try golden.expected("unet_mean." + place, image: n, count: means.count)
                #expect(relativeError(means, expected) < 2e-5, "\(place)")
            }
            #expect((trajectory.logits != nil) == (model.head != nil))
            if let logits = trajectory.logits {
                #expect(relativeError(logits, try golden.expected("logits", image: n, count: logits.count)) < 2e-5)
            }
        }
    }

    @Test(
        "In bf16 every state and logit is within 1e-2, and no nearer than rounding to bf16 allows",
        arguments: GoldenModel.names, Kernels.all.filter { $0.name != "scalar" && $0.computes(.bf16) })
    func reducedPrecision(name: String, kernels: Kernels) throws {
        let golden = try GoldenModel(name, precision: .bf16)
        let model = golden.model
        let integrator = golden.integrator(capacity: 3, kernels: kernels)
        let taps = try model.grid.times.map { try model.resolve(Tap(time: .at($0), place: .state)) }
        var trajectories = try (0..<3).map {
            integrator.trajectory(input: try golden.input($0), taps: taps, wantsLogits: model.head != nil)
        }
        integrator.run(&trajectories)
        for (n, trajectory) in trajectories.enumerated() {
            var worst = 0.0
            for step in 0...model.grid.steps {
                let error = relativeError(trajectory.features[step], try golden.expectedState(step: step, image: n))
                worst = max(worst, error)
            }
            #expect((1e-6..<1e-2).contains(worst))
            #expect((trajectory.logits != nil) == (model.head != nil))
            if let logits = trajectory.logits {
                #expect(relativeError(logits, try golden.expected("logits", image: n, count: logits.count)) < 1e-2)
            }
        }
    }

    @Test("Means of activations at an earlier time are those of a pass that ends there")
    func earlierActivations() throws {
        let golden = try GoldenModel("icfm32")
        let integrator = golden.integrator(capacity: 1)
        let time = golden.model.grid.times[3]
        let middle = try golden.model.resolve(Tap(time: .at(time), place: .activation(ActivationMeans(.middle))))
        let end = try golden.model.resolve(Tap(time: .end, place: .pooled))
        var both = [
            integrator.trajectory(input: try golden.input(0), taps: [middle, end], wantsLogits: false),
            integrator.trajectory(input: try golden.input(0), taps: [middle], wantsLogits: false),
        ]
        integrator.run(&both)
        #expect(both[0].features[0] == both[1].features[0])
        #expect(both[1].evaluations == 4)
        #expect(both[0].evaluations == golden.model.evaluationsPerPass)
    }
}

@Suite("An image's numbers do not depend on the rest of its batch")
struct CompanyTests {
    @Test(
        "Alone, in any batch, joining mid-flight, with any number of workers: the same bits", arguments: 0..<6,
        Precision.allCases.filter { Kernels.best.computes($0) })
    func sameBits(seed: Int, precision: Precision) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let name = ["icfm32", "icfm64-cutoff"][seed % 2]
        let alone = try GoldenModel(name, workers: 1, precision: precision)
        let crowd = try GoldenModel(name, workers: 1 + Int(random.next() % 4), precision: precision)
        let taps = { (model: ReversibleModel) in
            [
                try model.resolve(Tap(time: .end, place: .state)),
                try model.resolve(Tap(time: .at(model.grid.times[1]), place: .activation(ActivationMeans(.up(0))))),
            ]
        }
        let single = alone.integrator(capacity: 1)
        var subject = [
            single.trajectory(input: try alone.input(0), taps: try taps(alone.model), wantsLogits: true)
        ]
        single.run(&subject)

        let capacity = 2 + Int(random.next() % 7)
        let integrator = crowd.integrator(capacity: capacity)
        var trajectories: [Trajectory] = []
        for n in 0..<capacity {
            trajectories.append(
                integrator.trajectory(
                    input: try crowd.input(n % 3), taps: try taps(crowd.model), wantsLogits: n % 2 == 0))
        }
        // The others set off at random before and together with the subject, which is somewhere among them.
        let place = Int(random.next() % UInt64(capacity))
        trajectories[place] = integrator.trajectory(
            input: try crowd.input(0), taps: try taps(crowd.model), wantsLogits: true)
        while !trajectories[place].isFinished {
            let going = trajectories.indices.filter {
                !trajectories[$0].isFinished && ($0 == place || random.next() % 3 > 0)
            }
            integrator.step(&trajectories, at: going)
        }
        for (a, b) in zip(trajectories[place].features, subject[0].features) {
            #expect(a.map(\.bitPattern) == b.map(\.bitPattern))
        }
        #expect(trajectories[place].logits!.map(\.bitPattern) == subject[0].logits!.map(\.bitPattern))
    }

    @Test(
        "What only reads activations goes no further, and has the bits of whole evaluations, together with others of any depth",
        arguments: 0..<6)
    func partialEvaluations(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let golden = try GoldenModel(["icfm32", "icfm64-cutoff"][seed % 2], workers: 1 + seed % 3)
        let model = golden.model
        let places = model.field.program.places
        let start = model.grid.times[0]
        // Whole evaluations, since they go on to the next grid point, read every place on their way.
        let whole = golden.integrator(capacity: 1)
        let means = places.flatMap { place in [1, 2].map { ActivationMeans(place, divisions: $0) } }
        let taps = try means.map { try model.resolve(Tap(time: .at(start), place: .activation($0))) }
        let next = try model.resolve(Tap(time: .at(model.grid.times[1]), place: .state))
        let expected = try (0..<3).map { n in
            var passes = [whole.trajectory(input: try golden.input(n), taps: taps + [next], wantsLogits: false)]
            whole.run(&passes)
            return passes[0].features
        }
        let integrator = golden.integrator(capacity: 7)
        let wanted = (0..<7).map { _ in Int(random.next() % UInt64(taps.count + 1)) }
        var passes = try wanted.enumerated().map { n, tap in
            integrator.trajectory(
                input: try golden.input(n % 3), taps: [tap < taps.count ? taps[tap] : next], wantsLogits: false)
        }
        integrator.step(&passes, at: Array(passes.indices))
        for (n, tap) in wanted.enumerated() {
            #expect(passes[n].isFinished)
            #expect(passes[n].features[0].map(\.bitPattern) == expected[n % 3][tap].map(\.bitPattern))
        }
    }

    @Test("Cells are the means of their pixels, which are the cells of the finest grid")
    func cells() throws {
        let golden = try GoldenModel("icfm32", workers: 2)
        let model = golden.model
        let program = model.field.program
        for place in program.places {
            let side = program.side(at: place)
            let taps = try [1, 2, 3, side].map { divisions in
                try model.resolve(Tap(time: .end, place: .activation(ActivationMeans(place, divisions: divisions))))
            }
            let integrator = golden.integrator(capacity: 1)
            var passes = [integrator.trajectory(input: try golden.input(0), taps: taps, wantsLogits: false)]
            integrator.run(&passes)
            let pixels = passes[0].features[3]
            #expect(pixels.count == program.channels(at: place) * side * side)
            for (tap, read) in zip(taps, passes[0].features) {
                guard case .activation(let means) = tap.place else { continue }
                #expect(read.count == tap.dimension)
                #expect(relativeError(read, pooled(pixels, side: side, to: means.divisions)) < 1e-5, "\(means)")
            }
        }
    }

    /// PyTorch's AdaptiveAvgPool2d, from its definition.
    private func pooled(_ planes: [Float], side: Int, to size: Int) -> [Float] {
        (0..<planes.count / (side * side)).flatMap { channel in
            (0..<size * size).map { cell in
                let (row, column) = cell.quotientAndRemainder(dividingBy: size)
                let rows = row * side / size..<Int((Double((row + 1) * side) / Double(size)).rounded(.up))
                let columns = column * side / size..<Int((Double((column + 1) * side) / Double(size)).rounded(.up))
                let sum = rows.reduce(0.0) { sum, y in
                    columns.reduce(sum) { $0 + Double(planes[(channel * side + y) * side + $1]) }
                }
                return Float(sum / Double(rows.count * columns.count))
            }
        }
    }

    @Test(
        "Batches that the workers divide by images, each at a layer of its own: the same bits as alone",
        arguments: 2...4,
        Precision.allCases.filter { Kernels.best.computes($0) })
    func dividedByImages(workers: Int, precision: Precision) throws {
        let golden = try GoldenModel("icfm64-cutoff", workers: workers, precision: precision)
        let taps = try ["state", "middle", "middle:2x2", "up.0:3x3"].map {
            try golden.model.resolve(Tap(time: .end, place: TapPlace(parsing: $0)))
        }
        func run(_ images: [Int], _ integrator: ReverseIntegrator) throws -> [[UInt32]] {
            var passes = try images.map {
                integrator.trajectory(input: try golden.input($0), taps: taps, wantsLogits: false)
            }
            integrator.run(&passes)
            return passes.map { $0.features.joined().map(\.bitPattern) }
        }
        let alone = golden.integrator(capacity: 1)
        let expected = try (0..<3).map { try run([$0], alone)[0] }
        let integrator = golden.integrator(capacity: 2 * workers)
        for batch in [workers, 2 * workers, 2 * workers] {
            #expect(golden.model.field.isDividedByImages(batch: batch, workers: workers), "what this is to try")
            let images = (0..<batch).map { $0 % 3 }
            #expect(try run(images, integrator) == images.map { expected[$0] })
        }
    }
}
