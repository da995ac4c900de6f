// swift-tools-version: 6.2
import PackageDescription

// A target imports only targets above it in the table of docs/architecture.md; exactly one target imports each C library.

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
/// Compilers may not fuse a product and a sum that the source keeps apart. By default Clang fuses them where the baseline has
/// such an instruction. arm64 has one and x86-64 has none, so the results would differ.
let strictC: [CSetting] = [
    .treatAllWarnings(as: .error), .unsafeFlags(["-std=c23", "-Wall", "-Wextra", "-ffp-contract=off"]),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// A library on the hot path, optimised in debug builds too: only optimised code allocates nothing per step, and tests of whole
/// models would be slow without it.
func hotLibrary(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict + [.unsafeFlags(["-O"])])
}

func cLibrary(
    _ name: String, _ dependencies: [Target.Dependency] = [], links: [String] = [], exclude: [String] = [],
    settings: [CSetting] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, exclude: exclude, cSettings: strictC + settings,
        linkerSettings: links.map { .linkedLibrary($0) })
}

/// - Parameter computes: whether the tests themselves do much arithmetic, such as a layer's definition in plain loops, and are
///   optimised in debug builds too for that.
/// - Parameter links: libraries that the tests call themselves.
func tests(
    of name: String, _ more: [Target.Dependency] = [], computes: Bool = false, links: [String] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name), "TestFixtures"] + more,
        swiftSettings: strict + (computes ? [.unsafeFlags(["-O"])] : []),
        linkerSettings: links.map { .linkedLibrary($0) })
}

let package = Package(
    name: "headwater",
    products: [.executable(name: "headwater", targets: ["headwater"])],
    targets: [
        cLibrary("CMicroHTTPD", links: ["microhttpd", "gnutls"]),
        cLibrary("COpenBLAS", links: ["openblas"]),
        cLibrary("CImageCodecs", ["CZlib"], links: ["jpeg", "png", "webp"], settings: [.unsafeFlags(["-O3"])]),
        cLibrary("CZip", links: ["zip"]),
        // Its header says why it loads libarchive instead of linking with it.
        cLibrary("CArchive"),
        // Its header says why it loads libcurl instead of linking with it.
        cLibrary("CCurl"),
        // Its header says why it loads Open MPI instead of linking with it.
        cLibrary("CMPI"),
        cLibrary("CNettle", links: ["nettle"]),
        cLibrary("CZlib", links: ["z"]),
        cLibrary("CNumberFormats", settings: [.unsafeFlags(["-O3"])]),
        cLibrary("CKernels", settings: [.unsafeFlags(["-O3", "-fno-math-errno", "-Wno-psabi"])]),
        cLibrary("CContract"),
        cLibrary("CPlayground", exclude: ["page"]),
        cLibrary("CMachine"),
        cLibrary("CEventPolling"),
        cLibrary("CProcess"),
        cLibrary("CBundledModel", exclude: ["headwater-cifar10.safetensors"]),

        library("UntrustedText", []),
        library("Plotting", []),
        library("Files", ["UntrustedText"]),
        library("JSON", ["UntrustedText"]),
        library("Digests", ["CNettle"]),
        library("Telemetry", ["CCurl", "Files", "JSON"]),
        library("CheckpointFormats", ["CZip", "CNumberFormats", "Digests", "Files", "JSON", "UntrustedText"]),
        library("Machine", ["CMachine"]),
        hotLibrary("Tensor", ["CKernels", "COpenBLAS", "Machine"]),
        hotLibrary("Layers", ["Tensor"]),
        hotLibrary("Networks", ["Layers", "Tensor", "CKernels"]),
        hotLibrary(
            "FlowModel", ["Networks", "Layers", "Tensor", "CheckpointFormats", "JSON", "UntrustedText"]),
        hotLibrary(
            "ReverseODE",
            ["Networks", "FlowModel", "Layers", "Plotting", "Tensor", "CKernels", "JSON", "UntrustedText"]),
        library("ModelImport", ["CheckpointFormats", "Files", "FlowModel", "JSON", "Networks", "UntrustedText"]),
        library("ImagePipeline", ["CImageCodecs", "Tensor"]),
        library(
            "FeatureService",
            [
                "CheckpointFormats", "Digests", "Files", "JSON", "ReverseODE", "ImagePipeline", "Tensor", "FlowModel",
                "Machine", "UntrustedText",
            ]),
        hotLibrary("Differentiation", ["Networks", "FlowModel", "Layers", "Tensor", "CKernels"]),
        hotLibrary("Augmentation", ["ImagePipeline"]),
        hotLibrary(
            "Training",
            [
                "Console", "Differentiation", "CheckpointFormats", "FlowModel", "Layers", "Networks", "ReverseODE",
                "Augmentation",
                "ImagePipeline", "Plotting", "Digests", "Files", "JSON", "Machine", "Tensor", "CKernels", "CArchive",
                "CMPI", "UntrustedText",
            ]),
        library("HTTPServer", ["CMicroHTTPD", "CZlib", "Files", "UntrustedText"]),
        library("LoadGeneration", ["CEventPolling", "Files", "Machine"]),
        library("Arguments", ["UntrustedText"]),
        library("Console", ["CProcess", "Files", "UntrustedText"]),
        library(
            "API",
            [
                "FeatureService", "ReverseODE", "FlowModel", "ImagePipeline", "CheckpointFormats", "Digests",
                "Files", "HTTPServer", "JSON", "Telemetry", "CContract", "CPlayground", "UntrustedText",
            ]),
        library(
            "Extraction",
            [
                "Console", "Digests", "FeatureService", "Files", "ImagePipeline", "JSON", "Machine", "ReverseODE",
                "Tensor", "Training", "UntrustedText",
            ]),
        hotLibrary(
            "Evaluation",
            [
                "Augmentation", "Console", "Extraction", "FeatureService", "ImagePipeline", "JSON", "Plotting",
                "ReverseODE", "Tensor", "Training",
            ]),
        library(
            "Benchmarks",
            [
                "CKernels", "Console", "FeatureService", "FlowModel", "ImagePipeline", "Layers", "LoadGeneration",
                "Machine", "ModelImport", "Networks", "Plotting", "ReverseODE", "Tensor", "Training",
            ]),
        library(
            "CommandLineInterface",
            [
                "API", "Arguments", "Augmentation", "Benchmarks", "CBundledModel", "CheckpointFormats", "Console",
                "Differentiation", "Evaluation", "Extraction", "FeatureService", "Files", "FlowModel", "HTTPServer",
                "ImagePipeline", "JSON", "Machine", "ModelImport", "Networks", "Plotting", "ReverseODE", "Telemetry",
                "Tensor", "Training", "UntrustedText",
            ]),
        // Imported by the executable alone: every commit compiles again what imports it.
        .plugin(name: "RecordCommit", capability: .buildTool()),
        .target(name: "BuildCommit", swiftSettings: strict, plugins: ["RecordCommit"]),
        .executableTarget(
            name: "headwater", dependencies: ["CommandLineInterface", "BuildCommit"], swiftSettings: strict),

        .target(name: "AllocationCounter", path: "Tests/AllocationCounter", cSettings: strictC),
        // SwiftPM's test runner links an overlay of Testing and Foundation, whose library Debian's toolchain lacks. Nothing
        // here uses it, so an empty archive of that name is enough.
        .target(
            name: "TestFixtures", path: "Tests/TestFixtures", swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-L\(Context.packageDirectory)/Tests/TestingOverlay"])]),
        .target(
            name: "ModelFixtures", dependencies: ["FlowModel", "ModelImport", "TestFixtures"],
            path: "Tests/ModelFixtures", swiftSettings: strict),
        .target(
            name: "TestBench",
            dependencies: ["TestFixtures", "FlowModel", "HTTPServer", "Tensor", "CZlib", "UntrustedText"],
            path: "Tests/TestBench", swiftSettings: strict),
        .target(
            name: "ReferenceNetwork", dependencies: ["FlowModel", "Layers", "Networks", "TestFixtures"],
            path: "Tests/ReferenceNetwork",
            swiftSettings: strict + [.unsafeFlags(["-O", "-enforce-exclusivity=unchecked"])]),
        tests(of: "CheckpointFormats", ["Files"]),
        tests(of: "Digests"),
        tests(of: "Files"),
        tests(of: "JSON"),
        tests(of: "UntrustedText"),
        tests(of: "Machine"),
        tests(of: "Tensor", ["CKernels", "Machine"]),
        tests(of: "Layers", ["Tensor", "ReferenceNetwork"], computes: true),
        tests(of: "FlowModel", ["JSON", "ModelFixtures", "ModelImport", "Networks"]),
        tests(
            of: "ModelImport",
            ["CheckpointFormats", "Digests", "FlowModel", "ModelFixtures", "Networks", "ReverseODE", "Tensor"]),
        tests(of: "Networks", ["FlowModel", "Layers", "ReferenceNetwork", "Tensor"], computes: true),
        tests(
            of: "ReverseODE",
            ["CheckpointFormats", "AllocationCounter", "Tensor", "FlowModel", "ModelImport", "Networks"],
            computes: true),
        tests(of: "ImagePipeline", ["CImageCodecs"]),
        tests(
            of: "FeatureService",
            ["Digests", "FlowModel", "Networks", "ReverseODE", "ImagePipeline", "Tensor", "TestBench"]),
        tests(
            of: "Differentiation",
            ["ReferenceNetwork", "FlowModel", "Layers", "ModelFixtures", "Networks", "CheckpointFormats", "Tensor"],
            computes: true),
        tests(of: "Augmentation", ["ImagePipeline"]),
        tests(
            of: "Training",
            [
                "Augmentation", "CArchive", "ImagePipeline", "CheckpointFormats", "Differentiation", "Files",
                "FlowModel", "JSON", "Layers", "ModelFixtures", "Networks", "ReverseODE", "Tensor", "UntrustedText",
            ],
            links: ["archive"]),
        tests(of: "Plotting"),
        tests(of: "HTTPServer", ["TestBench", "CMicroHTTPD"]),
        tests(of: "LoadGeneration", ["HTTPServer", "TestBench"]),
        tests(of: "Arguments", ["CommandLineInterface"]),
        tests(of: "Console"),
        tests(of: "Extraction"),
        tests(of: "Evaluation", ["Tensor", "Training"]),
        tests(of: "Telemetry", ["HTTPServer", "JSON", "TestBench"]),
        tests(
            of: "API",
            [
                "CMicroHTTPD", "FeatureService", "CheckpointFormats", "Digests", "Files", "ReverseODE", "FlowModel",
                "ImagePipeline", "HTTPServer", "JSON", "Telemetry", "Tensor", "TestBench", "UntrustedText",
            ]),
        tests(
            of: "CommandLineInterface",
            [
                "API", "Arguments", "Benchmarks", "Console", "Evaluation", "Extraction", "Files", "LoadGeneration",
                "Machine", "ModelFixtures", "ModelImport", "TestBench", "UntrustedText",
            ]),
        .testTarget(
            name: "ScenarioTests", dependencies: ["headwater", "FlowModel", "TestBench", "TestFixtures"],
            swiftSettings: strict),
    ]
)

// The fuzzing harnesses, which only deploy/fuzz builds: with sanitizers, on libFuzzer, whose archive the variable names.
if let fuzzer = Context.environment["HEADWATER_FUZZER"] {
    package.targets += [
        .target(name: "CFuzzing", path: "Tests/Fuzzing/CFuzzing", cSettings: strictC),
        .executableTarget(
            name: "headwater-fuzz",
            dependencies: [
                "CFuzzing", "CZlib", "API", "Arguments", "CheckpointFormats", "CommandLineInterface", "Evaluation",
                "Extraction",
                "FeatureService", "Files", "FlowModel", "HTTPServer", "ImagePipeline", "JSON", "LoadGeneration",
                "ModelImport", "ReverseODE", "Telemetry", "Tensor", "TestFixtures", "Training",
            ],
            path: "Tests/Fuzzing/Harnesses", swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", fuzzer, "-lstdc++"])]),
    ]
}
