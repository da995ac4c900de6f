import TestFixtures
import Testing

@testable import FeatureService

@Suite("Batch planner")
struct BatchPlannerTests {
    typealias Planner = BatchPlanner<String>

    @Test("No image starves under random arrivals, depths and departures", arguments: 0..<20)
    func nobodyStarves(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = 1 + Int(random.next() % 8)
        let longestPass = 12
        var planner = Planner(batchLimit: limit, mode: .step)
        var remaining: [ImageID: Int] = [:]
        var queuedBefore: [ImageID: Int] = [:]
        var waited: [ImageID: Int] = [:]
        var clock = 0
        var number: UInt64 = 0
        while clock < 500 || !planner.isEmpty {
            clock += 1
            for _ in 0..<(random.next() % 3) where clock < 500 {
                let ahead = planner.waiting.count + planner.inFlight.count
                let id = ImageID(number: number)
                number += 1
                let work = 1 + Int(random.next() % UInt64(longestPass))
                planner.enqueue(id, model: "m", work: Double(work))
                remaining[id] = work
                queuedBefore[id] = ahead
            }
            if clock > 50_000 { break }
            if random.next() % 10 == 0, let leaver = (planner.waiting + planner.inFlight).randomElement(using: &random)
            {
                planner.remove([leaver.id])
                remaining[leaver.id] = nil
            }
            guard let batch = planner.next() else { continue }
            #expect(batch.images.count <= limit && !batch.images.isEmpty)
            #expect(Set(batch.images).count == batch.images.count)
            for entry in planner.waiting + planner.inFlight where !batch.images.contains(entry.id) {
                waited[entry.id, default: 0] += 1
            }
            let least = (planner.waiting + planner.inFlight).map(\.work).min()!
            let chosen = planner.inFlight.filter { batch.images.contains($0.id) }
            #expect(limit == 1 || chosen.contains { $0.work == least }, "the least work goes on at once")
            var finished: Set<ImageID> = []
            for image in batch.images {
                remaining[image]! -= 1
                if remaining[image] == 0 { finished.insert(image) }
            }
            planner.remove(finished)
            planner.setWork(remaining.mapValues(Double.init))
            for image in finished { remaining[image] = nil }
            // A request that waits while there is room has been forgotten.
            #expect(planner.waiting.isEmpty || batch.images.count == limit)
        }
        #expect(planner.isEmpty && remaining.isEmpty, "everyone was served in the end")
        for (id, steps) in waited {
            // Of the places for the oldest, every image ahead holds one for at most a pass.
            #expect(steps <= (queuedBefore[id]! / (limit - limit / 2) + 1) * longestPass)
        }
    }

    @Test("Where all need equally much, they begin in the order of admission, and none that has begun is interrupted")
    func equalWork() {
        var planner = Planner(batchLimit: 4, mode: .step)
        let images = (0..<10).map { ImageID(number: $0) }
        for image in images { planner.enqueue(image, model: "m", work: 2) }
        for first in [0, 4, 8] {
            let expected = Array(images[first..<min(10, first + 4)])
            for left in [1.0, 0] {
                #expect(planner.next()?.images == expected)
                planner.setWork(Dictionary(uniqueKeysWithValues: expected.map { ($0, left) }))
            }
            planner.remove(Set(expected))
        }
        #expect(planner.isEmpty)
    }

    @Test("An image with little work joins a full batch of long passes at the next step; batching by request, it waits")
    func littleWork() {
        let long = (0..<6).map { ImageID(number: $0) }
        let short = ImageID(number: 6)
        for (mode, batch) in [(BatchingMode.step, [0, 1, 2, 6]), (.request, [0, 1, 2, 3])] {
            var planner = Planner(batchLimit: 4, mode: mode)
            for image in long { planner.enqueue(image, model: "m", work: 32) }
            #expect(planner.next()?.images == Array(long[..<4]))
            planner.setWork(Dictionary(uniqueKeysWithValues: long[..<4].map { ($0, 31) }))
            planner.enqueue(short, model: "m", work: 1)
            #expect(planner.next()?.images == batch.map { ImageID(number: UInt64($0)) })
            guard mode == .step else { continue }
            planner.remove([short])
            #expect(planner.next() == Planner.Batch(model: "m", images: Array(long[..<4]), joined: []), "they go on")
        }
    }

    @Test("A new image joins at the next step, or, batching by request, after the batch under way")
    func joining() {
        for (mode, joins) in [(BatchingMode.step, true), (.request, false)] {
            var planner = Planner(batchLimit: 4, mode: mode)
            let (first, second) = (ImageID(number: 0), ImageID(number: 1))
            planner.enqueue(first, model: "m", work: 1)
            #expect(planner.next()?.images == [first])
            planner.enqueue(second, model: "m", work: 1)
            #expect(planner.next()?.images == (joins ? [first, second] : [first]))
            planner.remove([first])
            #expect(planner.next()?.images == [second])
        }
    }

    @Test("Two models: the queue stops at the first image of another model, which joins once its turn has come")
    func twoModels() {
        var planner = Planner(batchLimit: 4, mode: .step)
        let (old, new, late) = (ImageID(number: 0), ImageID(number: 1), ImageID(number: 2))
        for (id, model) in [(old, "old"), (new, "new"), (late, "old")] { planner.enqueue(id, model: model, work: 1) }
        #expect(planner.next() == Planner.Batch(model: "old", images: [old], joined: [old]))
        #expect(planner.next() == Planner.Batch(model: "old", images: [old], joined: []))
        #expect(planner.uses("old") && planner.uses("new") && planner.waiting.count == 2)
        planner.remove([old])
        #expect(planner.next() == Planner.Batch(model: "new", images: [new], joined: [new]))
        planner.remove([new])
        #expect(!planner.uses("new") && planner.uses("old"))
        #expect(planner.next() == Planner.Batch(model: "old", images: [late], joined: [late]))
    }
}
