//! Finds the kernels in preprocessed CUDA source, and writes the file that compiles and registers
//! them.

use std::fmt::Write;
use std::path::Path;

/// A kernel's name and the arguments of its `__launch_bounds__`, empty if it has none.
pub struct Kernel {
    /// Unique over all files, since the driver finds kernels by it.
    pub name: String,
    /// An expression list, as written.
    pub bounds: String,
}

const KERNEL: &str = "emulated_kernel_marker";
const BOUNDS: &str = "emulated_bounds_marker";

/// Returns the kernels of a text in which `__global__` and `__launch_bounds__` are replaced by
/// markers, each once.
pub fn kernels(text: &str) -> Vec<Kernel> {
    let mut found: Vec<Kernel> = Vec::new();
    for definition in text.split(KERNEL).skip(1) {
        let (before, bounds, after) = match definition.split_once(BOUNDS) {
            Some((before, rest)) if !before.contains(['(', ';']) => {
                let (inside, after) = parenthesised(rest);
                (before, inside, after)
            }
            _ => ("", "", definition),
        };
        let declarator = format!("{before} {after}");
        let Some((head, _)) = declarator.split_once('(') else {
            continue;
        };
        let Some(name) = head.split_whitespace().last() else {
            continue;
        };
        if !found.iter().any(|kernel| kernel.name == name) {
            found.push(Kernel {
                name: name.to_owned(),
                bounds: bounds.trim().to_owned(),
            });
        }
    }
    found
}

/// Returns the text inside the parentheses that `text` begins with, and the text after them.
fn parenthesised(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (
                text.get(1..at).unwrap_or_default(),
                &text[at + character.len_utf8()..],
            );
        }
    }
    ("", text)
}

/// Returns the source in its own namespace, so that files may define the same helpers, with each
/// kernel registered.
pub fn translation_unit(source: &Path, kernels: &[Kernel]) -> String {
    let mut text = format!(
        "#include \"emulated_cuda.h\"\nnamespace {{\n#include \"{}\"\n",
        source.display()
    );
    for Kernel { name, bounds } in kernels {
        let separator = if bounds.is_empty() { "" } else { ", " };
        let _ = writeln!(text, "EMULATED_REGISTER({name}{separator}{bounds})");
    }
    text.push_str("}\n");
    text
}
