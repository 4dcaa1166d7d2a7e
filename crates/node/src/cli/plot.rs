//! A line of values as text: Braille dots, two by four to a character.

/// Dots of a character, by column and row from the top (Unicode 2800, Braille Patterns).
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// The values as a plot of so many characters, the largest and the smallest value written beside it; nothing
/// to see of fewer than two. Of more values than dots each column shows the mean of its own.
pub(super) fn plot(values: &[f64], width: usize, height: usize) -> String {
    if values.len() < 2 || width == 0 || height == 0 {
        return String::new();
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let columns = (2 * width).min(values.len());
    let rows = 4 * height;
    let level = |value: f64| {
        let share = (high - value) / (high - low).max(f64::MIN_POSITIVE);
        ((share * (rows - 1) as f64).round() as usize).min(rows - 1)
    };
    let mut cells = vec![vec![0_u32; width]; height];
    let mut last = None;
    for column in 0..columns {
        let (from, to) = (
            column * values.len() / columns,
            (column + 1) * values.len() / columns,
        );
        let own = &values[from..to];
        let row = level(own.iter().sum::<f64>() / own.len() as f64);
        // Joined to the one before, or steep parts fall into dust.
        let (top, bottom) = match last {
            Some(before) if before < row => (before + 1, row),
            Some(before) if before > row => (row, before - 1),
            Some(_) | None => (row, row),
        };
        for row in top..=bottom {
            cells[row / 4][column / 2] |= DOTS[column % 2][row % 4];
        }
        last = Some(row);
    }
    let labels = [format!("{high:.4}"), format!("{low:.4}")];
    let margin = labels.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (line, cells) in cells.iter().enumerate() {
        let label = match line {
            0 => labels[0].as_str(),
            _ if line + 1 == height => labels[1].as_str(),
            _ => "",
        };
        let dots: String = cells
            .iter()
            .map(|dots| char::from_u32(0x2800 + dots).unwrap_or(' '))
            .collect();
        text.push_str(&format!("{label:>margin$} │{dots}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_line_falls() {
        assert_eq!(plot(&[3.0, 2.0, 1.0, 0.0], 2, 1), "3.0000 │⠑⢄\n");
        assert_eq!(plot(&[1.0, 0.0], 1, 2), "1.0000 │⢱\n0.0000 │⢸\n");
    }

    #[test]
    fn a_level_line_and_a_single_value_are_no_trouble() {
        assert_eq!(plot(&[0.5], 10, 3), "");
        assert_eq!(plot(&[0.5, 0.5], 1, 1), "0.5000 │⠉\n");
        let many: Vec<f64> = (0..1_000).map(f64::from).collect();
        let text = plot(&many, 30, 4);
        assert_eq!(text.lines().count(), 4);
        assert!(
            text.lines().all(|line| line.chars().count() == 8 + 2 + 30),
            "{text}"
        );
    }
}
