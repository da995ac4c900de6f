public import FlowModel

extension ModelConfiguration {
    /// When the head reads; nil without a head.
    public var headTime: TapTime? {
        head.map { head in head.point.map { .at(TimeGrid(self).times[$0]) } ?? .end }
    }

    /// Gives the model another grid, and its head a time on it. If the head and the default tap are both at the end, the tap
    /// moves with the head to an earlier time.
    ///
    /// - Parameter time: when the head is to read; nil for its present time, or the end if that is its present time.
    /// - Throws: `ConfigurationError` if the grid isn't one of the flow's, `HeadTimeError` if it lacks the head's time, or there
    ///   is no head.
    public mutating func setGrid(_ grid: TimeGridConfiguration, headAt time: TapTime? = nil) throws {
        let before = headTime
        try grid.validate(on: flow)
        self.grid = grid
        guard let before else {
            guard time == nil else {
                throw HeadTimeError("this model is pretrained only: it has no head", remedy: "leave it out")
            }
            return
        }
        head?.point = nil
        let taps = try AvailableTaps(self)
        let index: Int
        do throws(TapError) {
            index = try taps.gridIndex(time ?? before)
        } catch {
            throw HeadTimeError(
                (time == nil ? "the head reads at \(before.written), and " : "") + "\(error)",
                remedy: "give a time of the grid, or end; 'headwater inspect' lists a model's grid")
        }
        guard index < taps.grid.steps else { return }
        head?.point = index
        if before == .end, let own = try? Tap(parsing: defaultTap), own.time == .end {
            defaultTap = Tap(time: .at(taps.grid.times[index]), place: own.place).written
        }
    }
}

/// A time at which a head can't read. The message says what to use instead.
public struct HeadTimeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, and which times there are.
    public let description: String
    /// What the sender can do.
    public let remedy: String

    init(_ description: String, remedy: String) {
        self.description = description
        self.remedy = remedy
    }
}
