//! Tables that say which test shows what are true only as long as the tests are there. (The list in
//! `planted.rs` looks after itself.)

use std::collections::BTreeSet;
use std::path::Path;

/// Every function of the sources and of the tests.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).expect("a text");
            let names = text.split("fn ").skip(1);
            let names = names.filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(names.map(str::to_owned));
        }
    }
}

/// What is quoted as `module::the_name_of_a_test`.
fn quoted(text: &str) -> Vec<&str> {
    let quotes = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let names = quotes.filter_map(|quote| Some(quote.rsplit_once("::")?.1));
    names
        .filter(|name| name.matches('_').count() >= 3)
        .collect()
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    for directory in ["src", "tests"] {
        functions(&root.join(directory), &mut known);
    }
    for (file, least) in [("README.md", 50), ("tests/it/faults/mod.rs", 40)] {
        let text = std::fs::read_to_string(root.join(file)).expect("a text");
        let names = quoted(&text);
        assert!(names.len() >= least, "{file} names {} tests", names.len());
        let missing: Vec<_> = names
            .into_iter()
            .filter(|name| !known.contains(*name))
            .collect();
        assert!(
            missing.is_empty(),
            "{file} names tests that are not there: {missing:#?}"
        );
    }
}
