//! Writes `include/foveate.h` from the sources of the C library, or with `--check` compares it.

use std::error::Error;
use std::path::Path;

use cbindgen::{Builder, Config};

fn main() -> Result<(), Box<dyn Error>> {
    let library = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let header = library.join("../include/foveate.h");
    let config = Config::from_file(library.join("cbindgen.toml"))?;
    // In the order of the header.
    let sources = [
        "version",
        "status",
        "settings",
        "model",
        "explain",
        "explanation",
    ];
    let builder = Builder::new().with_config(config);
    let builder = sources.iter().fold(builder, |builder, name| {
        builder.with_src(library.join(format!("src/{name}.rs")))
    });
    let mut text = Vec::new();
    builder.generate()?.write(&mut text);
    match std::env::args().nth(1).as_deref() {
        None => Ok(std::fs::write(&header, text)?),
        Some("--check") if std::fs::read(&header)? == text => Ok(()),
        Some("--check") => Err("include/foveate.h is out of date: \
             run `cargo run -p foveate-header` and commit it"
            .into()),
        Some(other) => Err(format!("expected nothing or --check, found {other}").into()),
    }
}
