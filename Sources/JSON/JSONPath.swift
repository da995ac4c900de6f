import UntrustedText

/// Where a value is in a JSON document, such as `taps[0].time`.
package struct JSONPath: CustomStringConvertible {
    /// A member of an object, or an element of an array if it has no name. Changed in place: there is one for each number of
    /// a tensor.
    private struct Step {
        var name: String?
        var index = -1
    }

    private var steps: [Step] = []

    /// Enters an object or an array.
    mutating func enter() { steps.append(Step()) }

    /// Goes on to a member of the object.
    mutating func step(to name: String) { steps[steps.count - 1].name = name }

    /// Goes on to the next element of the array.
    mutating func stepToNextElement() { steps[steps.count - 1].index += 1 }

    /// Leaves the object or the array.
    mutating func leave() { steps.removeLast() }

    /// The path for messages: names from the document are shortened and in printable ASCII.
    package var description: String {
        guard !steps.isEmpty else { return "the JSON" }
        var text = ""
        for step in steps {
            if let name = step.name {
                text += (text.isEmpty ? "" : ".") + shown(name, atMost: 40)
            } else {
                text += "[\(step.index)]"
            }
        }
        return text
    }
}
