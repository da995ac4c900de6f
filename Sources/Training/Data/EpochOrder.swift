import Augmentation

/// The images of an epoch, in their order.
struct EpochOrder: Equatable {
    /// Positions in the subset that is fed.
    let positions: [Int]
    /// How often the image at each place has come before in the epoch; nil if none comes twice.
    private let repetitions: [Int]?

    init(positions: [Int]) {
        self.positions = positions
        repetitions = nil
    }

    /// As many images as there are labels, each class equally often; if the count doesn't divide, some classes once more.
    ///
    /// A class goes through its images in a random order, then in another, until it has its share. So each image of a rare class
    /// occurs about equally often, and a frequent class leaves some out.
    ///
    /// - Parameters:
    ///   - random: for the order of the whole, and for the classes that occur once more.
    ///   - round: the numbers for a class's order, the first time, the second, and so on.
    init(
        balancing labels: [Int], using random: inout RandomStream, round: (_ label: Int, _ round: Int) -> RandomStream
    ) {
        let members = Dictionary(grouping: labels.indices) { labels[$0] }.sorted { $0.key < $1.key }
        let extra = Set(random.permutation(of: members.count).prefix(labels.count % members.count))
        var draws: [(position: Int, repetition: Int)] = []
        draws.reserveCapacity(labels.count)
        for (index, (label, images)) in members.enumerated() {
            var left = labels.count / members.count + (extra.contains(index) ? 1 : 0)
            var repetition = 0
            while left > 0 {
                var order = round(label, repetition)
                let chosen = order.permutation(of: images.count).prefix(left)
                draws += chosen.map { (images[$0], repetition) }
                left -= chosen.count
                repetition += 1
            }
        }
        let shuffled = random.permutation(of: draws.count)
        positions = shuffled.map { draws[$0].position }
        repetitions = shuffled.map { draws[$0].repetition }
    }

    /// How often the image at a place has been chosen before in the epoch.
    func repetition(at place: Int) -> Int { repetitions?[place] ?? 0 }

    func places(ofBatch index: Int, size: Int) -> Range<Int> {
        let start = index * size
        return start..<min(start + size, positions.count)
    }
}
