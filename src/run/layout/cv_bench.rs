//! CV-Bench: `idx`, `type`, `task`, `image`, `question`, `choices`, `answer` as `(C)`, `prompt`
//! including the options, `filename` below the folder `img`, and boxes as left, top, right, bottom
//! if the source has them.

use super::choices::{INSTRUCTION, right};
use super::columns::{BoxFormat, boxes_of, options, picture};
use super::{Ask, SampleResult, plain, required};
use crate::run::table::Row;
use crate::run::{BadRow, Source};

pub(super) fn sample(row: &Row, index: usize, ask: Ask) -> SampleResult {
    let id = row.text("idx").unwrap_or_else(|| index.to_string());
    let question = match ask {
        Ask::Open => required(row, "question")?,
        Ask::Choice => format!("{}\n{INSTRUCTION}", required(row, "prompt")?),
    };
    let image = match row.text("filename") {
        Some(name) if row.bytes("image").is_none() => {
            let below = name.strip_prefix("img/").map(str::to_string);
            let beside = format!("img/{name}");
            Source::File(
                [Some(name), below, Some(beside)]
                    .into_iter()
                    .flatten()
                    .collect(),
            )
        }
        _ => picture(row, "image", &id)?,
    };
    let mut sample = plain(index, id, question, image);
    sample.choices = options(row, "choices")
        .map_err(BadRow::new)?
        .ok_or_else(|| {
            BadRow::new("column \"choices\": expected a list of texts, found nothing")
        })?;
    sample.right = Some(right(&required(row, "answer")?, &sample.choices));
    sample.category = row.text("task");
    if row.json("bbox").is_some() {
        sample.boxes = boxes_of(row, "bbox", BoxFormat::Xyxy)?;
    }
    Ok(sample)
}
