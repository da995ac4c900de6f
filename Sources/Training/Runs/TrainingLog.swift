import Files
import Plotting

/// The epochs of a run as a table and as a drawing. Both are replaced after every epoch, so a resumed run leaves the same files
/// as one that was never interrupted.
struct TrainingLog {
    private let epochs: [TrainingRecord.Epoch]

    init(_ epochs: [TrainingRecord.Epoch]) { self.epochs = epochs }

    /// Comma-separated values with a line of column names. Fractions, not percents; empty where there is nothing to say.
    var csv: String {
        let hasFlow = epochs.contains { $0.flowLoss != nil }
        let header = "epoch,step,learning_rate,loss,top1,validation_loss,validation_top1,images_per_second,seconds"
        return epochs.reduce(into: header + (hasFlow ? ",flow_loss,validation_flow_loss\n" : "\n")) { text, epoch in
            let rate = epoch.seconds > 0 ? (Double(epoch.images) / epoch.seconds * 10).rounded() / 10 : 0
            let flow: [(any CustomStringConvertible)?] = hasFlow ? [epoch.flowLoss, epoch.validation?.flowLoss] : []
            text += csvLine(
                [
                    epoch.epoch, epoch.step, epoch.learningRate, epoch.loss, epoch.top1, epoch.validation?.loss,
                    epoch.validation?.top1, rate, (epoch.seconds * 10).rounded() / 10,
                ] + flow)
        }
    }

    /// Loss over epochs and, where there are classes, top-1 accuracy below it, and the flow's loss if it is learnt too, as an SVG
    /// file.
    var svg: String {
        var plots = [plot("Loss", "mean loss", [("training", { $0.loss }), ("validation", { $0.validation?.loss })])]
        if epochs.contains(where: { $0.top1 != nil }) {
            var accuracy = plot(
                "Accuracy", "top-1",
                [("training", { $0.top1 }), ("validation", { $0.validation?.top1 })])
            accuracy.yRange = 0...1
            plots.append(accuracy)
        }
        if epochs.contains(where: { $0.flowLoss != nil }) {
            plots.append(
                plot(
                    "Loss of the flow", "mean loss",
                    [("training", { $0.flowLoss }), ("validation", { $0.validation?.flowLoss })]))
        }
        return LinePlot.svg(plots, title: "Training")
    }

    private func plot(
        _ title: String, _ label: String, _ series: [(name: String, value: (TrainingRecord.Epoch) -> Double?)]
    ) -> LinePlot {
        LinePlot(
            title: title, xLabel: "epoch", yLabel: label,
            series: series.compactMap { series in
                let points = epochs.compactMap { epoch in
                    series.value(epoch).map { LinePlot.Point(Double(epoch.epoch), $0) }
                }
                return points.isEmpty ? nil : LinePlot.Series(series.name, points)
            })
    }

    /// Replaces the run's table and drawing.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    func write(to files: TrainingRun.Files) throws {
        for (path, text) in [(files.log, csv), (files.plot, svg)] {
            var file = try AtomicFile(path: path)
            try file.write(Array(text.utf8))
            try file.commit()
        }
    }
}

/// Comma-separated numbers, empty where there is none, with a line end.
func csvLine(_ values: [(any CustomStringConvertible)?]) -> String {
    values.map { $0?.description ?? "" }.joined(separator: ",") + "\n"
}
