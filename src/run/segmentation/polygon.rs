//! Polygons, drawn by the rule of pycocotools (`rleFrPoly`).

use serde_json::Value;

use super::run_lengths::RunLengths;

/// Steps of a boundary per pixel.
const SCALE: f64 = 5.0;
/// The largest distance of a coordinate from the picture's corner, in pixels.
const FARTHEST: f64 = (1 << 24) as f64;
/// The largest number of steps of all boundaries of a segmentation: four million pixels.
pub const MOST_STEPS: u64 = (SCALE as u64) << 22;

/// A closed polygon in pixels of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    points: Vec<[f64; 2]>,
}

impl Polygon {
    /// Reads `x, y, x, y, ...`.
    ///
    /// # Errors
    /// Returns a message for fewer than three points, half a point, and a coordinate that is not a
    /// number or more than 2^24 pixels away.
    pub fn of(numbers: &[Value]) -> Result<Polygon, String> {
        if numbers.len() < 6 || !numbers.len().is_multiple_of(2) {
            return Err(format!(
                "expected x and y of at least 3 points, found {} numbers",
                numbers.len()
            ));
        }
        let number = |(place, value): (usize, &Value)| {
            let number = value.as_f64().filter(|number| number.abs() <= FARTHEST);
            number.ok_or_else(|| {
                let axis = ["x", "y"][place % 2];
                format!(
                    "{axis} of point {}: expected a coordinate in pixels, found {value}",
                    place / 2
                )
            })
        };
        let numbers: Result<Vec<f64>, String> = numbers.iter().enumerate().map(number).collect();
        let points = numbers?.as_chunks::<2>().0.to_vec();
        Ok(Polygon { points })
    }

    /// Returns the polygon's inside in a picture of `width` x `height` pixels, and takes the steps
    /// of its boundary from `steps`.
    ///
    /// The boundary is followed in fifths of a pixel. Where it passes the middle of a column of
    /// pixels, the rows below change sides.
    ///
    /// # Errors
    /// Returns a message if the boundary has more steps than are left.
    pub fn draw(&self, width: u32, height: u32, steps: &mut u64) -> Result<RunLengths, String> {
        // At most 5 * 2^24. Fractions are cut towards zero, as in C.
        let fifths = |coordinate: f64| (SCALE * coordinate + 0.5) as i64;
        let fifths = |[x, y]: [f64; 2]| [fifths(x), fifths(y)];
        let mut crossings = Vec::new();
        for (place, &start) in self.points.iter().enumerate() {
            let end = self.points[(place + 1) % self.points.len()];
            let (start, end) = (fifths(start), fifths(end));
            let length = (0..2).map(|axis| start[axis].abs_diff(end[axis])).max();
            *steps = steps
                .checked_sub(length.unwrap_or(0).max(1))
                .ok_or_else(|| {
                    format!(
                        "polygon: expected boundaries of at most {} pixels in all, found longer \
                         ones",
                        MOST_STEPS / SCALE as u64
                    )
                })?;
            edge(start, end, |before, after| {
                crossings.extend(crossing(before, after, width, height));
            });
        }
        Ok(RunLengths::of_crossings(width, height, crossings))
    }
}

/// Calls a function with every two neighbouring points of an edge in fifths of a pixel. The point
/// between two steps of the longer axis is computed from the end that is first on that axis, so
/// that an edge has the same points in both directions.
fn edge(start: [i64; 2], end: [i64; 2], mut step: impl FnMut([i64; 2], [i64; 2])) {
    let distance = [0, 1].map(|axis| start[axis].abs_diff(end[axis]));
    let long = usize::from(distance[0] < distance[1]);
    let short = 1 - long;
    let turned = start[long] > end[long];
    let [from, to] = if turned { [end, start] } else { [start, end] };
    let length = to[long] - from[long];
    let slope = (to[short] - from[short]) as f64 / length as f64;
    let point = |n: i64| {
        let n = if turned { length - n } else { n };
        let mut point = [0; 2];
        point[long] = from[long] + n;
        point[short] = (from[short] as f64 + slope * n as f64 + 0.5) as i64;
        point
    };
    for n in 0..length {
        step(point(n), point(n + 1));
    }
}

/// Returns the number of the first pixel below the point where a step passes the middle of a
/// column; `None` if it passes none of the picture's columns.
fn crossing(before: [i64; 2], after: [i64; 2], width: u32, height: u32) -> Option<u64> {
    if before[0] == after[0] {
        return None;
    }
    // The middle of pixel x lies between the fifths 5 x + 2 and 5 x + 3.
    let left = before[0].min(after[0]) - 2;
    let column = u64::try_from(left).ok().filter(|left| left % 5 == 0)? / 5;
    if column >= u64::from(width) {
        return None;
    }
    let upper = before[1].min(after[1]);
    let row = ((upper as f64 + 0.5) / SCALE - 0.5).clamp(0.0, f64::from(height));
    // From 0 to the height.
    Some(column * u64::from(height) + row.ceil() as u64)
}
