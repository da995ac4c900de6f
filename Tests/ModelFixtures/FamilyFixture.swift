import Foundation
import TestFixtures
import Testing

/// A tiny network of a published model family, in the file that its trainer saves; `Tests/Fixtures/families/index.json`
/// explains every member.
package struct FamilyFixture: Decodable, Sendable, CustomTestStringConvertible {
    /// The noise schedule, in the terms of configurations.
    package struct Schedule: Decodable, Sendable {
        package let kind: String
        package let timesteps: Int?
        package let betaStart: Double?
        package let betaEnd: Double?
        package let betas: [Double]?
        package let sigmaMin: Double?
        package let sigmaMax: Double?
        package let rho: Double?
        package let dataAt: Double?
        package let timeScale: Double?
    }

    /// The points of a trajectory, in double precision.
    package struct Grid: Decodable, Sendable {
        package let time: [Double]
        package let s: [Double]
        package let a: [Double]
        package let b: [Double]
        package let c: [Double]
        package let tau: [Double]
    }

    /// The network that the file has.
    package struct Network: Decodable, Sendable {
        package let imageSize: Int
        package let modelChannels: Int
        package let channelMultipliers: [Double]
        package let residualBlocks: Int
        package let attentionDownsampling: [Int]
        package let outputChannels: Int
        package let modulation: String
        package let resampling: String
        package let epsilon: Double
        package let sinusoids: String
        package let frequencyShift: Int
        package let downsamplePadding: String
        package let attentionInDecoder: String
        package let residualScale: Double
        package let classes: Int
        package let heads: Int?
        package let headWidth: Int?
    }

    /// What the source doesn't state.
    package struct Options: Decodable, Sendable {
        package let imageSize: Int?
        package let heads: Int?
        package let headWidth: Int?
        package let qkvOrder: String?
        package let groups: Int?
        package let parametrisation: String?
        package let schedule: Schedule?
        package let `class`: Int?
    }

    package let name: String
    package let about: String
    package let dialect: String
    /// The file or folder to import, in the unpacked fixture.
    package let source: String
    package let network: Network
    package let parametrisation: String
    package let schedule: Schedule
    package let options: Options
    package let grid: Grid
    /// The fixture whose import gives the same weights.
    package let sameWeightsAs: String?

    /// A file that can't be imported.
    package struct Refusal: Decodable, Sendable, CustomTestStringConvertible {
        package let name: String
        package let source: String
        /// What the error says.
        package let refusal: String
        package let options: Options
    }

    private struct Index: Decodable {
        let fixtures: [FamilyFixture]
        let refusals: [Refusal]
    }

    private static let index: Index = {
        let bytes = try! TestFixtures.bytes("families/index.json")
        return try! JSONDecoder().decode(Index.self, from: Data(bytes))
    }()

    /// Every fixture that is a model.
    package static let all: [FamilyFixture] = index.fixtures
    /// Every file to refuse.
    package static let refusals: [Refusal] = index.refusals

    /// Unpacks a fixture's archive into a folder that exists while `body` runs.
    package static func withUnpacked<R>(_ name: String, _ body: (_ folder: URL) throws -> R) throws -> R {
        try withTemporaryFolder { folder in
            let tar = Process()
            tar.executableURL = URL(filePath: "/usr/bin/env")
            tar.arguments = ["tar", "-xzf", TestFixtures.path("families/\(name).tar.gz"), "-C", folder.path]
            try tar.run()
            tar.waitUntilExit()
            precondition(tar.terminationStatus == 0, "tar can't unpack \(name)")
            return try body(folder)
        }
    }
}

extension FamilyFixture {
    /// Reports show the name alone.
    package var testDescription: String { name }
}

extension FamilyFixture.Refusal {
    /// Reports show the name alone.
    package var testDescription: String { name }
}
