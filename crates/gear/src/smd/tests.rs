use super::*;

/// A zstd frame of one raw block (RFC 8878 §3.1.1): enough to write fixtures without an encoder.
fn zstd(text: &str) -> Vec<u8> {
    let size = text.len() as u32;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0xA0];
    frame.extend_from_slice(&size.to_le_bytes());
    frame.extend_from_slice(&((size << 3) | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn lines(count: usize, value: impl Fn(usize) -> f64) -> String {
    (0..count)
        .map(|i| [value(i).to_string().as_str(); METRICS].join(",") + "\n")
        .collect()
}

fn dataset(labels: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (folder, text) in [
        ("train", lines(20, |i| i as f64)),
        ("test", lines(labels.len(), |i| 100.0 + i as f64)),
        (
            "test_label",
            labels.chars().flat_map(|c| [c, '\n']).collect(),
        ),
    ] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        let file = dir.path().join(folder).join("machine-1-1.txt.zst");
        std::fs::write(file, zstd(&text)).unwrap();
    }
    dir
}

#[test]
fn a_slice_starts_before_the_first_fault() {
    type Segments = &'static [(usize, usize)];
    let cases: [(&str, (usize, usize), f64, Segments); 5] = [
        ("0000011000", (6, 3), 102.0, &[(3, 5)]),
        ("0000011001", (100, 3), 102.0, &[(3, 5), (7, 8)]),
        ("1100000000", (4, 3), 100.0, &[(0, 2)]),
        ("0000000000", (4, 3), 100.0, &[]),
        ("0001111111", (2, 0), 103.0, &[(0, 2)]),
    ];
    for (labels, slice, first, segments) in cases {
        let dir = dataset(labels);
        let smd = Smd::open(dir.path()).unwrap();
        assert_eq!(smd.machines(), ["machine-1-1"]);
        let slice = Slice {
            train: 5,
            test: slice.0,
            lead_in: slice.1,
        };
        let machine = smd.load("machine-1-1", slice).unwrap();
        assert_eq!(machine.train.len(), 5);
        assert_eq!(machine.test[0], [first; METRICS], "{labels}");
        let found: Vec<(usize, usize)> =
            machine.segments.iter().map(|s| (s.start, s.end)).collect();
        assert_eq!(found, segments, "{labels}");
    }
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let said = Smd::open(empty.path()).unwrap_err().to_string();
    assert!(
        said.contains("train") && said.contains("cannot read"),
        "{said}"
    );

    let dir = dataset("0010");
    let smd = Smd::open(dir.path()).unwrap();
    let slice = Slice {
        train: 5,
        test: 4,
        lead_in: 1,
    };
    let file = |folder: &str| dir.path().join(folder).join("machine-1-1.txt.zst");

    let said = smd.load("machine-9-9", slice).unwrap_err().to_string();
    assert!(said.contains("machine-9-9.txt.zst"), "{said}");

    std::fs::write(file("test"), zstd(&lines(2, |_| 0.0))).unwrap();
    let said = smd.load("machine-1-1", slice).unwrap_err().to_string();
    assert!(said.contains("2 rows but 4 labels"), "{said}");

    for (text, said) in [("1,2,3\n", "line 1"), ("NaN\n", "38 finite numbers")] {
        std::fs::write(file("train"), zstd(text)).unwrap();
        let error = smd.load("machine-1-1", slice).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("train"), "{error}");
    }
    std::fs::write(file("train"), b"not zstd").unwrap();
    let said = smd.load("machine-1-1", slice).unwrap_err().to_string();
    assert!(said.contains("no zstd file"), "{said}");

    std::fs::write(file("test_label"), zstd("0\n2\n")).unwrap();
    let said = smd.load("machine-1-1", slice).unwrap_err().to_string();
    assert!(said.contains("line 2") && said.contains("0 or 1"), "{said}");
}

#[test]
fn a_folder_without_machines_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("train")).unwrap();
    assert!(matches!(Smd::open(dir.path()), Err(SmdError::Empty(_))));
}
