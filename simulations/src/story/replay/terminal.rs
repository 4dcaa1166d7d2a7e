//! The terminal itself.

use super::{Enter, Go};
use std::io::{self, BufRead, IsTerminal, Write};

/// Columns where nobody says: what people's terminals and log viewers have at least.
const WIDTH: usize = 100;

/// Columns of the terminal at standard output; a fair guess where it is none.
pub fn width() -> usize {
    if !io::stdout().is_terminal() {
        return WIDTH;
    }
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    #[expect(
        unsafe_code,
        reason = "TIOCGWINSZ fills the winsize that it is given, which lives here"
    )]
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    match (answer, size.ws_col) {
        (0, columns) if columns > 0 => columns.into(),
        _ => WIDTH,
    }
}

/// Reads the keyboard: Enter goes on, `r` runs to the end, `q` (or the end of input) quits.
#[derive(Debug, Default)]
pub struct Stdin;

impl Enter for Stdin {
    fn wait(&mut self) -> io::Result<Go> {
        let mut prompt = io::stderr();
        write!(prompt, "-- Enter: on, r: run to the end, q: quit -- ")?;
        prompt.flush()?;
        answer(&mut io::stdin().lock())
    }
}

/// A line as an answer.
pub(super) fn answer(input: &mut dyn BufRead) -> io::Result<Go> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(Go::Quit);
    }
    Ok(match line.trim() {
        "q" => Go::Quit,
        "r" => Go::Run,
        _ => Go::On,
    })
}
