//! The properties of a run as text.

use serde_json::Value;

use crate::run::{Manifest, Shard};

/// Returns names and values.
pub(super) fn facts(manifest: &Manifest) -> Vec<(String, String)> {
    let (model, device, data) = (&manifest.model, &manifest.device, &manifest.data);
    let mut facts = vec![
        ("Model", format!("{} ({})", model.name, model.family)),
        ("Model's fingerprint", model.fingerprint.clone()),
        ("Device", format!("{}, {}", device.name, device.dtype)),
        (
            "Data",
            format!(
                "{}, {} rows, layout {}",
                data.file, data.samples, data.layout
            ),
        ),
        ("Data's fingerprint", data.fingerprint.clone()),
        ("Questions asked", plain(&data.ask)),
        ("Run by foveate", manifest.version.clone()),
    ];
    if manifest.shard != Shard::WHOLE {
        facts.push(("Shard", manifest.shard.to_string()));
    }
    if let Some(random) = &model.randomized {
        let layers = format!("the last {}, seed {}", random.layers, random.seed);
        facts.push(("Random layers", layers));
    }
    if let Some(answers) = &manifest.answers {
        facts.push(("Answers of another run", answers.clone()));
    }
    if let Some(gemm) = &device.gemm {
        facts.push(("Matrix products", gemm.clone()));
    }
    let mut facts: Vec<_> = facts
        .into_iter()
        .map(|(name, value)| (name.to_string(), value))
        .collect();
    if let Ok(Value::Object(settings)) = serde_json::to_value(&manifest.settings) {
        // No result depends on the budget, and runs do not store it.
        let kept = settings.iter().filter(|(name, _)| *name != "memory_budget");
        facts.extend(kept.map(|(name, value)| (name.replace('_', " "), text(value))));
    }
    facts
}

fn plain(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).map_or_else(|_| String::new(), |value| text(&value))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
