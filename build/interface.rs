//! The part of `kernels/` that launches depend on, as Rust source: the structs named `..Arguments`
//! and the constants of type `int` at the start of a line. They are stated once, in the kernels.
//!
//! A declaration of these kinds that this file does not understand is an error.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Returns one module for each kernel file with such a declaration, in the order of their names. A
/// header belongs to the module of the kernel file of its name.
pub fn source(folder: &Path) -> Result<String, String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_some_and(|e| e == "cu" || e == "cuh") {
            paths.push(path);
        }
    }
    // A header precedes the kernel file of its name, as it is included.
    paths.sort_by_key(|path| {
        (
            path.with_extension(""),
            path.extension() != Some("cuh".as_ref()),
        )
    });
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let found = declarations(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        modules
            .entry(name.into_owned())
            .or_default()
            .push_str(&found);
    }
    let modules = modules
        .iter()
        .filter(|(_, declarations)| !declarations.is_empty());
    let module = |(name, declarations): (&String, &String)| {
        format!(
            "/// Of the files `kernels/{name}.*`.\n\
             #[allow(dead_code, reason = \"some constants concern the kernels alone\")]\n\
             pub mod {name} {{\n{declarations}}}\n"
        )
    };
    Ok(modules.map(module).collect())
}

/// The Rust of every declaration in a file.
fn declarations(text: &str) -> Result<String, String> {
    let mut found = String::new();
    let mut lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim_end());
    while let Some(line) = lines.next() {
        if let Some(head) = line.strip_prefix("struct ")
            && let Some(name) = head.strip_suffix(" {")
            && name.ends_with("Arguments")
        {
            let body: Vec<&str> = lines.by_ref().take_while(|&line| line != "};").collect();
            let fields = fields(&body.join(" ")).map_err(|e| format!("{name}: {e}"))?;
            found += &structure(name, &fields);
        } else if let Some(first) = line.strip_prefix("constexpr int ")
            // Not a function.
            && first.contains(" = ")
        {
            let mut statement = first.to_string();
            while !statement.ends_with(';') {
                statement += lines.next().ok_or_else(|| format!("{statement}: no end"))?;
            }
            found += &constants(statement.trim_end_matches(';'))?;
        }
    }
    Ok(found)
}

/// Names and Rust types of a struct's fields. Pointers are addresses.
fn fields(body: &str) -> Result<Vec<(String, &'static str)>, String> {
    let mut found = Vec::new();
    for declaration in body.split(';').map(str::trim).filter(|d| !d.is_empty()) {
        let unknown = || format!("{declaration:?} is neither pointers nor numbers");
        let (names, kind) = if let Some(at) = declaration.find('*') {
            let names: Option<Vec<&str>> = declaration[at..]
                .split(',')
                .map(|name| name.trim().strip_prefix('*'))
                .collect();
            (names.ok_or_else(unknown)?, "u64")
        } else {
            const TYPES: [(&str, &str); 4] = [
                ("long long ", "i64"),
                ("int ", "i32"),
                ("unsigned ", "u32"),
                ("float ", "f32"),
            ];
            let number = TYPES
                .iter()
                .find_map(|(c, rust)| Some((declaration.strip_prefix(c)?, *rust)));
            let (names, kind) = number.ok_or_else(unknown)?;
            (names.split(',').collect(), kind)
        };
        for name in names.into_iter().map(str::trim) {
            if !is_name(name) {
                return Err(unknown());
            }
            found.push((name.to_string(), kind));
        }
    }
    Ok(found)
}

fn structure(name: &str, fields: &[(String, &str)]) -> String {
    let mut text = format!(
        "/// `{name}` of the kernels, where its fields are described.\n\
         #[repr(C)]\n\
         #[derive(Clone, Copy, Default)]\n\
         pub struct {name} {{\n"
    );
    for (name, kind) in fields {
        let _ = writeln!(text, "pub {name}: {kind},");
    }
    let _ = writeln!(
        text,
        "}}\n\
         // SAFETY: laid out as the kernels' struct, whose fields these are.\n\
         unsafe impl cudarc::driver::DeviceRepr for {name} {{}}"
    );
    text
}

/// The constants `A = 1, B = 2 * A` or the table `A[] = {1, 2}`.
fn constants(statement: &str) -> Result<String, String> {
    let unknown = || format!("{statement:?} is neither constants nor a table");
    if let Some((name, values)) = statement.split_once("[] = {") {
        let values = values.strip_suffix('}').ok_or_else(unknown)?;
        let count = values.split(',').count();
        if !is_name(name) || !values.split(',').all(is_arithmetic) {
            return Err(unknown());
        }
        return Ok(format!(
            "pub const {name}: [usize; {count}] = [{values}];\n"
        ));
    }
    let mut text = String::new();
    for part in statement.split(',') {
        let (name, value) = part.trim().split_once(" = ").ok_or_else(unknown)?;
        if !is_name(name) || !is_arithmetic(value) {
            return Err(unknown());
        }
        let _ = writeln!(text, "pub const {name}: usize = {value};");
    }
    Ok(text)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Checks whether an expression means the same in both languages.
fn is_arithmetic(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || " _+-*/()".contains(c);
    !text.trim().is_empty() && text.chars().all(known)
}
