//! Which layers are loaded with random weights.

use crate::checkpoint::{RandomizedLayers, Tensor};

/// The layers of each stack that have random weights, and whether the layer that is being loaded is
/// one of them.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::lvlm) struct Randomize {
    asked: Option<RandomizedLayers>,
    /// Layers of the decoder, from its last one down.
    decoder: usize,
    /// Layers of every encoder, from its last one down.
    encoder: usize,
    here: bool,
}

impl Randomize {
    /// Divides the layers between a decoder of `layers` layers and the encoders.
    pub fn new(asked: Option<RandomizedLayers>, layers: usize) -> Randomize {
        let all = asked.map_or(0, |asked| asked.layers);
        Randomize {
            asked,
            decoder: all.min(layers),
            encoder: all.saturating_sub(layers),
            here: false,
        }
    }

    /// Returns it for layer `i` of a decoder of `layers`.
    pub fn decoder_layer(self, i: usize, layers: usize) -> Randomize {
        Randomize {
            here: layers.saturating_sub(i) <= self.decoder,
            ..self
        }
    }

    /// Returns it for layer `i` of an encoder of which `layers` are used.
    pub fn encoder_layer(self, i: usize, layers: usize) -> Randomize {
        Randomize {
            here: layers.saturating_sub(i) <= self.encoder,
            ..self
        }
    }

    /// Returns the tensor, or a random one in its place.
    pub fn apply(self, tensor: Tensor) -> Tensor {
        match self.asked {
            Some(asked) if self.here => asked.randomized(&tensor),
            _ => tensor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder of 4 layers, an encoder of 3.
    #[test]
    fn layers_are_counted_from_the_top_through_the_decoder_to_the_encoder() {
        let random = |layers| {
            let asked = (layers > 0).then_some(RandomizedLayers { layers, seed: 0 });
            let random = Randomize::new(asked, 4);
            let decoder = (0..4).map(|i| random.decoder_layer(i, 4).here);
            let encoder = (0..3).map(|i| random.encoder_layer(i, 3).here);
            let letter = |here: bool| if here { 'r' } else { '-' };
            let all: Vec<String> =
                vec![encoder.map(letter).collect(), decoder.map(letter).collect()];
            all.join(" ")
        };
        assert_eq!(random(0), "--- ----");
        assert_eq!(random(1), "--- ---r");
        assert_eq!(random(4), "--- rrrr");
        assert_eq!(random(6), "-rr rrrr");
        assert_eq!(random(99), "rrr rrrr");
        assert!(!Randomize::new(None, 4).here);
    }
}
