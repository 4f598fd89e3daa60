//! A page's data from an explanation.

use super::{CurveLines, Detail, Entry, MapCells, PageFaithfulness, PageToken, PageUnit};
use crate::explain::{AnswerToken, Curves, Explanation, Faithfulness, Mask};
use crate::report::Result;

impl MapCells {
    /// Encodes the saliency of a mask as [`MapCells::new`] does.
    ///
    /// # Errors
    /// As [`MapCells::new`].
    pub fn of(mask: &Mask) -> Result<MapCells> {
        MapCells::new(&mask.saliency(), mask.size())
    }
}

impl From<&AnswerToken> for PageToken {
    fn from(token: &AnswerToken) -> PageToken {
        PageToken {
            text: token.text.clone(),
            llr: token.llr,
            picture: token.logp_image.exp(),
            baseline: token.logp_baseline.exp(),
            key: token.key,
        }
    }
}

impl From<&Curves> for CurveLines {
    fn from(curves: &Curves) -> CurveLines {
        CurveLines {
            fraction: curves.fraction.clone(),
            deletion: curves.deletion.clone(),
            insertion: curves.insertion.clone(),
        }
    }
}

impl From<&Faithfulness> for PageFaithfulness {
    fn from(found: &Faithfulness) -> PageFaithfulness {
        PageFaithfulness {
            fraction: found.fraction,
            removed: found.removed,
            revealed: found.revealed,
            flipped: found.flipped,
            kept: found.kept,
            enough: found.region.fraction,
            probability: found.region.probability,
        }
    }
}

impl Entry {
    /// Returns what an explanation says of a sample: the answer, its words and scores. The other
    /// fields are empty.
    pub fn of(explanation: &Explanation) -> Entry {
        let curves = explanation.curves.as_ref();
        let tokens = &explanation.tokens;
        Entry {
            answer: explanation.answer.clone(),
            image_dependent: Some(explanation.image_dependent),
            key_tokens: tokens.iter().filter(|token| token.key).count(),
            log_ratio: tokens.iter().map(|token| token.llr).reduce(f64::max),
            deletion: curves.and_then(|curves| curves.deletion_score),
            insertion: curves.and_then(|curves| curves.insertion_score),
            ..Entry::default()
        }
    }
}

impl Detail {
    /// Returns what an explanation says of a sample: maps, words, curves. The other fields, of
    /// those the picture's, are empty.
    ///
    /// # Errors
    /// As [`MapCells::new`].
    pub fn of(explanation: &Explanation) -> Result<Detail> {
        let curves = explanation.curves.as_ref();
        let units = explanation.each.iter().map(|found| {
            Ok(PageUnit {
                text: found.unit.text.clone(),
                tokens: found.unit.tokens.clone(),
                map: MapCells::of(&found.mask)?,
            })
        });
        Ok(Detail {
            map: explanation.mask.as_ref().map(MapCells::of).transpose()?,
            each: units.collect::<Result<_>>()?,
            tokens: explanation.tokens.iter().map(PageToken::from).collect(),
            curves: curves.map(CurveLines::from),
            undefined: curves.and_then(|curves| curves.reason.clone()),
            faithfulness: explanation
                .faithfulness
                .as_ref()
                .map(PageFaithfulness::from),
            evaluations: Some(explanation.cost.evaluations),
            ..Detail::default()
        })
    }
}
