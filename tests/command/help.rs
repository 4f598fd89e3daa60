//! The program's help.

use super::*;

#[test]
fn help_states_every_default() {
    let run = Run::new();
    let text = succeeded(&run.foveate(&["explain", "--help"]));
    for option in [
        "--method",
        "--optimizer",
        "--baseline",
        "--mask-size",
        "--steps",
        "--iterations",
        "--l1",
        "--l2",
        "--l3",
        "--gamma",
        "--momentum",
        "--lr",
        "--noise",
        "--seed",
        "--threshold",
        "--max-new-tokens",
        "--device",
        "--dtype",
        "--memory-budget",
        "--threads",
        "--model",
    ] {
        let at = text
            .find(&format!("{option} <"))
            .unwrap_or_else(|| panic!("{option} in {text}"));
        let own = text[at + 2..].split("\n      --").next().unwrap();
        assert!(own.contains("[default: "), "{option}: {own}");
    }
}
