import Arguments
import FlowModel
import Networks
import ReverseODE
import TestBench
import Testing

@testable import CommandLineInterface
@testable import Training

/// Keeps the promise that fine-tuning changes of a model's description only what it must or is told to.
@Suite("What fine-tuning makes of a model's description")
struct FineTunedModelTests {
    private static let classes = ["cat", "dog", "fish"]

    private static func base(tap: String, solver: Solver = .euler) -> ModelConfiguration {
        var base = TinyModel.configuration(name: "first")
        (base.defaultTap, base.solver) = (tap, solver)
        return base
    }

    private static func wishes(
        _ points: Int = 4, name: String? = nil, tap: String? = nil, width: Int? = nil
    ) throws -> FineTunedModel.Wishes {
        var wishes = FineTunedModel.Wishes(grid: TimeGridConfiguration(count: points))
        (wishes.name, wishes.headWidth) = (name, width)
        wishes.defaultTap = try tap.map { try Tap(parsing: $0) }
        return wishes
    }

    @Test(
        "The default tap stays where the new grid has it; where it hasn't, its place is read where the head reads, which is said",
        arguments: [
            ("end/up.1", 4, "end/up.1", "kept"), ("0/middle", 3, "0.0/middle", "kept"),
            ("end/head", 4, "end/head", "kept"),
            ("0.3333/middle", 4, "0.3333/middle", "kept"), ("0.3333/middle", 3, "end/middle", "not on the new grid"),
            ("end/pooled", 3, "end/pooled", "kept"),
        ])
    func keepsTap(tap: String, points: Int, kept: String, said: String) throws {
        let tuned = try FineTunedModel(of: Self.base(tap: tap), classes: Self.classes, try Self.wishes(points))
        #expect(try Tap(parsing: tuned.configuration.defaultTap) == Tap(parsing: kept))
        #expect(tuned.notes.contains { $0.hasPrefix("default tap: ") && $0.contains(said) }, "\(tuned.notes)")
    }

    @Test("A head that reads early takes a default tap at the end with it, which is said, and keeps its weights")
    func movesHead() throws {
        var wishes = try Self.wishes(9)
        wishes.headTime = .at(0.875)
        let base = Self.base(tap: "end/up.1")
        let tuned = try FineTunedModel(of: base, classes: Self.classes, wishes)
        #expect(tuned.configuration.head?.point == 1 && tuned.configuration.defaultTap == "0.875/up.1")
        #expect(tuned.notes.contains { $0.hasPrefix("default tap: 0.875/up.1, moved from the end") }, "\(tuned.notes)")
        #expect(tuned.keepsHead && tuned.notes.contains { $0.hasPrefix("head: kept") && $0.hasSuffix("at 0.875") })
        // On another grid it keeps its time, and another head in its place does too.
        let further = try FineTunedModel(of: tuned.configuration, classes: ["a", "b"], try Self.wishes(17))
        #expect(further.configuration.headTime == .at(0.875) && !further.keepsHead)
        #expect(further.configuration.defaultTap == "0.875/up.1")
        #expect(throws: HeadTimeError.self) {
            try FineTunedModel(of: tuned.configuration, classes: Self.classes, try Self.wishes(4))
        }
    }

    @Test(
        "A default tap that would move to the pooled image itself reads where the head does",
        arguments: [
            ("end/pooled", HeadPlace.activations(ActivationMeans(.up(1))), "1.0/up.1"),
            ("end/pooled", .state, "1.0/pooled"),
            ("end/middle", .activations(ActivationMeans(.up(1))), "1.0/middle"),
            ("1/pooled", .activations(ActivationMeans(.up(1))), "1/pooled"),
        ])
    func leavesTheImage(tap: String, place: HeadPlace, kept: String) throws {
        var wishes = try Self.wishes(9)
        (wishes.headTime, wishes.headPlace, wishes.isHeadSolved) = (.at(1), place, true)
        let tuned = try FineTunedModel(of: Self.base(tap: tap), classes: Self.classes, wishes)
        #expect(try Tap(parsing: tuned.configuration.defaultTap) == Tap(parsing: kept))
    }

    @Test("Another tap and another name are taken if they are asked for; a tap that the model lacks is refused")
    func obeys() throws {
        let base = Self.base(tap: "end/up.1")
        let plain = try FineTunedModel(of: base, classes: Self.classes, try Self.wishes())
        #expect(plain.configuration.name == "first" && plain.keepsHead)
        #expect(plain.configuration.head == base.head && plain.configuration.labels == base.labels)
        #expect(plain.notes.count == 4 && plain.notes[0].contains("kept") && plain.notes[2].contains("kept"))
        let told = try FineTunedModel(
            of: base, classes: ["a", "b"], try Self.wishes(3, name: "second", tap: "0.5/middle"))
        #expect(told.configuration.name == "second" && told.configuration.defaultTap == "0.5/middle")
        #expect(!told.keepsHead && told.configuration.labels == ["a", "b"])
        #expect(told.notes[0] == "name: second" && told.notes[2].contains("new, 2 classes"))
        #expect(plain.notes[3].hasPrefix("flow: not trained"), "the grid goes to noise")
        var keepingFlow = try Self.wishes()
        keepingFlow.trainsFlow = true
        #expect(try FineTunedModel(of: base, classes: Self.classes, keepingFlow).notes.count == 3)
        for tap in ["0.25/middle", "end/up.99"] {
            #expect(throws: TapError.self) {
                _ = try FineTunedModel(of: base, classes: Self.classes, try Self.wishes(3, tap: tap))
            }
        }
    }

    @Test("A model with another solver than Euler's is refused by that name", arguments: Solver.allCases)
    func solver(solver: Solver) throws {
        let base = Self.base(tap: "end/pooled", solver: solver)
        func tune() throws -> FineTunedModel {
            try FineTunedModel(of: base, classes: Self.classes, try Self.wishes())
        }
        guard solver != .euler else { return #expect(try tune().configuration.solver == .euler) }
        let error = #expect(throws: ConfigurationError.self) { try tune() }
        #expect(error?.field == "solver" && error?.problem.contains("\(solver)") == true)
        var wishes = try Self.wishes()
        (wishes.headPlace, wishes.headTime) = (.activations(ActivationMeans(.middle)), .at(1))
        let kept = try FineTunedModel(of: base, classes: Self.classes, wishes)
        #expect(kept.configuration.solver == solver && kept.configuration.head?.point == 0)
    }

    @Test(
        "An option that would change nothing is refused by its name, wherever it was given",
        arguments: [
            (["finetune", "--split-seed", "2"], "--split-seed"),
            (["finetune", "--validation", "DATA", "--split-seed", "2"], "--split-seed"),
            (
                ["pretrain", "--architecture", "ARCHITECTURE", "--coupling", "icfm", "--split-seed", "2"],
                "--split-seed"
            ),
            (["finetune", "--schedule", "constant", "--final-learning-rate", "0.1"], "--final-learning-rate"),
        ])
    @MainActor
    func refusesIdleOptions(line: [String], option: String) async throws {
        let shop = try Workshop()
        let places = ["DATA": shop.data, "ARCHITECTURE": shop.architecture]
        let whole = line.map { places[$0] ?? $0 } + ["--data", shop.data, "-o", shop.scratch.path("out")]
        let arguments = try parsed(whole)
        let error = try #require(throws: UsageError.self) {
            _ = try line[0] == "finetune" ? FineTuneCommand.run(arguments) : PretrainCommand.run(arguments)
        }
        #expect(error.source == option, "\(error)")
    }

    @Test(
        "A frozen flow keeps its solver and gets a new, linear head; a tap at the old head's activations becomes another"
    )
    func solvedHead() throws {
        var wishes = try Self.wishes()
        wishes.isHeadSolved = true
        let tuned = try FineTunedModel(of: Self.base(tap: "end/head", solver: .heun), classes: Self.classes, wishes)
        #expect(tuned.configuration.solver == .heun && !tuned.keepsHead)
        #expect(tuned.configuration.head?.hiddenWidth == nil && tuned.configuration.defaultTap == "end/pooled")
        #expect(tuned.notes.contains { $0.hasPrefix("head: new, linear, 3 classes") }, "\(tuned.notes)")
        var trainable = tuned.configuration
        trainable.solver = .euler
        let linear = try FineTunedModel(of: trainable, classes: Self.classes, try Self.wishes())
        #expect(linear.keepsHead && linear.configuration.head?.hiddenWidth == nil)
        let hidden = try FineTunedModel(of: trainable, classes: Self.classes, try Self.wishes(width: 5))
        #expect(!hidden.keepsHead && hidden.configuration.head?.hiddenWidth == 5)
        let without = try FineTunedModel(
            of: Self.base(tap: "end/pooled"), classes: Self.classes, try Self.wishes(width: 0))
        #expect(without.configuration.head?.hiddenWidth == nil)
    }
}
