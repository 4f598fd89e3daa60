//! What a model computes on the way to a score, for methods that look inside it: activations of
//! layers and their gradients, attention, logits of every row.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{LvlmError, Result};
use super::session::Callback;
use crate::blend::TokenPlaces;
use crate::nn::AttentionValues;

/// A layer whose activations can be read, counted from 1. Its text is `encoder`, `encoder:N` or
/// `decoder:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layer {
    /// The output of a layer of the vision encoder; of the last layer that the model uses where
    /// there is no number.
    Encoder(Option<usize>),
    /// The input of the perceptron in a layer of the decoder: its second norm's output.
    Decoder(usize),
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::Encoder(None) => f.write_str("encoder"),
            Layer::Encoder(Some(number)) => write!(f, "encoder:{number}"),
            Layer::Decoder(number) => write!(f, "decoder:{number}"),
        }
    }
}

impl From<Layer> for String {
    fn from(layer: Layer) -> String {
        layer.to_string()
    }
}

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Layer, String> {
        let number = |text: &str| text.parse().ok().filter(|&number: &usize| number > 0);
        let layer = match text.split_once(':') {
            None if text == "encoder" => Some(Layer::Encoder(None)),
            Some(("encoder", text)) => number(text).map(|number| Layer::Encoder(Some(number))),
            Some(("decoder", text)) => number(text).map(Layer::Decoder),
            _ => None,
        };
        layer.ok_or_else(|| "expected encoder, encoder:N or decoder:N, with N from 1".into())
    }
}

impl TryFrom<String> for Layer {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Layer, String> {
        text.parse()
    }
}

/// Activations of a layer at the tokens of the picture, and their gradients.
#[derive(Clone, Debug)]
pub struct LayerActivations {
    /// The places of the tokens.
    pub places: TokenPlaces,
    /// Numbers per token.
    pub columns: usize,
    /// `[tokens, columns]`.
    pub values: Vec<f64>,
    /// The gradient of the score by them, likewise.
    pub gradient: Vec<f64>,
}

/// The rows that the decoder reads from the picture's first on. The tokens before it are no rows:
/// nothing of the picture reaches them.
#[derive(Clone, Debug)]
pub struct SequenceRows<'a> {
    /// The places in the picture of its visual tokens.
    pub places: &'a TokenPlaces,
    /// The row of each visual token, ascending.
    pub visual: &'a [usize],
    /// The rows of the prompt's text tokens, and the tokens.
    pub text: Vec<(usize, u32)>,
    /// The row that predicts the answer's first token; the next predicts its second.
    pub first: usize,
    /// The answer's tokens.
    pub answer: &'a [u32],
}

/// Reads what a model computes for the whole picture and one answer. Every function runs the model
/// once and calls `evaluated` once.
pub trait Internals {
    /// Returns the rows of the decoder.
    fn rows(&self) -> SequenceRows<'_>;
    /// Returns the activations of a layer at the tokens of the picture, and the gradient by them of
    /// the sum of `log p` over the answer's tokens `tokens` (ascending).
    ///
    /// # Errors
    /// [`LvlmError::Unreadable`] for a layer that the model does not have; as
    /// [`Scorer::gradient`](super::Scorer::gradient).
    fn activations(
        &self,
        layer: Layer,
        tokens: &[usize],
        evaluated: &mut Callback,
    ) -> Result<LayerActivations>;
    /// Calls `each` with the number and the attention of every layer of the decoder, the last layer
    /// first. The last layer's queries are the rows that predict `tokens` (ascending), those of the
    /// others all rows up to the last of these. With `gradient`, attention has the gradient of the
    /// sum of `log p` over `tokens`.
    ///
    /// # Errors
    /// [`LvlmError::Unreadable`] for a family whose decoder reads the picture through more than its
    /// visual tokens; as [`Scorer::gradient`](super::Scorer::gradient).
    fn attention(
        &self,
        tokens: &[usize],
        gradient: bool,
        each: &mut dyn FnMut(usize, AttentionValues),
        evaluated: &mut Callback,
    ) -> Result<()>;
    /// Returns the logits of the vocabulary's tokens `ids` at every row up to that which predicts
    /// the answer's token `last`, `[rows, ids]`.
    ///
    /// # Errors
    /// As [`Scorer::log_probabilities`](super::Scorer::log_probabilities).
    fn logits(&self, last: usize, ids: &[u32], evaluated: &mut Callback) -> Result<Vec<f64>>;
}

/// Calls `evaluated` for one picture.
///
/// # Errors
/// [`LvlmError::Cancelled`] where it breaks.
pub(in crate::lvlm) fn one(evaluated: &mut Callback) -> Result<()> {
    match evaluated(1).is_break() {
        true => Err(LvlmError::Cancelled),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_written_as_they_are_read() {
        for text in ["encoder", "encoder:3", "decoder:12"] {
            let layer: Layer = text.parse().unwrap();
            assert_eq!(layer.to_string(), text);
            let json = serde_json::to_string(&layer).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Layer>(&json).unwrap(), layer);
        }
        for text in [
            "",
            "decoder",
            "decoder:0",
            "encoder:-1",
            "encoder:x",
            "head:1",
        ] {
            let error = text.parse::<Layer>().unwrap_err();
            assert!(error.contains("decoder:N"), "{text}: {error}");
        }
    }
}
