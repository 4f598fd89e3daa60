//! Segmentations as COCO's annotations have them: polygons, and run lengths, plain or compressed.

mod polygon;
mod run_lengths;
#[cfg(test)]
mod tests;

use serde_json::Value;

use polygon::{MOST_STEPS, Polygon};
use run_lengths::RunLengths;

/// The largest number of polygons and of run-length encodings of one segmentation.
const MOST_PARTS: usize = 4096;

/// The region of a picture in COCO's notation, before the picture's size is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// The region is their union.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Polygon(Polygon),
    RunLengths(RunLengths),
}

impl Segmentation {
    /// Returns whether a JSON value is in COCO's notation, right or wrong: an object with `size` or
    /// `counts`, or an array that begins with a number, an array, or such an object.
    pub(super) fn is_like(value: &Value) -> bool {
        let object = |value: &Value| {
            ["size", "counts"]
                .iter()
                .any(|name| value.get(name).is_some())
        };
        match value {
            Value::Array(items) => items
                .first()
                .is_some_and(|first| first.is_number() || first.is_array() || object(first)),
            value => object(value),
        }
    }

    /// Reads a polygon `[x, y, x, y, ...]` in pixels of the picture, run lengths `{"size": [height,
    /// width], "counts": ...}`, or an array of these, or an array of such arrays. The counts are an
    /// array, or a string as pycocotools compresses them.
    ///
    /// # Errors
    /// Returns a message that names the part for a polygon of fewer than three points or with a
    /// coordinate that is not a finite number in reach of a picture, for runs that do not fill
    /// their size, and for more than 4096 parts.
    pub(super) fn of(value: &Value) -> Result<Segmentation, String> {
        let mut parts = Vec::new();
        match value {
            // An array of annotations, each of which may have several polygons.
            Value::Array(items) if !items.first().is_some_and(Value::is_number) => {
                for (place, item) in items.iter().enumerate() {
                    let within = |message| format!("part {place}: {message}");
                    match item {
                        Value::Array(inner) if inner.first().is_some_and(Value::is_array) => {
                            for (polygon, inner) in inner.iter().enumerate() {
                                let within = |m| within(format!("polygon {polygon}: {m}"));
                                push(&mut parts, inner).map_err(within)?;
                            }
                        }
                        item => push(&mut parts, item).map_err(within)?,
                    }
                }
            }
            value => push(&mut parts, value)?,
        }
        Ok(Segmentation { parts })
    }

    /// Returns whether each pixel of a picture of `width` x `height` pixels belongs to the region,
    /// column by column, at `columns` x `rows` pixels: of every pixel the one at its centre.
    ///
    /// # Errors
    /// Returns a message if run lengths have another aspect than the picture, or if polygons have
    /// more boundary than any drawing.
    pub(super) fn pixels(
        &self,
        (width, height): (u32, u32),
        [columns, rows]: [usize; 2],
    ) -> Result<Vec<bool>, String> {
        let mut pixels = vec![false; columns * rows];
        let mut steps = MOST_STEPS;
        for (place, part) in self.parts.iter().enumerate() {
            let within = |message| format!("part {place}: {message}");
            let drawn;
            let runs = match part {
                Part::RunLengths(runs) => {
                    runs.expect_aspect(width, height).map_err(within)?;
                    runs
                }
                Part::Polygon(polygon) => {
                    drawn = polygon.draw(width, height, &mut steps).map_err(within)?;
                    &drawn
                }
            };
            runs.paint(&mut pixels, [columns, rows]);
        }
        Ok(pixels)
    }
}

fn push(parts: &mut Vec<Part>, value: &Value) -> Result<(), String> {
    if parts.len() == MOST_PARTS {
        return Err(format!(
            "expected at most {MOST_PARTS} polygons and run lengths, found more"
        ));
    }
    parts.push(match value {
        Value::Array(numbers) => Part::Polygon(Polygon::of(numbers)?),
        Value::Object(members) => Part::RunLengths(RunLengths::of(members)?),
        other => {
            return Err(format!(
                "expected a polygon [x, y, ...] or run lengths {{\"size\", \"counts\"}}, found \
                 {other}"
            ));
        }
    });
    Ok(())
}
