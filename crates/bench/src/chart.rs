//! A report as a picture: bars, a text beside each, in plain SVG.

use crate::report::{Contender, Report, Section, figure};
use crate::samples::Spread;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LABEL: f64 = 330.0;
const BAR: f64 = 14.0;
const GAP: f64 = 9.0;
const HEAD: f64 = 34.0;
/// Room to the right of the longest bar for its text.
const TEXT: f64 = 190.0;
/// Ours first; distinguishable without colours by their order too.
const COLOURS: [&str; 4] = ["#2563a8", "#c46a1c", "#7a7a7a", "#4a8f4a"];

/// All sections, one below the other. Bars are drawn to one scale within a case: a case says who
/// is how much better, cases of one and of a hundred clients share no scale worth drawing.
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 28.0;
    let _ = writeln!(
        body,
        "<text x=\"12\" y=\"{y}\" class=\"title\">{}</text>",
        escaped(report.name)
    );
    for section in &report.sections {
        y += HEAD;
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{y}\" class=\"head\">{}</text>",
            escaped(&section.title)
        );
        y += GAP;
        section_bars(section, &mut y, &mut body);
    }
    y += GAP;
    for note in &report.notes {
        y += BAR + 2.0;
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{y}\" class=\"note\">{}</text>",
            escaped(note)
        );
    }
    let height = y + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <style>.title{{font-size:18px;font-weight:bold}}.head{{font-size:14px;font-weight:bold}}.note{{fill:#555}}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn section_bars(section: &Section, y: &mut f64, body: &mut String) {
    for case in &section.cases {
        let bars: Vec<(usize, &Contender, Spread)> = std::iter::once(&case.ours)
            .chain(&case.peers)
            .enumerate()
            .filter_map(|(n, who)| Some((n, who, Spread::of(who.values.iter().copied())?)))
            .collect();
        let full = bars
            .iter()
            .map(|(_, _, spread)| spread.most)
            .fold(f64::MIN_POSITIVE, f64::max);
        let scale = (WIDTH - LABEL - TEXT) / full;
        let _ = writeln!(
            body,
            "<text x=\"12\" y=\"{}\">{}</text>",
            *y + BAR - 3.0,
            escaped(&case.label)
        );
        for (
            n,
            who,
            Spread {
                median,
                least,
                most,
            },
        ) in bars
        {
            let (colour, middle) = (COLOURS[n % COLOURS.len()], *y + BAR / 2.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
                 <path d=\"M{:.1} {middle}H{:.1}\" stroke=\"black\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\">{} {}</text>",
                median * scale,
                LABEL + least * scale,
                LABEL + most * scale,
                LABEL + most * scale + 6.0,
                *y + BAR - 3.0,
                escaped(&who.name),
                figure(median),
            );
            *y += BAR + 1.0;
        }
        *y += GAP;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use crate::report::tests::example;

    #[test]
    fn a_bar_per_contender_that_was_measured() {
        let svg = super::svg(&example());
        assert_eq!(svg.matches("<rect x=").count(), 3);
        assert!(svg.contains("&lt;etcd&gt; 2.00"), "{svg}");
        // The longest whisker, 8.0 of the peer, sets the scale: ours, 2.0 in the middle, is a quarter of it.
        assert!(svg.contains("width=\"110.0\""), "{svg}");
    }
}
