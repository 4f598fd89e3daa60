//! Properties of NVIDIA's cards, from their data sheets and architecture papers.

use serde::Serialize;

/// The properties of a card.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::cli) struct Card {
    /// The name on the command line.
    pub name: String,
    /// Memory in bytes; a GB of a data sheet is counted as 10^9 bytes, which leaves room for the
    /// driver.
    pub memory: f64,
    /// bf16 products with f32 sums, in operations per second, without sparsity.
    pub rate: f64,
    /// Memory bandwidth in bytes per second.
    pub bandwidth: f64,
}

/// Name, memory in GB, bf16 tensor rate in TFLOPS (dense, f32 sums), bandwidth in GB/s.
const CARDS: [(&str, f64, f64, f64); 15] = [
    ("a10", 24.0, 125.0, 600.0),
    ("a100-40gb", 40.0, 312.0, 1555.0),
    ("a100-80gb", 80.0, 312.0, 2039.0),
    ("a100-80gb-pcie", 80.0, 312.0, 1935.0),
    ("a6000", 48.0, 154.8, 768.0),
    ("b200", 180.0, 2250.0, 8000.0),
    ("h100-nvl", 94.0, 835.5, 3900.0),
    ("h100-pcie", 80.0, 756.5, 2039.0),
    ("h100-sxm", 80.0, 989.5, 3350.0),
    ("h200", 141.0, 989.5, 4800.0),
    ("l4", 24.0, 121.0, 300.0),
    ("l40s", 48.0, 362.0, 864.0),
    ("rtx3090", 24.0, 71.0, 936.0),
    ("rtx4090", 24.0, 165.2, 1008.0),
    ("rtx5090", 32.0, 209.5, 1792.0),
];

/// Returns the names of all cards.
pub(in crate::cli) fn names() -> impl Iterator<Item = &'static str> {
    CARDS.iter().map(|card| card.0)
}

/// Returns the card with that name.
pub(in crate::cli) fn card(name: &str) -> Option<Card> {
    let (name, memory, rate, bandwidth) = CARDS.into_iter().find(|card| card.0 == name)?;
    Some(Card {
        name: name.to_string(),
        memory: memory * 1e9,
        rate: rate * 1e12,
        bandwidth: bandwidth * 1e9,
    })
}
