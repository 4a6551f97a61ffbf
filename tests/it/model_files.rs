//! A published model without aifx: plain Python rebuilds it from its directory and repeats its probe.

use std::process::Command;

use crate::support::{Home, TestDatabase};

/// The Python of the tests: what `scripts/test.sh` names must have every module; any other only what it has.
#[allow(clippy::disallowed_methods, reason = "a setting of the tests")]
fn python() -> (String, bool) {
    match std::env::var("AIFX_TEST_PYTHON") {
        Ok(python) => (python, true),
        Err(_) => ("python3".to_owned(), false),
    }
}

/// Whether a Python has these modules; a test that needs them says that it was skipped.
fn python_has(modules: &str) -> bool {
    let found = Command::new(python().0).args(["-c", &format!("import {modules}")]).output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("skipped: {} has no {modules}", python().0);
    }
    has
}

#[test]
fn plain_python_repeats_the_probe_and_torch_opens_the_torchscript() {
    let database = TestDatabase::create();
    let home = Home::with_database(&database);
    home.write(
        "aifx.yaml",
        "lines:\n  fx-direction:\n    pairs: [EUR/USD]\n    \
         model: {kind: lstm, hidden: [8, 6], dense: 4, dropout: [0.1, 0.1, 0.1]}\n    \
         weekly: {days: 60, epochs: 2, min_samples: 300}\n",
    );
    home.ok(&["init"]);
    home.ok(&["simulate", "--candles", "1400", "--end", "2025-10-19T00:00:00Z"]);
    home.ok(&["--as-of", "2025-10-19T00:00:00Z", "train-weekly"]);
    let directory = home.path().join("models/fx-direction/v1.0");
    let has = python_has("numpy, safetensors");
    assert!(has || !python().1, "{} has no numpy and safetensors", python().0);
    if has {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/load_model.py");
        let output =
            Command::new(python().0).arg(script).arg(&directory).output().expect("python3 starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("4 members"), "the first mixture is of four networks: {said}");
    }
    if python_has("torch") {
        let code = "import sys, torch; m = torch.jit.load(sys.argv[1]); \
                    assert m(torch.zeros(7, 60, 38)).shape == (7, 3)";
        let output =
            Command::new(python().0).args(["-c", code]).arg(directory.join("model.pt")).output();
        let output = output.expect("python3 starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
