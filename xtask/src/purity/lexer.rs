//! Rust source down to what executes: comments and literals become spaces, so that offsets and
//! line numbers stay.

/// The text with every comment, string and character literal blanked.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' | b'b' | b'c' if !in_word(bytes, at) => literal_end(bytes, at),
            b'\'' => char_end(bytes, at),
            _ => at,
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    // Only whole literals and comments were replaced, by ASCII; what remains is valid UTF-8.
    String::from_utf8_lossy(&code).into_owned()
}

/// Whether the byte before continues an identifier.
fn in_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && is_word(bytes[at - 1])
}

pub(super) const fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |length| at + length)
}

/// Block comments nest.
fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// A string that starts at the quote.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A literal with a prefix (`r"…"`, `br#"…"#`, `b'x'`, `c"…"`); `start` itself when it is none.
fn literal_end(bytes: &[u8], start: usize) -> usize {
    let letters = bytes[start..]
        .iter()
        .take_while(|byte| matches!(byte, b'r' | b'b' | b'c'))
        .count();
    let hashes = bytes[start + letters..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    let quote = start + letters + hashes;
    let raw = letters <= 2 && bytes[start..start + letters].contains(&b'r');
    match bytes.get(quote) {
        Some(b'"') if raw => {
            let close: Vec<u8> = std::iter::once(b'"')
                .chain(std::iter::repeat_n(b'#', hashes))
                .collect();
            let body = quote + 1;
            let found = bytes[body..]
                .windows(close.len())
                .position(|window| window == close);
            found.map_or(bytes.len(), |length| body + length + close.len())
        }
        Some(b'"') if letters == 1 && hashes == 0 => string_end(bytes, quote),
        Some(b'\'') if letters == 1 && hashes == 0 && bytes[start] == b'b' => {
            char_end(bytes, quote)
        }
        _ => start,
    }
}

/// A character literal; a lifetime or label gives `start` back.
fn char_end(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 1..];
    if rest.first() == Some(&b'\\') {
        // The escaped character itself may be a quote.
        let close = rest.iter().skip(2).position(|&byte| byte == b'\'');
        return close.map_or(bytes.len(), |length| start + 1 + 2 + length + 1);
    }
    // One character of 1 to 4 bytes, then the quote.
    let width = match rest.first() {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        Some(_) => 1,
        None => return start,
    };
    if rest.get(width) == Some(&b'\'') {
        start + 1 + width + 1
    } else {
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let code = code_only(text);
        assert_eq!(code.len(), text.len(), "offsets stay: {text}");
        let squeezed: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(squeezed.join(" "), expected, "{text}");
    }

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        check("a // std::fs\nb", "a b");
        check("a /* x /* std::fs */ y */ b", "a b");
        check(r#"f("std::fs \" // no", g)"#, "f( , g)");
        check(r##"f(r#"std::fs " // "#, g)"##, "f( , g)");
        check(r#"f(b"x", br"\", c"y", g)"#, "f( , , , g)");
        check(
            r"match c { '\'' => 1, '\u{41}' => 2, '/' => 3, 'é' => 4, b'\\' => 5 }",
            "match c { => 1, => 2, => 3, => 4, => 5 }",
        );
        check(
            "fn f<'a>(x: &'a str) -> &'a str { 'outer: loop {} }",
            "fn f<'a>(x: &'a str) -> &'a str { 'outer: loop {} }",
        );
        check("let r#type = number; bar\"x\"", "let r#type = number; bar");
        check("/// docs of std::fs\nfn f() {}", "fn f() {}");
        check("unfinished \"string", "unfinished");
    }
}
