//! What an evaluation says: a table, a JSON file and a picture.

use crate::metrics::Measures;
use crate::thresholds::Kept;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One detector on all machines: for each seed the measures of each machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// As the table calls it.
    pub name: String,
    /// By seed, then by machine; detectors without chance have one.
    pub runs: Vec<Vec<Measures>>,
}

/// A figure out of [`Measures`].
pub type Figure = fn(&Measures) -> f64;

/// The measures with their titles.
pub const FIGURES: [(&str, Figure); 4] = [
    ("AUC-PR", |m| m.average_precision),
    ("VUS-PR", |m| m.volume),
    ("F1", |m| m.f1),
    ("F1 adjusted", |m| m.adjusted_f1),
];

/// Mean over seeds and the spread of the seeds' means.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Summary {
    /// Mean over machines and seeds.
    pub mean: f64,
    /// The least seed's mean over machines.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Line {
    /// Of the machines for which `chosen` holds.
    pub fn summary(&self, figure: Figure, chosen: &dyn Fn(usize) -> bool) -> Summary {
        let means: Vec<f64> = self
            .runs
            .iter()
            .map(|machines| {
                let values: Vec<f64> = machines
                    .iter()
                    .enumerate()
                    .filter(|(machine, _)| chosen(*machine))
                    .map(|(_, measures)| figure(measures))
                    .collect();
                values.iter().sum::<f64>() / values.len().max(1) as f64
            })
            .collect();
        Summary {
            mean: means.iter().sum::<f64>() / means.len().max(1) as f64,
            least: means.iter().copied().fold(f64::INFINITY, f64::min),
            most: means.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// Mean over seeds for one machine.
    pub fn of_machine(&self, machine: usize, figure: Figure) -> f64 {
        self.summary(figure, &|other| other == machine).mean
    }
}

/// Choices were made on machines of even place; the others tell how far they carry.
pub fn chosen_on(machine: usize) -> bool {
    machine.is_multiple_of(2)
}

/// The table for the terminal.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    let width = lines
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0);
    let _ = write!(text, "{:width$}", "");
    for (title, _) in FIGURES {
        let _ = write!(text, "  {title:>19}");
    }
    let _ = writeln!(text, "  {:>22}", "AUC-PR chosen on/other");
    for line in lines {
        let _ = write!(text, "{:width$}", line.name);
        for (_, figure) in FIGURES {
            let all = line.summary(figure, &|_| true);
            let spread = if line.runs.len() > 1 {
                format!("({:.3}–{:.3})", all.least, all.most)
            } else {
                String::new()
            };
            let _ = write!(text, "  {:.3} {spread:13}", all.mean);
        }
        let (title, figure) = FIGURES[0];
        debug_assert_eq!(title, "AUC-PR");
        let _ = writeln!(
            text,
            "  {:>14.3} / {:.3}",
            line.summary(figure, &chosen_on).mean,
            line.summary(figure, &|machine| !chosen_on(machine)).mean
        );
    }
    text
}

/// Everything, for programs.
pub fn json(machines: &[String], lines: &[Line], kept: &[Kept]) -> Value {
    let line = |line: &Line| {
        let figures = FIGURES.iter().map(|(title, figure)| {
            let all = line.summary(*figure, &|_| true);
            let by_machine: serde_json::Map<String, Value> = machines
                .iter()
                .enumerate()
                .map(|(index, name)| (name.clone(), line.of_machine(index, *figure).into()))
                .collect();
            let value = json!({
                "mean": all.mean, "least": all.least, "most": all.most,
                "chosen_on": line.summary(*figure, &chosen_on).mean,
                "others": line.summary(*figure, &|machine| !chosen_on(machine)).mean,
                "machines": by_machine,
            });
            ((*title).to_owned(), value)
        });
        let figures: serde_json::Map<String, Value> = figures.collect();
        json!({ "detector": line.name, "seeds": line.runs.len(), "figures": figures })
    };
    let kept = kept.iter().map(|kept| {
        json!({
            "stated": kept.stated, "middle": kept.middle, "mean": kept.mean,
            "faults": kept.faults, "rows": kept.rows, "auc_pr": kept.precision,
        })
    });
    json!({
        "dataset": "SMD",
        "detectors": lines.iter().map(line).collect::<Vec<_>>(),
        "thresholds": kept.collect::<Vec<_>>(),
    })
}

/// The lines of an earlier [`json()`] for the same machines; each has one run, of its seeds' means. `None`: it is none, or has other
/// machines.
pub fn earlier(machines: &[String], json: &Value) -> Option<Vec<Line>> {
    let lines = json.get("detectors")?.as_array()?.iter();
    let line = |line: &Value| {
        let figure = |index: usize, machine: &str| {
            let (title, _) = FIGURES[index];
            line["figures"][title]["machines"].get(machine)?.as_f64()
        };
        let measures = |machine: &String| {
            Some(Measures {
                average_precision: figure(0, machine)?,
                volume: figure(1, machine)?,
                f1: figure(2, machine)?,
                adjusted_f1: figure(3, machine)?,
            })
        };
        Some(Line {
            name: line.get("detector")?.as_str()?.to_owned(),
            runs: vec![machines.iter().map(measures).collect::<Option<_>>()?],
        })
    };
    lines.map(line).collect()
}

/// The longest name, and the last machine's slanting one.
const LABEL: f64 = 360.0;
const MARGIN: f64 = 50.0;
const CELL: f64 = 52.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 92.0;

/// A picture of one measure: detectors down, machines across, darker is better.
pub fn svg(machines: &[String], lines: &[Line], title: &str, figure: Figure) -> String {
    let columns = machines.len() + 1;
    let (width, height) = (
        LABEL + CELL * columns as f64 + MARGIN,
        HEAD + ROW * lines.len() as f64 + 20.0,
    );
    let mut body = String::new();
    let mut cell = |column: usize, row: usize, value: f64| {
        let (x, y) = (LABEL + CELL * column as f64, HEAD + ROW * row as f64);
        let light = 96.0 - 58.0 * value.clamp(0.0, 1.0);
        let ink = if light < 62.0 { "white" } else { "black" };
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{ROW}\" fill=\"hsl(212,62%,{light:.0}%)\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{ink}\" text-anchor=\"middle\">{value:.2}</text>",
            x + CELL / 2.0,
            y + 15.0
        );
    };
    for (row, line) in lines.iter().enumerate() {
        cell(0, row, line.summary(figure, &|_| true).mean);
        for machine in 0..machines.len() {
            cell(machine + 1, row, line.of_machine(machine, figure));
        }
    }
    for (row, line) in lines.iter().enumerate() {
        let y = HEAD + ROW * row as f64 + 15.0;
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{y}\">{}</text>",
            escaped(&line.name)
        );
    }
    let heads = std::iter::once("mean").chain(machines.iter().map(String::as_str));
    for (column, name) in heads.enumerate() {
        let x = LABEL + CELL * column as f64 + CELL / 2.0;
        let _ = writeln!(
            body,
            "<text transform=\"translate({x},{}) rotate(-40)\">{}</text>",
            HEAD - 8.0,
            escaped(name)
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{}</text>\n{body}</svg>\n",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, runs: &[[f64; 3]]) -> Line {
        let measures = |value: &f64| Measures {
            average_precision: *value,
            ..Measures::default()
        };
        Line {
            name: name.to_owned(),
            runs: runs
                .iter()
                .map(|run| run.iter().map(measures).collect())
                .collect(),
        }
    }

    #[test]
    fn means_are_over_machines_and_the_spread_is_over_seeds() {
        let line = line("a", &[[0.2, 0.4, 0.6], [0.4, 0.6, 0.8]]);
        let all = line.summary(FIGURES[0].1, &|_| true);
        assert!((all.mean - 0.5).abs() < 1e-12, "{all:?}");
        assert!(
            (all.least - 0.4).abs() < 1e-12 && (all.most - 0.6).abs() < 1e-12,
            "{all:?}"
        );
        assert!((line.summary(FIGURES[0].1, &chosen_on).mean - 0.5).abs() < 1e-12);
        assert!((line.of_machine(1, FIGURES[0].1) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn an_earlier_evaluation_is_read_back() {
        let names = ["m1", "m2", "m3"].map(str::to_owned);
        let lines = [line("a", &[[0.2, 0.4, 0.6], [0.4, 0.6, 0.8]])];
        let written = json(&names, &lines, &[]);
        let read = earlier(&names, &written).unwrap();
        assert_eq!((read.len(), read[0].name.as_str()), (1, "a"));
        let figure = FIGURES[0].1;
        assert!((read[0].of_machine(2, figure) - 0.7).abs() < 1e-12);
        assert_eq!(earlier(&["m4".to_owned()], &written), None);
        assert_eq!(earlier(&names, &serde_json::json!({})), None);
    }

    #[test]
    fn the_picture_has_a_cell_for_each_detector_and_machine_and_the_mean() {
        let names = ["m<1>", "m2", "m3"].map(str::to_owned);
        let lines = [
            line("a", &[[0.2, 0.4, 0.6]]),
            line("b & c", &[[1.0, 1.0, 1.0]]),
        ];
        let svg = svg(&names, &lines, "AUC-PR", FIGURES[0].1);
        assert_eq!(svg.matches("<rect x=").count(), 8);
        assert!(
            svg.contains("m&lt;1&gt;") && svg.contains("b &amp; c"),
            "{svg}"
        );
        assert!(table(&lines).contains("0.400"), "{}", table(&lines));
    }
}
