//! LLaVA-Bench: `question_id`, `image`, `text`, `category`. There are no options; reference answers are in files of their own.

use super::{Made, plain, required};
use crate::run::Source;
use crate::run::table::Row;

pub(super) fn sample(row: &Row, index: usize) -> Made {
    let id = row.text("question_id").unwrap_or_else(|| index.to_string());
    let image = required(row, "image")?;
    // In the wild: a folder `images`. Of COCO: pictures of its validation set of 2014, with or without the set's name.
    let names = vec![
        format!("images/{image}"),
        format!("COCO_val2014_{image}"),
        format!("val2014/COCO_val2014_{image}"),
    ];
    let names = [vec![image], names].concat();
    let mut sample = plain(index, id, required(row, "text")?, Source::File(names));
    sample.category = row.text("category");
    Ok(sample)
}
