//! A page's data from a run's records.

use super::facts::facts;
use super::pictures::Small;
use crate::cli::error::CliError;
use crate::explain::Mask;
use crate::report::html::{
    CurveLines, Detail, Entry, MapCells, Page, PageFaithfulness, PagePicture, PageToken, PageUnit,
};
use crate::run::{Record, RecordImage, Right, Run};

/// Returns the page's data without the details, for all samples that the run has so far.
///
/// # Errors
/// Returns an error if records cannot be read.
pub(super) fn page(run: &Run) -> Result<Page, CliError> {
    let manifest = run.manifest();
    let entries: Result<Vec<Entry>, _> = run
        .records()?
        .map(|record| Ok::<_, CliError>(entry(&record?)))
        .collect();
    Ok(Page {
        title: format!("{} on {}", manifest.model.name, manifest.data.file),
        expected: manifest.samples(),
        facts: facts(manifest),
        entries: entries?,
    })
}

fn entry(record: &Record) -> Entry {
    let explained = record.explanation.as_ref();
    let curves = explained.and_then(|e| e.curves.as_ref());
    let tokens = explained.map_or(&[][..], |e| &e.answer.tokens);
    Entry {
        index: record.index,
        id: record.id.clone(),
        question: record.question.clone(),
        answer: explained.map_or_else(String::new, |e| e.answer.text.clone()),
        right: record.right.as_ref().and_then(right),
        category: record.category.clone(),
        correct: record.judgement.as_ref().map(|j| j.correct),
        image_dependent: explained.map(|e| e.image_dependent),
        key_tokens: tokens.iter().filter(|t| t.key).count(),
        log_ratio: tokens.iter().map(|t| t.llr).reduce(f64::max),
        deletion: curves.and_then(|c| c.deletion_score),
        insertion: curves.and_then(|c| c.insertion_score),
        cause: record.error.as_ref().map(|e| e.cause.to_string()),
    }
}

/// Formats a right answer on one line: its letter, its text, or both, and the reason if it is
/// unclear which option it is.
fn right(right: &Right) -> Option<String> {
    let line = match (right.letter, &right.text) {
        (Some(letter), Some(text)) => Some(format!("({letter}) {text}")),
        (Some(letter), None) => Some(format!("({letter})")),
        (None, text) => text.clone(),
    };
    match &right.unclear {
        Some(why) => line.map(|line| format!("{line} ({why})")),
        None => line,
    }
}

/// The places of the explained pictures among those of a record, and of the others after them.
fn order(record: &Record, explain_image: Option<usize>) -> Vec<usize> {
    let mut all: Vec<usize> = (0..record.images().count()).collect();
    let alone = explain_image.and_then(|number| number.checked_sub(1));
    if let Some(alone) = alone.filter(|&alone| alone < all.len()) {
        all.remove(alone);
        all.insert(0, alone);
    }
    all
}

/// Returns the details of a sample: `pictures` are all of its record, of which `explain_image` is
/// the only one that is explained.
///
/// # Errors
/// Returns an error for a malformed mask, which runs do not store.
pub(super) fn detail(
    record: &Record,
    mask: Option<&Mask>,
    each: &[Mask],
    pictures: Vec<Small>,
    explain_image: Option<usize>,
) -> Result<Detail, CliError> {
    let explained = record.explanation.as_ref();
    let curves = explained.and_then(|e| e.curves.as_ref());
    let tokens = explained.map_or(&[][..], |e| &e.answer.tokens);
    let cells = |mask: &Mask| -> Result<Vec<MapCells>, CliError> {
        let pictures = mask.split();
        let cells = pictures.iter().map(MapCells::of);
        Ok(cells.collect::<Result<_, _>>()?)
    };
    let mut maps = mask.map(cells).transpose()?.unwrap_or_default().into_iter();
    let units = each.iter().map(cells).collect::<Result<Vec<_>, _>>()?;
    let mut units: Vec<_> = units.into_iter().map(Vec::into_iter).collect();
    let images: Vec<&RecordImage> = record.images().collect();
    let order = order(record, explain_image);
    let mut shown = order.iter().map(|&at| {
        let (picture, missing) = match pictures.get(at) {
            Some(Ok(address)) => (Some(address.clone()), None),
            Some(Err(reason)) => (None, Some(reason.clone())),
            None => (None, None),
        };
        PagePicture {
            picture,
            missing,
            path: images[at].path.clone(),
            width: images[at].width,
            height: images[at].height,
            map: maps.next(),
            each: units.iter_mut().filter_map(Iterator::next).collect(),
        }
    });
    let PagePicture {
        picture,
        missing,
        path,
        width,
        height,
        map,
        each,
    } = shown.next().unwrap_or_default();
    let others = shown.collect();
    let units = explained.map_or(&[][..], |e| &e.each).iter().zip(each);
    let each = units.map(|(unit, map)| PageUnit {
        text: unit.text.clone(),
        tokens: unit.tokens.clone(),
        map,
    });
    Ok(Detail {
        picture,
        missing,
        path,
        width,
        height,
        map,
        each: each.collect(),
        others,
        tokens: tokens.iter().map(PageToken::from).collect(),
        curves: curves.map(CurveLines::from),
        undefined: curves.and_then(|c| c.reason.clone()),
        faithfulness: explained
            .and_then(|e| e.faithfulness.as_ref())
            .map(PageFaithfulness::from),
        boxes: record.boxes.clone(),
        choices: record.choices.clone(),
        chosen: record.judgement.as_ref().and_then(|j| j.chosen),
        letter: record.right.as_ref().and_then(|r| r.letter),
        seed: record.seed.to_string(),
        evaluations: explained.map(|e| e.evaluations),
        message: record.error.as_ref().map(|e| e.message.clone()),
    })
}
