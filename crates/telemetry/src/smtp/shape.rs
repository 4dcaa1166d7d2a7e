//! What a message may look like before anybody parses it: a scan over its lines.

use super::refusal::Refusal;

/// Octets of a header. Gear's have some hundred, ten relays add some thousand.
const MAX_HEADER: usize = 64 << 10;
/// Fields of a header.
const MAX_FIELDS: usize = 256;
/// Multipart entities within each other: as many as there are in all, at most.
const MAX_MULTIPARTS: usize = 8;
/// Lines that could be MIME boundaries; logs have dashed rules, too.
const MAX_BOUNDARIES: usize = 1_024;

/// Refuses floods of header fields, MIME parts and nesting; `date`: a Date is wanted (RFC 5322 §3.6).
pub(super) fn check(message: &[u8], date: bool) -> Result<(), Refusal> {
    let (mut header, mut fields, mut dated) = (0, 0, false);
    let (mut multiparts, mut boundaries) = (0, 0);
    let mut in_header = true;
    let mut lines = message.split_inclusive(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_folded = line.starts_with(b" ") || line.starts_with(b"\t");
        if in_header {
            in_header = line != b"\r\n";
            header += line.len();
            fields += usize::from(!is_folded && in_header);
            dated |= has_name(line, b"date:");
            if header > MAX_HEADER || fields > MAX_FIELDS {
                return Err(Refusal::Shape("header"));
            }
        }
        boundaries += usize::from(line.starts_with(b"--"));
        if has_name(line, b"content-type:") {
            // The value may stand on the next line (RFC 5322 §2.2.3).
            let mut value = line[b"content-type:".len()..].trim_ascii_start();
            if value.is_empty() {
                value = lines.peek().copied().unwrap_or_default().trim_ascii_start();
            }
            multiparts += usize::from(has_name(value, b"multipart/"));
        }
        if multiparts > MAX_MULTIPARTS || boundaries > MAX_BOUNDARIES {
            return Err(Refusal::Shape("MIME structure"));
        }
    }
    if date && !dated {
        return Err(Refusal::NoDate);
    }
    Ok(())
}

fn has_name(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_are_refused_and_gear_is_not() {
        let nested = |depth: usize| {
            "--b\r\nContent-Type:\r\n Multipart/mixed; boundary=b\r\n\r\n".repeat(depth)
        };
        let good = [
            String::new(),
            "Subject: x\r\n\r\nbody\r\n".to_owned(),
            format!("{}\r\n", "Received: x\r\n".repeat(MAX_FIELDS)),
            format!("Subject: x\r\n\r\n{}", "----\r\n".repeat(MAX_BOUNDARIES)),
            format!("Subject: x\r\n\r\n{}", nested(MAX_MULTIPARTS)),
            format!("Subject: x\r\n\r\n{}", "x: y\r\n".repeat(10 * MAX_FIELDS)),
        ];
        for message in good {
            assert_eq!(check(message.as_bytes(), false), Ok(()), "{:.60}", message);
        }
        let bad = [
            (
                format!("{}\r\n", "Received: x\r\n".repeat(MAX_FIELDS + 1)),
                "header",
            ),
            (
                format!("X: x\r\n{}\r\n", " folded on and on\r\n".repeat(4_000)),
                "header",
            ),
            (
                format!("\r\n{}", "--\r\n".repeat(MAX_BOUNDARIES + 1)),
                "MIME structure",
            ),
            (
                format!("\r\n{}", nested(MAX_MULTIPARTS + 1)),
                "MIME structure",
            ),
        ];
        for (message, what) in bad {
            assert_eq!(check(message.as_bytes(), false), Err(Refusal::Shape(what)));
        }
    }

    #[test]
    fn a_date_stands_in_the_header() {
        for (message, dated) in [
            ("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n", true),
            ("Subject: x\r\nDATE:\r\n today\r\n\r\n", true),
            ("Subject: x\r\n\r\nDate: today\r\n", false),
            ("X-Date: x\r\n Date: y\r\n\r\n", false),
            ("", false),
        ] {
            let expected = if dated { Ok(()) } else { Err(Refusal::NoDate) };
            assert_eq!(check(message.as_bytes(), true), expected, "{message}");
        }
    }
}
