import TestFixtures
import Testing

@testable import FeatureService

@Suite("Batch planner")
struct BatchPlannerTests {
    typealias Planner = BatchPlanner<String>

    @Test(
        "First come, first served; no request starves under random arrivals, depths and departures", arguments: 0..<20)
    func nobodyStarves(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limit = 1 + Int(random.next() % 8)
        let longestPass = 12
        var planner = Planner(batchLimit: limit, mode: .step)
        var remaining: [ImageID: Int] = [:]
        var started: [ImageID] = []
        var queuedBefore: [ImageID: Int] = [:]
        var waited: [ImageID: Int] = [:]
        var clock = 0
        var number: UInt64 = 0
        while clock < 500 || !planner.isEmpty {
            clock += 1
            for _ in 0..<(random.next() % 3) where clock < 500 {
                let ahead = planner.waiting.count
                let id = ImageID(number: number)
                number += 1
                planner.enqueue(id, model: "m")
                remaining[id] = 1 + Int(random.next() % UInt64(longestPass))
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
            #expect(batch.images == batch.images.sorted())
            started += batch.joined
            for entry in planner.waiting { waited[entry.id, default: 0] += 1 }
            var finished: Set<ImageID> = []
            for image in batch.images {
                remaining[image]! -= 1
                if remaining[image] == 0 { finished.insert(image) }
            }
            planner.remove(finished)
            for image in finished { remaining[image] = nil }
            // A request that waits while there is room has been forgotten.
            #expect(planner.waiting.isEmpty || batch.images.count == limit)
        }
        #expect(started == started.sorted(), "in the order of admission")
        #expect(planner.isEmpty && remaining.isEmpty, "everyone was served in the end")
        for (id, steps) in waited {
            // Every image ahead holds a place for at most one pass.
            #expect(steps <= (queuedBefore[id]! / limit + 1) * longestPass)
        }
    }

    @Test("A new image joins at the next step, or, batching by request, after the batch under way")
    func joining() {
        for (mode, joins) in [(BatchingMode.step, true), (.request, false)] {
            var planner = Planner(batchLimit: 4, mode: mode)
            let (first, second) = (ImageID(number: 0), ImageID(number: 1))
            planner.enqueue(first, model: "m")
            #expect(planner.next()?.images == [first])
            planner.enqueue(second, model: "m")
            #expect(planner.next()?.images == (joins ? [first, second] : [first]))
            planner.remove([first])
            #expect(planner.next()?.images == [second])
        }
    }

    @Test("Two models: the queue stops at the first image of another model, which joins once its turn has come")
    func twoModels() {
        var planner = Planner(batchLimit: 4, mode: .step)
        let (old, new, late) = (ImageID(number: 0), ImageID(number: 1), ImageID(number: 2))
        for (id, model) in [(old, "old"), (new, "new"), (late, "old")] { planner.enqueue(id, model: model) }
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
