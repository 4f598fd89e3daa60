//! Reads the recorded cases under `tests/data/picture`.

use safetensors::SafeTensors;
use serde_json::Value;

use super::Picture;

/// A file of recorded cases.
pub struct Recorded {
    bytes: Vec<u8>,
    /// The cases, as described by the program that recorded them.
    pub cases: Vec<Value>,
}

impl Recorded {
    pub fn read(name: &str) -> Self {
        let path = format!(
            "{}/tests/data/picture/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let cases = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
        Self { bytes, cases }
    }

    /// Returns shape and bytes of a tensor, if the file has it.
    pub fn get(&self, name: &str) -> Option<(Vec<usize>, Vec<u8>)> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).ok()?;
        Some((tensor.shape().to_vec(), tensor.data().to_vec()))
    }

    pub fn picture(&self, name: &str) -> Option<Picture> {
        let (shape, bytes) = self.get(name)?;
        Some(Picture::from_rgb(shape[1] as u32, shape[0] as u32, bytes).unwrap())
    }
}

/// Creates a picture of random bytes.
pub fn noise(width: u32, height: u32, seed: u64) -> Picture {
    let black =
        Picture::from_rgb(width, height, vec![0; width as usize * height as usize * 3]).unwrap();
    super::Baseline::Noise.of(&black, seed)
}
