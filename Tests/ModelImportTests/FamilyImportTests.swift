import CheckpointFormats
import FlowModel
import Foundation
import ModelFixtures
import TestFixtures
import Testing

@testable import ModelImport

@Suite("The import of published models") struct FamilyImportTests {
    @Test("finds the architecture and the flow, and every tensor finite", arguments: FamilyFixture.all)
    func understands(_ fixture: FamilyFixture) throws {
        try fixture.withImport { model in
            #expect(model.dialect == fixture.dialectName)
            #expect(model.configuration.architecture == fixture.architecture)
            #expect(model.configuration.flow == fixture.flow)
            #expect(model.configuration.imageSize == fixture.network.imageSize)
            for parameter in model.parameters {
                let values = try model.weights(parameter.key)
                #expect(values.count == parameter.count && firstNonFinite(values) == nil, "\(parameter.key)")
            }
        }
    }

    @Test(
        "gives the same weights from every layout, bit for bit",
        arguments: FamilyFixture.all.filter { $0.sameWeightsAs != nil })
    func sameWeights(_ fixture: FamilyFixture) throws {
        func weights(_ model: CheckpointImport) throws -> [String: [Float]] {
            Dictionary(uniqueKeysWithValues: try model.parameters.map { ($0.key, try model.weights($0.key)) })
        }
        let expected = try FamilyFixture.named(fixture.sameWeightsAs!).withImport(nil, weights)
        #expect(try fixture.withImport(nil, weights) == expected)
    }

    @Test("writes the same file from every layout of one network")
    func sameFile() throws {
        let files = try FamilyFixture.all.filter { $0.name.hasPrefix("layout-") }.map { fixture in
            try fixture.withImport { model in
                try withTemporaryFolder { folder in
                    let path = folder.appending(path: "model.safetensors").path
                    try model.write(to: path)
                    return try Data(contentsOf: URL(filePath: path))
                }
            }
        }
        #expect(files.count == 4 && Set(files).count == 1)
    }

    @Test("refuses what can't be imported, and says what it is", arguments: FamilyFixture.refusals)
    func refusal(_ refusal: FamilyFixture.Refusal) throws {
        try FamilyFixture.withUnpacked(refusal.name) { folder in
            var settings = refusal.options.settings(name: "hostile")
            // A source that is refused only once its tensors are compared needs the options of its dialect.
            if refusal.name == "hostile-missing" {
                (settings.imageSize, settings.headWidth, settings.order) = (16, 32, .heads)
                settings.schedule = .linear
            }
            if refusal.name.hasPrefix("hostile-config") {
                (settings.prediction, settings.schedule) = (.epsilon, .linear)
            }
            let error = #expect(throws: (any Error).self) {
                try CheckpointImport(path: folder.appending(path: refusal.source).path, settings: settings)
            }
            #expect(error.map { "\($0)" }?.contains(refusal.refusal) ?? false, "\(String(describing: error))")
        }
    }

    @Test("names both dialects of a file of two")
    func twoDialects() throws {
        try FamilyFixture.withUnpacked("hostile-two-dialects") { folder in
            let error = #expect(throws: ImportError.self) {
                try CheckpointImport(path: folder.appending(path: "model.pt").path, settings: ImportSettings(name: "x"))
            }
            #expect(error?.description.contains("guided-diffusion and EDM") ?? false, "\(String(describing: error))")
        }
    }

    // MARK: Classes

    @Test(
        "folds a class into the time embedding, and nothing else",
        arguments: ["guided-diffusion", "improved-diffusion-classes", "consistency-models-edm", "diffusers-all"])
    func classes(name: String) throws {
        let fixture = FamilyFixture.named(name)
        func biases(_ choice: ImportSettings.ClassChoice) throws -> [String: [Float]] {
            var settings = fixture.settings()
            settings.classChoice = choice
            return try fixture.withImport(settings) { model in
                Dictionary(uniqueKeysWithValues: try model.parameters.map { ($0.key, try model.weights($0.key)) })
            }
        }
        let (null, first, second) = (try biases(.null), try biases(.index(0)), try biases(.index(1)))
        let differing = Set(null.keys.filter { null[$0] != first[$0] || null[$0] != second[$0] })
        #expect(differing == ["unet.time_embed.2.bias"])
        #expect(first != second)
    }

    @Test(
        "folds a class of DDPM++ in before the first layer, as EDM's SongUNet adds it", arguments: [2, nil] as [Int?])
    func scaledClass(index: Int?) throws {
        let fixture = FamilyFixture.named("edm-ddpmpp-classes")
        var settings = fixture.settings()
        settings.classChoice = index.map { .index($0) } ?? .null
        let bias = try fixture.withImport(settings) { try $0.weights("unet.time_embed.0.bias") }
        let source = try FamilyFixture.withUnpacked(fixture.name) { folder in
            let archive = try PyTorchArchive(path: folder.appending(path: fixture.source).path)
            let tensors = try #require(try archive.rootStateDictionary())
            return try Dictionary(
                uniqueKeysWithValues: tensors.filter { $0.name.hasPrefix("model.map_") }.map {
                    ($0.name, try archive.floats(of: $0.tensor).map(Double.init))
                })
        }
        func numbers(_ name: String) throws -> [Double] { try #require(source["model." + name]) }
        let (labels, offset) = (try numbers("map_label.weight"), try numbers("map_label.bias"))
        let embedding = offset.indices.map { row in
            offset[row] + (index.map { labels[row * fixture.network.classes + $0] * 5.0.squareRoot() } ?? 0)
        }
        let (matrix, first) = (try numbers("map_layer0.weight"), try numbers("map_layer0.bias"))
        for row in bias.indices {
            let expected = embedding.indices.reduce(first[row]) {
                $0 + matrix[row * embedding.count + $1] * embedding[$1]
            }
            #expect(abs(Double(bias[row]) - expected) <= 1e-6 * max(1, abs(expected)))
        }
    }

    static let classFaults: [(choice: ImportSettings.ClassChoice?, fixture: String, message: String)] = [
        (nil, "guided-diffusion", "--class is missing: the model is of 5 classes"),
        (.index(5), "guided-diffusion", "--class 5 is none of the model's 5 classes"),
        (.index(0), "guided-diffusion-legacy", "--class doesn't apply"),
        (nil, "edm-ddpmpp-classes", "--class is missing"),
        (nil, "diffusers-all", "--class is missing"),
    ]

    @Test("demands the class of a class-conditional model alone", arguments: classFaults)
    func classFault(choice: ImportSettings.ClassChoice?, fixture: String, message: String) throws {
        let fixture = FamilyFixture.named(fixture)
        var settings = fixture.settings()
        settings.classChoice = choice
        try expect(message, from: fixture, settings)
    }

    // MARK: Statements

    private func expect(_ message: String, from fixture: FamilyFixture, _ settings: ImportSettings) throws {
        let error = #expect(throws: (any Error).self) { try fixture.withImport(settings) { _ in } }
        #expect(error.map { "\($0)" }?.contains(message) ?? false, "\(String(describing: error))")
    }

    struct Statement: Sendable, CustomTestStringConvertible {
        let fixture: String
        let message: String
        let change: @Sendable (inout ImportSettings) -> Void

        init(_ fixture: String, _ message: String, _ change: @escaping @Sendable (inout ImportSettings) -> Void) {
            (self.fixture, self.message, self.change) = (fixture, message, change)
        }

        var testDescription: String { message }
    }

    static let faults: [Statement] = [
        Statement("guided-diffusion", "--qkv-order is missing") { $0.order = nil },
        Statement("guided-diffusion", "--image-size is missing") { $0.imageSize = nil },
        Statement("guided-diffusion", "--heads or --head-width is missing") { $0.headWidth = nil },
        Statement("guided-diffusion", "--heads and --head-width exclude each other") { $0.heads = 4 },
        Statement("guided-diffusion", "--schedule is missing") { $0.schedule = nil },
        Statement("guided-diffusion", "--schedule karras doesn't fit --prediction epsilon") { $0.schedule = .karras },
        Statement("guided-diffusion", "--beta-end doesn't apply to --schedule cosine") { $0.betaEnd = 0.02 },
        Statement("guided-diffusion", "--path doesn't apply to guided-diffusion") { $0.path = .icfm },
        Statement("guided-diffusion", "--labels doesn't apply") { $0.labels = ["cat"] },
        Statement("edm-ddpmpp", "--prediction is missing") { $0.prediction = nil },
        Statement("edm-ddpmpp", "--groups is missing") { $0.groups = nil },
        Statement("edm-ddpmpp", "--heads doesn't apply to EDM") { $0.heads = 2 },
        Statement("edm-ddpmpp", "--timesteps doesn't apply to --prediction edm") { $0.timesteps = 1000 },
        Statement("edm-ddpmpp", "--sigma-min 2.0 must be less than --sigma-max 1.0") {
            ($0.sigmaMin, $0.sigmaMax) = (2, 1)
        },
        Statement("guided-diffusion", "--sigma-max doesn't apply to --prediction epsilon") { $0.sigmaMax = 50 },
        Statement("rectified-flow", "--rho doesn't apply to --prediction velocity") { $0.rho = 7 },
        Statement("diffusers-edm", "--sigma-min is stated by scheduler_config.json") { $0.sigmaMin = 0.01 },
        Statement("torchcfm", "--sigma-min doesn't apply to torchcfm") { $0.sigmaMin = 0.01 },
        Statement("guided-diffusion", "--rho doesn't apply to --as guided-diffusion-64") {
            $0 = ImportSettings(name: "family")
            ($0.published, $0.rho) = (PublishedModel(named: "guided-diffusion-64"), 5)
        },
        Statement("torchcfm", "--path gvp doesn't apply") { $0.path = .gvp },
        Statement("torchcfm", "--prediction doesn't apply to torchcfm") { $0.prediction = .velocity },
        Statement("diffusers-ddpm", "--schedule is stated by scheduler_config.json") { $0.schedule = .linear },
        Statement("diffusers-ddpm", "--image-size 32 contradicts config.json") { $0.imageSize = 32 },
        Statement("diffusers-model", "--schedule is missing") { $0.schedule = nil },
        Statement("guided-diffusion", "--head-width is stated by --as guided-diffusion-64") {
            $0.published = PublishedModel(named: "guided-diffusion-64")
        },
        Statement("edm-ddpmpp", "the file is of EDM, but --as guided-diffusion-64 is a model of guided-diffusion") {
            $0.published = PublishedModel(named: "guided-diffusion-64")
        },
        Statement("guided-diffusion", "parameters, but --as guided-diffusion-64 is a model of 295904454") {
            $0 = ImportSettings(name: "family")
            $0.published = PublishedModel(named: "guided-diffusion-64")
            $0.classChoice = .index(2)
        },
    ]

    @Test("demands what no file states, and refuses what says nothing", arguments: faults)
    func statements(_ fault: Statement) throws {
        let fixture = FamilyFixture.named(fault.fixture)
        var settings = fixture.settings()
        fault.change(&settings)
        try expect(fault.message, from: fixture, settings)
    }

    @Test("takes the limits of a grid of noise levels from options, and says which it assumed")
    func noiseLevels() throws {
        let fixture = FamilyFixture.named("edm-ddpmpp")
        var settings = fixture.settings()
        (settings.sigmaMin, settings.points) = (0.01, 3)
        try fixture.withImport(settings) { model in
            #expect(
                model.configuration.flow.parametrised?.times == .noise(.levels(smallest: 0.01, largest: 80, rho: 7)))
            #expect(model.assumptions.contains("the pass ends at noise level 80 (--sigma-max)"))
            #expect(!model.assumptions.contains { $0.contains("--sigma-min") })
        }
        var named = ImportSettings(name: "named")
        (named.published, named.sigmaMax, named.rho) = (PublishedModel(named: "edm-cifar10"), 50, 3)
        let flow = try FlowStatement().flow(named).flow
        #expect(flow.parametrised?.times == .noise(.levels(smallest: 0.002, largest: 50, rho: 3)))
        named.sigmaMin = 60
        #expect(throws: ImportError.self) { try FlowStatement().flow(named) }
    }

    @Test("takes averaged weights unless others are asked for", arguments: ["torchcfm", "rectified-flow-original"])
    func weights(name: String) throws {
        let fixture = FamilyFixture.named(name)
        func first(_ weights: ImportSettings.Weights?) throws -> [Float] {
            var settings = fixture.settings()
            settings.weights = weights
            return try fixture.withImport(settings) { try $0.weights("unet.out.2.weight") }
        }
        #expect(try first(nil) == first(.averaged))
        #expect(try first(nil) != first(.raw))
    }

    @Test("reads the decoder's middle at the image by default, and says what it assumed")
    func defaults() throws {
        try FamilyFixture.named("torchcfm").withImport { model in
            #expect(model.configuration.defaultTap == "1.0/up.2")
            #expect(model.configuration.grid == TimeGridConfiguration(count: 17))
            #expect(model.configuration.preprocessing.mean == [0.5, 0.5, 0.5])
            #expect(model.assumptions.contains { $0.contains("--path") })
        }
        try FamilyFixture.named("diffusers-ddpm").withImport { model in
            #expect(model.configuration.defaultTap == "0.0/up.2")
            #expect(model.assumptions.isEmpty)
        }
    }

    static let hostileDocuments: [(file: String, member: String, value: String, message: String)] = [
        ("scheduler/scheduler_config.json", "\"trained_betas\": null", "\"trained_betas\": []", "2 to 10000 timesteps"),
        (
            "scheduler/scheduler_config.json", "\"num_train_timesteps\": 1000",
            "\"num_train_timesteps\": 9000000000000", "timesteps"
        ),
        ("scheduler/scheduler_config.json", "\"linear\"", "\"sigmoid\"", "beta_schedule is 'sigmoid'"),
        ("scheduler/scheduler_config.json", "DDPMScheduler", "ScoreSdeVeScheduler", "NCSN++"),
        ("unet/config.json", "\"layers_per_block\": 1", "\"layers_per_block\": 9223372036854775807", "residualBlocks"),
        ("unet/config.json", "\"time_embedding_dim\": null", "\"time_embedding_dim\": 9", "time_embedding_dim is '9'"),
        ("unet/config.json", "\"norm_num_groups\": 32", "\"norm_num_groups\": 16", "norm_num_groups is '16'"),
        ("unet/config.json", "\"freq_shift\": 1", "\"freq_shift\": 2", "frequencyShift"),
        ("unet/config.json", "\"sample_size\": 16", "\"sample_size\": 1024", "imageSize"),
        ("unet/config.json", "\"sample_size\": 16", "\"sample_size\": [16, 16]", "sample_size"),
        ("model_index.json", "\"unet\"", "\"safety_checker\"", "safety_checker"),
    ]

    @Test(
        "refuses documents that ask for what can't be served, before anything is computed", arguments: hostileDocuments)
    func hostileDocument(file: String, member: String, value: String, message: String) throws {
        try FamilyFixture.withUnpacked("diffusers-pipeline") { folder in
            let url = folder.appending(path: "pipeline/\(file)")
            let text = try String(contentsOf: url, encoding: .utf8)
            try #require(text.contains(member), "\(text)")
            try text.replacing(member, with: value).write(to: url, atomically: true, encoding: .utf8)
            let error = #expect(throws: (any Error).self) {
                try CheckpointImport(path: folder.appending(path: "pipeline").path, settings: ImportSettings(name: "x"))
            }
            #expect(error.map { "\($0)" }?.contains(message) ?? false, "\(String(describing: error))")
        }
    }

    @Test("reads schedules that are rescaled to no signal at the last timestep up to the noise level of every grid")
    func zeroSignal() throws {
        try FamilyFixture.withUnpacked("diffusers-pipeline") { folder in
            let url = folder.appending(path: "pipeline/scheduler/scheduler_config.json")
            try String(contentsOf: url, encoding: .utf8)
                .replacing("\"rescale_betas_zero_snr\": false", with: "\"rescale_betas_zero_snr\": true")
                .write(to: url, atomically: true, encoding: .utf8)
            let model = try CheckpointImport(
                path: folder.appending(path: "pipeline").path, settings: ImportSettings(name: "rescaled"))
            guard case .noise(.timesteps(.given(let betas)))? = model.configuration.flow.parametrised?.times else {
                Issue.record("\(model.configuration.flow)")
                return
            }
            #expect(betas.count == 1000 && betas.last == 1)
            // The first timestep keeps its noise.
            #expect(abs(betas[0] - 0.0001) < 1e-12)
        }
    }

    static let schedulers:
        [(fixture: String, member: String, value: String, prediction: Prediction, timeScale: Double)] =
            [
                ("diffusers-edm", "\"epsilon\"", "\"v_prediction\"", .edmReversed, 1),
                (
                    "diffusers-edm", "\"EDMEulerScheduler\"",
                    "\"KarrasEDMScheduler\", \"precondition_type\": \"cm_edm\"", .edm, 1000
                ),
                ("diffusers-pipeline", "\"DDPMScheduler\"", "\"DPMSolverMultistepScheduler\"", .epsilon, 1),
            ]

    @Test("takes the flow from schedulers that state it in other words", arguments: schedulers)
    func scheduler(
        fixture: String, member: String, value: String, prediction: Prediction, timeScale: Double
    ) throws {
        let flow = try withScheduler(of: fixture, member, value).flow.parametrised
        #expect(flow?.prediction == prediction && flow?.timeScale == timeScale)
    }

    @Test("demands the flow where the scheduler's configuration isn't reliable")
    func unreliableScheduler() throws {
        let error = #expect(throws: ImportError.self) {
            try withScheduler(
                of: "diffusers-edm", "\"EDMEulerScheduler\"", "\"KarrasEDMScheduler\", \"precondition_type\": \"edm\"")
        }
        #expect(error?.description.contains("--prediction is missing") ?? false, "\(String(describing: error))")
    }

    private func withScheduler(of fixture: String, _ member: String, _ value: String) throws -> ModelConfiguration {
        try FamilyFixture.withUnpacked(fixture) { folder in
            let url = folder.appending(path: "pipeline/scheduler/scheduler_config.json")
            try String(contentsOf: url, encoding: .utf8).replacing(member, with: value)
                .write(to: url, atomically: true, encoding: .utf8)
            return try CheckpointImport(
                path: folder.appending(path: "pipeline").path, settings: ImportSettings(name: "scheduled")
            ).configuration
        }
    }

    @Test("compares rectified-flow's configuration with the weights next to it")
    func rectifiedFlowConfiguration() throws {
        let fixture = FamilyFixture.named("rectified-flow")
        try FamilyFixture.withUnpacked(fixture.name) { folder in
            let url = folder.appending(path: "flow/unet_config.json")
            try String(contentsOf: url, encoding: .utf8).replacing("\"num_blocks\": 2", with: "\"num_blocks\": 3")
                .write(to: url, atomically: true, encoding: .utf8)
            let error = #expect(throws: ImportError.self) {
                try CheckpointImport(path: folder.appending(path: fixture.source).path, settings: fixture.settings())
            }
            #expect(error?.description.contains("num_blocks") ?? false, "\(String(describing: error))")
        }
    }

    @Test("refuses a configuration of more levels than can be built, without looking for each in the weights")
    func levels() throws {
        let fixture = FamilyFixture.named("diffusers-ddpm")
        try FamilyFixture.withUnpacked(fixture.name) { folder in
            let url = folder.appending(path: fixture.source + "/config.json")
            let levels = [String](repeating: "32", count: 100_000).joined(separator: ",")
            try String(contentsOf: url, encoding: .utf8)
                .replacing("\"block_out_channels\": [", with: "\"block_out_channels\": [\(levels),")
                .write(to: url, atomically: true, encoding: .utf8)
            let error = #expect(throws: ImportError.self) {
                try CheckpointImport(path: folder.appending(path: fixture.source).path, settings: fixture.settings())
            }
            #expect(error?.description.contains("100002 levels; up to 8") ?? false, "\(String(describing: error))")
        }
    }
}
