use super::*;

/// Bytes by hand from IBM's code page charts.
#[test]
fn known_characters() {
    let check = |page: CodePage, bytes: &[u8], text: &str| {
        assert_eq!(page.decode(bytes), text, "{page:?}");
        assert_eq!(page.encode(text).unwrap(), bytes, "{page:?}");
    };
    check(
        CodePage::Cp037,
        b"\xC7\xD3\xC1\xE2\xE2\xC8\xD6\xE4\xE2\xC5\x40\xF0\xF9",
        "GLASSHOUSE 09",
    );
    check(
        CodePage::Cp037,
        b"\x81\x89\x91\x99\xA2\xA9\x5B\x7B\x7C",
        "aijrsz$#@",
    );
    check(CodePage::Cp037, b"\xBA\xBB\xB0\x5F\xAD\xBD", "[]^¬Ý¨");
    check(CodePage::Cp1047, b"\xAD\xBD\x5F\xB0\xBA\xBB", "[]^¬Ý¨");
    check(
        CodePage::Cp037,
        b"\x4A\x4F\x5A\x6A\x79\xA1\xC0\xD0\xE0",
        "¢|!¦`~{}\\",
    );
    check(CodePage::Cp037, b"\x15\x25\x0D\x05", "\u{85}\n\r\t");
}

#[test]
fn further_pages() {
    let check = |page: CodePage, bytes: &[u8], text: &str| {
        assert_eq!(page.decode(bytes), text, "{page:?}");
        assert_eq!(page.encode(text).unwrap(), bytes, "{page:?}");
    };
    check(
        CodePage::Cp273,
        b"\xC0\x6A\xD0\x4A\xE0\x5A\xA1\x7C\xB5",
        "äöüÄÖÜß§@",
    );
    check(CodePage::Cp500, b"\x4A\x5A\x4F\xBB\x7B", "[]!|#");
    check(CodePage::Cp1140, b"\xF5\x40\x9F", "5 €");
    check(CodePage::Cp037, b"\x9F", "¤");
}

#[test]
fn every_byte_comes_back() {
    for page in CodePage::ALL {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(page.encode(&page.decode(&all)).unwrap(), all, "{page:?}");
    }
}

#[test]
fn what_the_page_does_not_have_is_refused() {
    for (page, text, character) in [
        (CodePage::Cp037, "5 €", '€'),
        (CodePage::Cp1140, "5 ¤", '¤'),
        (CodePage::Cp500, "Ω", 'Ω'),
    ] {
        assert_eq!(page.encode(text), Err(NotInCodePage { character, page }));
    }
}

#[test]
fn names() {
    for (text, page) in [
        ("037", CodePage::Cp037),
        ("cp37", CodePage::Cp037),
        ("IBM-1047", CodePage::Cp1047),
        ("273", CodePage::Cp273),
        ("ibm500", CodePage::Cp500),
        ("CP1140", CodePage::Cp1140),
    ] {
        assert_eq!(text.parse(), Ok(page));
    }
    let unknown = "1141".parse::<CodePage>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "code page \"1141\" is unknown; known are 037, 273, 500, 1047 and 1140"
    );
}
