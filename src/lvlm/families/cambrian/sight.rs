//! What Cambrian-1's encoders see: each the whole picture, in the middle of a square of a colour of its own.

use super::arrangement::Arrangement;
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{Eye, Sight};
use crate::picture::{Picture, Processor};

/// The way there.
pub(in crate::lvlm) struct CambrianSight {
    /// By encoder, with the side of a patch.
    pub eyes: Vec<(Processor, usize)>,
    /// Queries each way.
    pub queries: usize,
    /// By encoder, tokens each way that the queries look at.
    pub sides: Vec<usize>,
}

impl Sight for CambrianSight {
    type Arrangement = Arrangement;

    fn eyes(&self, width: u32, height: u32) -> Result<Vec<Eye>> {
        let eye = |(processor, patch): &(Processor, usize)| {
            Ok(Eye {
                patch: *patch,
                views: vec![processor.view(width, height)?],
            })
        };
        self.eyes.iter().map(eye).collect()
    }

    fn process(&self, picture: &Picture) -> Result<Vec<Vec<Vec<f32>>>> {
        let pixels = |(processor, _): &(Processor, usize)| Ok(vec![processor.process(picture)?]);
        self.eyes.iter().map(pixels).collect()
    }

    fn arrange(&self, width: u32, height: u32) -> Result<(Arrangement, usize)> {
        let arrangement = Arrangement::of((width, height), self.queries, &self.sides)?;
        let rows = arrangement.lines.outputs();
        Ok((arrangement, rows))
    }
}
