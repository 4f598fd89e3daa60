//! Refuses checkpoints of kinds that are not supported, with messages that name the kind instead of
//! a missing tensor.

use serde_json::Value;

use crate::checkpoint::{CheckpointError, Config, Fields, Files, Tensors};
use crate::lvlm::error::ReadResult;

/// The config of an adapter as PEFT saves it.
const ADAPTER: &str = "adapter_config.json";
const QUANTIZATION: &str = "quantization_config";
/// Fields of which every decoder with experts has one.
const EXPERTS: [&str; 6] = [
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "moe_num_experts",
    "moe_intermediate_size",
    "moe",
];
/// A field that says whether fields of experts mean anything.
const USE_EXPERTS: &str = "use_moe";
/// Suffixes of the names of tensors that hold quantised weights or their scales: GPTQ's and AWQ's,
/// bitsandbytes', FP8's, and compressed-tensors'.
const QUANTISED: [&str; 10] = [
    ".qweight",
    ".qzeros",
    ".SCB",
    ".absmax",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_packed",
    ".weight_format",
    ".quant_map",
    ".g_idx",
];

/// Fails for a folder that holds an adapter for a model and not the model.
///
/// # Errors
/// [`CheckpointError::Unsupported`]; what is wrong with the adapter's config.
pub(in crate::lvlm) fn adapter(files: &Files) -> ReadResult<()> {
    let Some(text) = files.text(ADAPTER)? else {
        return Ok(());
    };
    let file = files.path(ADAPTER);
    let config = Config::from_json(&text, &file)?;
    let top = config.top();
    let (kind, base) = (
        match top.text("peft_type")? {
            Some("LORA") => "LoRA",
            other => other.unwrap_or("PEFT"),
        },
        top.text("base_model_name_or_path")?
            .unwrap_or("its base model"),
    );
    Err(CheckpointError::Unsupported {
        file,
        kind: format!("a {kind} adapter of {base}"),
        advice: "merge it into that model (merge_and_unload of PEFT) and save the whole"
            .to_string(),
    })
}

/// Fails for a config of quantised weights or of a mixture of experts.
///
/// # Errors
/// [`CheckpointError::Unsupported`].
pub(in crate::lvlm) fn kinds(config: &Config) -> ReadResult<()> {
    let top = config.top();
    for section in sections(&top) {
        if let Some(value) = section.value(QUANTIZATION) {
            let method = ["quant_method", "quant_algo"].map(|name| value.get(name));
            let method = method.into_iter().flatten().find_map(Value::as_str);
            let kind = format!(
                "quantised weights ({})",
                method.unwrap_or("of no named method")
            );
            return Err(unsupported(&section, QUANTIZATION, kind, UNQUANTISED));
        }
        let kind = section
            .value("model_type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let named = ["moe", "mixtral", "deepseek_v2", "deepseek_v3"];
        let by_name = named
            .iter()
            .any(|name| kind.contains(name))
            .then_some("model_type");
        // InternViT's configs have fields of experts that it does not use.
        let unused = section.value(USE_EXPERTS) == Some(&Value::Bool(false));
        let mut fields = EXPERTS.into_iter().filter(|_| !unused);
        let by_field = fields.find(|name| has_several(&section, name));
        if let Some(field) = by_field.or(by_name) {
            let kind = "a mixture of experts".to_string();
            return Err(unsupported(
                &section,
                field,
                kind,
                "only dense decoders are",
            ));
        }
    }
    Ok(())
}

/// The advice for quantised weights.
const UNQUANTISED: &str = "save the model in float16, bfloat16 or float32";

/// Fails for tensors that hold quantised weights, whatever the config says.
///
/// # Errors
/// [`CheckpointError::Unsupported`].
pub(in crate::lvlm) fn quantised(files: &Files, tensors: &Tensors) -> ReadResult<()> {
    let ends = |name: &str| QUANTISED.iter().any(|end| name.ends_with(end));
    let numbers = tensors.iter().map(|tensor| tensor.name.as_str());
    let mut names = numbers.chain(tensors.integers());
    match names.find(|name| ends(name)) {
        None => Ok(()),
        Some(name) => Err(CheckpointError::Unsupported {
            file: files.name(),
            kind: format!("quantised weights (tensor {name})"),
            advice: UNQUANTISED.to_string(),
        }),
    }
}

/// Returns whether a field is a number above 1, or an object.
fn has_several(section: &Fields, name: &str) -> bool {
    section
        .value(name)
        .is_some_and(|value| match value.as_u64() {
            Some(number) => number > 1,
            None => value.is_object(),
        })
}

/// Returns the top level and the sections that may have fields of a decoder.
fn sections<'a>(top: &Fields<'a>) -> Vec<Fields<'a>> {
    let parts = ["text_config", "vision_config", "llm_config"];
    let parts = parts.into_iter().filter_map(|name| top.section(name).ok());
    std::iter::once(*top).chain(parts).collect()
}

fn unsupported(section: &Fields, field: &str, kind: String, advice: &str) -> CheckpointError {
    CheckpointError::Unsupported {
        file: format!("{}: {}", section.file, section.path(field)),
        kind,
        advice: advice.to_string(),
    }
}
