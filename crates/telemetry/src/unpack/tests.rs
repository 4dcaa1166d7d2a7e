use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write as _;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn the_bytes_decide_then_the_type_then_the_name() {
    let (gz, zs) = (gzip(b"x"), zstd(b"x"));
    for (kind, name, bytes, expected) in [
        (
            "application/octet-stream",
            None,
            gz.as_slice(),
            Some(Packing::Gzip),
        ),
        ("application/gzip", None, zs.as_slice(), Some(Packing::Zstd)),
        (
            "application/gzip",
            None,
            b"no".as_slice(),
            Some(Packing::Gzip),
        ),
        (
            "application/x-gzip",
            None,
            b"".as_slice(),
            Some(Packing::Gzip),
        ),
        (
            "application/zstd",
            None,
            b"no".as_slice(),
            Some(Packing::Zstd),
        ),
        (
            "application/octet-stream",
            Some("log.CSV.GZ"),
            b"no",
            Some(Packing::Gzip),
        ),
        (
            "application/octet-stream",
            Some("log.csv.zst"),
            b"no",
            Some(Packing::Zstd),
        ),
        ("application/octet-stream", Some("body.7z"), b"7z", None),
        ("text/csv", Some("log.csv"), b"time,a", None),
    ] {
        assert_eq!(Packing::of(kind, name, bytes), expected, "{kind} {name:?}");
    }
    assert_eq!(inner_name("history.csv.GZ"), "history.csv");
    assert_eq!(inner_name("history.csv"), "history.csv");
    assert_eq!(kind_by_name("a.b.csv"), "text/csv");
    assert_eq!(kind_by_name("csv"), "application/octet-stream");
}

#[test]
fn a_bomb_stops_at_the_budget() {
    let bomb = vec![0; 64 << 20];
    for (packing, packed) in [(Packing::Gzip, gzip(&bomb)), (Packing::Zstd, zstd(&bomb))] {
        assert!(packed.len() < 128 << 10, "{packing:?}: {}", packed.len());
        assert_eq!(
            packing.unpack(&packed, MAX_UNPACKED_BYTES),
            Err(UnpackError::TooLarge),
            "{packing:?}"
        );
    }
    // Exactly full is not too full.
    let full = gzip(&vec![7; 1_000]);
    assert_eq!(Packing::Gzip.unpack(&full, 1_000).unwrap().len(), 1_000);
    assert_eq!(Packing::Gzip.unpack(&full, 999), Err(UnpackError::TooLarge));
}

#[test]
fn many_members_and_frames_share_one_budget() {
    let members = [gzip(b"time,a\n"), gzip(b"0,1\n")].concat();
    assert_eq!(
        Packing::Gzip.unpack(&members, 100).unwrap(),
        b"time,a\n0,1\n"
    );
    let skippable = [
        &0x184D_2A53u32.to_le_bytes()[..],
        &3u32.to_le_bytes(),
        b"xyz",
    ]
    .concat();
    let frames = [zstd(b"time,a\n"), skippable, zstd(b"0,1\n")].concat();
    assert_eq!(
        Packing::Zstd.unpack(&frames, 100).unwrap(),
        b"time,a\n0,1\n"
    );
    assert_eq!(
        Packing::Zstd.unpack(&frames, 10),
        Err(UnpackError::TooLarge)
    );
    let many = zstd(b"").repeat(MAX_FRAMES + 1);
    assert!(matches!(
        Packing::Zstd.unpack(&many, 100),
        Err(UnpackError::Broken(_))
    ));
}

#[test]
fn a_header_cannot_ask_for_a_huge_window() {
    // Window descriptor 0xF0: exponent 30, a terabyte. 0x68: 2^23, the most that is allowed.
    for (window, refused) in [(0xF0, true), (0x69, true), (0x68, false)] {
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, window, 0x01, 0x00, 0x00];
        let unpacked = Packing::Zstd.unpack(&frame, 100);
        assert_eq!(
            unpacked == Err(UnpackError::TooLarge),
            refused,
            "{window:x}: {unpacked:?}"
        );
    }
    // A single segment of 4 GB.
    let single = [
        0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x00, 0x00,
    ];
    assert_eq!(
        Packing::Zstd.unpack(&single, 100),
        Err(UnpackError::TooLarge)
    );
}

#[test]
fn what_is_cut_off_or_something_else_is_broken() {
    for (packing, packed) in [
        (Packing::Gzip, gzip(b"hello")),
        (Packing::Zstd, zstd(b"hello")),
    ] {
        for length in 0..packed.len() {
            let unpacked = packing.unpack(&packed[..length], 100);
            // Nothing at all is an empty sequence of frames.
            let nothing = packing == Packing::Zstd && length == 0;
            assert_eq!(
                unpacked.is_ok(),
                nothing,
                "{packing:?} {length}: {unpacked:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_packed_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        prop_assert_eq!(Packing::Gzip.unpack(&gzip(&bytes), 5_000).unwrap(), bytes.clone());
        prop_assert_eq!(Packing::Zstd.unpack(&zstd(&bytes), 5_000).unwrap(), bytes);
    }

    #[test]
    fn random_bytes_behind_a_magic_never_panic(
        gz in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        let (packing, magic): (_, &[u8]) = if gz {
            (Packing::Gzip, &[0x1F, 0x8B, 8, 0])
        } else {
            (Packing::Zstd, &[0x28, 0xB5, 0x2F, 0xFD])
        };
        if let Ok(out) = packing.unpack(&[magic, &bytes].concat(), 10_000) {
            prop_assert!(out.len() <= 10_000);
        }
    }
}
