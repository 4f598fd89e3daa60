//! The demo model that is part of the program.

use crate::checkpoint::Files;

/// A file of the demo model, embedded.
macro_rules! file {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../assets/demo/model/", $name)).as_slice(),
        )
    };
}

static DEMO: [(&str, &[u8]); 7] = [
    file!("config.json"),
    file!("model.safetensors"),
    file!("tokenizer.json"),
    file!("tokenizer_config.json"),
    file!("chat_template.jinja"),
    file!("preprocessor_config.json"),
    file!("generation_config.json"),
];

/// Returns the files of the built-in demo model, a LLaVA of two million parameters that answers
/// questions about drawn shapes.
pub(super) fn demo_files() -> Files {
    Files::embedded("built-in demo model", &DEMO)
}
