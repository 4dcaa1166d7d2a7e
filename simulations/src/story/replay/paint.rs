//! A line as a terminal shows it: wrapped to its width, coloured if it is one.

use super::View;
use super::condense::{Line, Tone};

/// Columns of a lane's name; longer ones are cut.
pub(super) const LANE_MOST: usize = 12;
/// Rows of one line; a log line that dumps a table ends there.
const ROWS_MOST: usize = 4;
/// Columns that the text gets even on a terminal that is narrower: it then wraps by itself.
const TEXT_LEAST: usize = 20;

pub(super) fn line(line: &Line, lanes: usize, view: &View) -> String {
    let head = format!("{:>11.3} s  ", line.at_ms as f64 / 1e3);
    let gutter = match (line.tone, line.near) {
        (Tone::Violation, _) => "✗ ",
        (_, true) => "┃ ",
        (_, false) => "  ",
    };
    let lane: String = plain(&line.lane).chars().take(lanes).collect();
    let indent = 2 + head.chars().count() + lanes + 2;
    let room = view.width.saturating_sub(indent).max(TEXT_LEAST);
    let mut text = String::new();
    for (row, part) in wrap(&plain(&line.text), room).iter().enumerate() {
        let (head, lane) = match row {
            0 => (head.as_str(), lane.as_str()),
            _ => ("", ""),
        };
        let columns = indent - lanes - 4;
        let head = format!("{head:columns$}");
        if view.colour {
            let (mark, tone) = (if line.near { "31" } else { "0" }, code(line.tone));
            text += &format!(
                "\x1b[{mark}m{gutter}\x1b[0m\x1b[2m{head}\x1b[0m\x1b[1m{lane:lanes$}\x1b[0m  \x1b[{tone}m{part}\x1b[0m\n"
            );
        } else {
            let row = format!("{gutter}{head}{lane:lanes$}  {part}");
            text += row.trim_end();
            text.push('\n');
        }
    }
    text
}

/// SGR codes (ECMA-48) of the sixteen colours that every terminal has.
fn code(tone: Tone) -> &'static str {
    match tone {
        Tone::Message | Tone::Log => "2",
        Tone::Fault => "33",
        Tone::Process => "1;33",
        Tone::Leader => "36",
        Tone::Ledger => "34",
        Tone::Round => "32",
        Tone::Key => "35",
        Tone::Edge => "0",
        Tone::Violation => "1;37;41",
    }
}

/// Without anything that a terminal would obey: log lines hold what devices sent.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        // Bidirectional overrides show a line as another one.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Rows of at most `room` characters, at spaces where there are some.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut rows = Vec::new();
    let mut start = 0;
    while start < letters.len() || rows.is_empty() {
        let rest = &letters[start..];
        if rest.len() <= room {
            rows.push(rest.iter().collect());
            break;
        }
        if rows.len() + 1 == ROWS_MOST {
            let cut: String = rest[..room - 1].iter().collect();
            rows.push(cut + "…");
            break;
        }
        // A word longer than half a row is cut rather than moved.
        let space = rest[..=room]
            .iter()
            .rposition(|&c| c == ' ')
            .filter(|&at| at * 2 > room);
        let end = space.unwrap_or(room);
        rows.push(rest[..end].iter().collect());
        start += end + usize::from(space.is_some());
    }
    rows
}
