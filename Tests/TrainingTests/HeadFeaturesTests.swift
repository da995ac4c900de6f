import Differentiation
import FlowModel
import Foundation
import ReverseODE
import Tensor
import TestFixtures
import Testing

@testable import Training

@Suite("Features for a head alone")
struct HeadFeaturesTests {
    @Test("come in the batches of a feed of their images, epoch after epoch, from any place on", arguments: [0, 2, 4])
    func batches(first: Int) throws {
        try withTemporaryFolder { folder in
            let pool = WorkerPool(count: 2)
            let configuration = ModelConfiguration(
                name: "small", architecture: SmallRun.architecture, head: nil, path: .icfm,
                grid: TimeGridConfiguration(count: 2), preprocessing: .reference(imageSize: 16))
            let store = ParameterStore(shapes: try UNetLayout(SmallRun.architecture).parameters)
            WeightInitialization.initialize(store, seed: 1)
            let model = try ReversibleModel(configuration: configuration, pool: pool) { store.values(fileKey: $0) }
            let pictures = try SmallRun.pictures(in: folder)
            let features = try HeadFeatures(pictures, model: model, kernels: .best, pool: pool) { _ in }
            #expect(Set((0..<12).map { features.rows($0..<$0 + 1) }).count == 12, "every image has its own")

            let feed = DataFeed(
                pictures.subset, preprocessing: try SmallRun.preprocessing(), .init(batchSize: 3, seed: 7))
            let next = features.batches(fromEpoch: 1, index: first, ordered: feed)
            // An epoch has four batches.
            for place in first..<first + 6 {
                let (epoch, index) = (1 + place / 4, place % 4)
                let positions = feed.order(epoch: epoch).positions[(3 * index)..<(3 * index + 3)]
                let batch = next()
                #expect(batch.epoch == epoch && batch.index == index)
                #expect(batch.labels == positions.map { features.labels[$0] })
                #expect(batch.pixels == positions.flatMap { features.rows($0..<$0 + 1) })
            }
        }
    }

    @Test("leave damaged images out of their batches and labels")
    func damaged() throws {
        try withTemporaryFolder { folder in
            let pool = WorkerPool(count: 1)
            let configuration = ModelConfiguration(
                name: "small", architecture: SmallRun.architecture, head: nil, path: .icfm,
                grid: TimeGridConfiguration(count: 2), preprocessing: .reference(imageSize: 16))
            let store = ParameterStore(shapes: try UNetLayout(SmallRun.architecture).parameters)
            let model = try ReversibleModel(configuration: configuration, pool: pool) { store.values(fileKey: $0) }
            var pictures = try SmallRun.pictures(in: folder)
            try Data([1]).write(to: folder.appending(path: "dark/3.png"))
            var feeding = pictures.configuration
            feeding.damage = .skip(share: 0.1)
            pictures = DataFeed(pictures.subset, preprocessing: try SmallRun.preprocessing(), feeding)
            let features = try HeadFeatures(pictures, model: model, kernels: .best, pool: pool) { _ in }
            #expect(features.labels == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
            let next = features.batches(ordered: pictures)
            #expect([next(), next(), next()].map(\.positions) == [[0, 1, 2], [4, 5, 6, 7], [8, 9, 10, 11]])
        }
    }
}
