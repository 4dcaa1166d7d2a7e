//! A model file is read by a program that knows nothing of us, and means the same there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use learn::{Activation, Model, Row, SLOTS, Shape, file};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// By a script of deploy/models: the one with its own safetensors and its own arithmetic, or the one with Python's torch,
/// which comes with libtorch out of one wheel.
fn residuals_in_python(script: &str, model: &Path, rows: &str) -> Vec<Vec<Option<f64>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/safetensors-venv/bin/python");
    let torch = root.join(".libtorch/python");
    for needed in [&python, &torch] {
        assert!(
            needed.exists(),
            "{} is missing: run `cargo xtask setup` (without a LIBTORCH of your own)",
            needed.display()
        );
    }
    let mut child = Command::new(python)
        .env("PYTHONPATH", torch)
        .arg(root.join("deploy/models").join(script))
        .arg(model)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(rows.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn python_reads_an_exported_model_and_finds_the_same_residuals() {
    let rows: Vec<Row> = (0..20)
        .map(|i| {
            let mut row = Row::dense(&[(i as f32 * 0.7).sin() * 3.0, 0.5 - i as f32, 12.0]);
            row.mask[1] = i % 3 != 0;
            row
        })
        .collect();
    let shown: Vec<Vec<Option<f32>>> = rows
        .iter()
        .map(|row| {
            let slots = (0..SLOTS).map(|slot| row.mask[slot].then_some(row.values[slot]));
            slots.collect()
        })
        .collect();
    let shown = serde_json::to_string(&shown).unwrap();
    for (activation, kernel) in [
        (Activation::Elu, 1),
        (Activation::Relu, 1),
        (Activation::Elu, 2),
    ] {
        let shape = Shape {
            hidden: vec![12, 5],
            activation,
            kernel,
        };
        let model = Model::initial(shape.clone(), 9).unwrap();
        let bytes = file::encode(&shape, &model.parameters(), &BTreeMap::new()).unwrap();
        let place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(place.path(), bytes).unwrap();
        let ours = model.residuals(&[rows.clone().into()]).unwrap();
        // Python's torch takes seconds to start: once for each kind of model is enough.
        let scripts = match activation {
            Activation::Elu => &["residuals.py", "residuals_torch.py"][..],
            Activation::Relu => &["residuals.py"],
        };
        for script in scripts {
            let theirs = residuals_in_python(script, place.path(), &shown);
            same(&theirs, &ours, &rows);
        }
    }
}

fn same(theirs: &[Vec<Option<f64>>], ours: &[[f32; SLOTS]], rows: &[Row]) {
    for ((theirs, ours), row) in theirs.iter().zip(ours).zip(rows) {
        for slot in 0..SLOTS {
            match theirs[slot] {
                None => assert!(!row.mask[slot]),
                Some(left) => {
                    assert!(row.mask[slot]);
                    let difference = (left - f64::from(ours[slot])).abs();
                    assert!(difference < 1e-4, "{left} and {}", ours[slot]);
                }
            }
        }
    }
    assert_eq!(theirs.len(), ours.len());
}
