//! Every seed of every fuzz target, as a test: what was found once stays found.

use crate::support::root;
use crate::targets;

fn run_seeds(target: &str, run: fn(&[u8])) {
    let folder = root().join("fuzz/seeds").join(target);
    let mut count = 0;
    for seed in folder.read_dir().unwrap() {
        let path = seed.unwrap().path();
        eprintln!("{}", path.display());
        run(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} has no seeds", folder.display());
}

#[test]
fn wire_authorize_takes_its_seeds() {
    run_seeds("wire_authorize", targets::wire_authorize);
}

#[test]
fn context_json_takes_its_seeds() {
    run_seeds("context_json", targets::context_json);
}

#[test]
fn policy_text_takes_its_seeds() {
    run_seeds("policy_text", targets::policy_text);
}

#[test]
fn import_split_takes_its_seeds() {
    run_seeds("import_split", targets::import_split);
}

#[test]
fn value_takes_its_seeds() {
    run_seeds("value", targets::value);
}

#[test]
fn packed_takes_its_seeds() {
    run_seeds("packed", targets::packed);
}

#[test]
fn transaction_takes_its_seeds() {
    run_seeds("transaction", targets::transaction);
}
