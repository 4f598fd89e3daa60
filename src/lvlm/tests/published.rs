//! Published models: their config against the names and shapes of their tensors, recorded in
//! `tests/data/published`.

use std::path::Path;

use serde_json::Value;

use crate::checkpoint::{Bytes, Config, Dtype, Files, Tensor, Tensors};
use crate::device::meta::Meta;
use crate::lvlm::Result;
use crate::lvlm::engine::inspect::Held;
use crate::lvlm::engine::layers;
use crate::lvlm::families::registry::{Visitor, visit};
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::Family;
use crate::lvlm::loader::Loader;
use crate::lvlm::randomize::Randomize;

/// The names that a pattern stands for: `layers.{0-31}.norm` for 32 of them.
fn names(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_string()];
    };
    let (range, after) = rest.split_once('}').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    (first..=last)
        .map(|n| format!("{before}{n}{after}"))
        .collect()
}

fn shapes(recorded: &Value) -> Vec<(String, Vec<usize>)> {
    let patterns = recorded.as_object().unwrap().iter();
    let each = patterns.flat_map(|(pattern, shape)| {
        let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
        names(pattern)
            .into_iter()
            .map(move |name| (name, shape.clone()))
    });
    each.collect()
}

/// An encoder's checkpoint: its config in `folder`, and tensors of zeros.
fn tower(recorded: &Value, folder: &Path) -> Tower {
    std::fs::create_dir_all(folder).unwrap();
    let config = recorded["config"].to_string();
    let file = recorded["file"].as_str().unwrap();
    std::fs::write(folder.join(file), config).unwrap();
    let shapes = shapes(&recorded["tensors"]);
    let largest = shapes
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .max();
    let zeros = Bytes::Owned(vec![0; 2 * largest.unwrap()].into());
    let tensor = |(name, shape): &(String, Vec<usize>)| {
        Tensor::piece(name, Dtype::F16, shape, &zeros, 0).unwrap()
    };
    Tower {
        files: Files::folder(folder).unwrap(),
        tensors: Tensors::made("encoder", shapes.iter().map(tensor)),
    }
}

/// The tensors of a published checkpoint that its family does not need; all others are there.
struct Compare<'a>(&'a Value);

impl Visitor for Compare<'_> {
    type Output = Result<Vec<String>>;

    fn visit<F: Family>(self, mut family: F) -> Self::Output {
        let absent = shapes(&self.0["tensors"]);
        let absent = absent
            .iter()
            .map(|(name, shape)| Tensor::absent(name, shape));
        let tensors = Tensors::made("published", absent);
        let dir = tempfile::tempdir().unwrap();
        let encoders = self.0["encoders"].as_array().unwrap();
        let find = |(n, name): (usize, TowerName)| {
            let of_that_name = |encoder: &&Value| encoder["name"] == name.names[0];
            let found = encoders.iter().find(of_that_name);
            assert!(found.is_some() || name.optional, "{:?}", name.names);
            found.map(|encoder| tower(encoder, &dir.path().join(n.to_string())))
        };
        let towers = family.towers(&tensors).into_iter().enumerate().map(find);
        let towers = towers.collect();
        family.fit(&tensors, towers)?;
        let held = Held::of(&family, &tensors)?;
        assert!(held.missing.is_empty(), "{:?}", held.missing);
        assert!(held.contradicting.is_empty(), "{:?}", held.contradicting);
        assert!(held.unexpected.is_empty(), "{:?}", held.unexpected);
        assert!(held.problems.is_empty(), "{:?}", held.problems);
        // The encoders' tensors too are there, with their shapes.
        let loader = Loader {
            tensors: &tensors,
            device: &Meta::new(2),
            list: None,
            randomize: Randomize::default(),
        };
        layers::load(&family, &loader)?;
        Ok(held.unused.into_iter().map(|tensor| tensor.name).collect())
    }
}

#[test]
fn every_tensor_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/published");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let config = Config::from_json(&recorded["config"].to_string(), &name).unwrap();
        let unused = visit(&config, Compare(&recorded)).unwrap();
        let unused = unused.unwrap_or_else(|error| panic!("{name}: {error}"));
        // CLIP's last layer, the last norm, SigLIP's pooling head, and tables of frequencies that old programs stored.
        let known = [
            "encoder.layers.23.",
            "post_layernorm.",
            "vision_model.head.",
            "inv_freq",
        ];
        for tensor in &unused {
            assert!(
                known.iter().any(|part| tensor.contains(part)),
                "{name}: {tensor}"
            );
        }
        seen += 1;
    }
    assert_eq!(seen, 40);
}
