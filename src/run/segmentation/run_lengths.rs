//! COCO's run-length encoding.

use serde_json::{Map, Value};

use crate::run::evidence::nearest;

/// The largest number of characters of one compressed count: 35 bits, more than a count has.
const MOST_CHARACTERS: u32 = 7;

/// A region as runs of pixels, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLengths {
    width: u64,
    height: u64,
    /// The pixels at which a run outside or inside ends, in ascending order; pixel (x, y) has
    /// number `x * height + y`, and pixel 0 is outside unless the first of these is 0.
    ends: Vec<u64>,
}

impl RunLengths {
    /// Creates the region whose border is crossed before each of these pixels, in any order.
    pub fn of_crossings(width: u32, height: u32, mut ends: Vec<u64>) -> RunLengths {
        ends.sort_unstable();
        RunLengths {
            width: u64::from(width),
            height: u64::from(height),
            ends,
        }
    }

    /// Reads `size` and `counts`.
    ///
    /// # Errors
    /// Returns a message that names the member if one is missing or of another type, or if the runs
    /// do not fill the size.
    pub fn of(members: &Map<String, Value>) -> Result<RunLengths, String> {
        let size = members.get("size").and_then(Value::as_array);
        let side = |value: &Value| value.as_u64().and_then(|side| u32::try_from(side).ok());
        let sides = size.and_then(|sides| sides.iter().map(side).collect::<Option<Vec<u32>>>());
        let (height, width) = match sides.as_deref() {
            Some(&[height, width]) if height > 0 && width > 0 => (height, width),
            _ => {
                return Err(format!(
                    "size: expected height and width in pixels, found {}",
                    shown(members.get("size"))
                ));
            }
        };
        let counts = match members.get("counts") {
            Some(Value::Array(counts)) => plain(counts)?,
            Some(Value::String(text)) => decompressed(text)?,
            other => {
                return Err(format!(
                    "counts: expected an array or a string, found {}",
                    shown(other)
                ));
            }
        };
        let pixels = u64::from(width) * u64::from(height);
        let mut filled = 0_u64;
        let mut ends = Vec::with_capacity(counts.len());
        for (place, count) in counts.into_iter().enumerate() {
            filled += u64::from(count);
            if filled > pixels {
                return Err(format!(
                    "counts: expected runs of {pixels} pixels in all, of {height} x {width}, found \
                     {filled} up to run {place}"
                ));
            }
            ends.push(filled);
        }
        if filled < pixels {
            return Err(format!(
                "counts: expected runs of {pixels} pixels in all, of {height} x {width}, found \
                 {filled}"
            ));
        }
        Ok(RunLengths::of_crossings(width, height, ends))
    }

    /// Returns an error if the region's picture has another aspect than one of `width` x `height`
    /// pixels; the shorter side may differ by one pixel from what the longer side demands.
    pub fn expect_aspect(&self, width: u32, height: u32) -> Result<(), String> {
        let own = (self.width, self.height);
        let of = (u64::from(width), u64::from(height));
        if (own.0 * of.1).abs_diff(own.1 * of.0) > of.0.max(of.1) {
            return Err(format!(
                "size: expected {height} x {width} (height, width), or that aspect, found {} x {}",
                self.height, self.width
            ));
        }
        Ok(())
    }

    /// Marks the region's pixels, column by column, in a raster of `columns` x `rows` pixels: of
    /// every pixel the one at its centre counts.
    pub fn paint(&self, pixels: &mut [bool], [columns, rows]: [usize; 2]) {
        for (x, column) in pixels.chunks_exact_mut(rows).enumerate() {
            let first = nearest(x as u64, columns as u64, self.width) * self.height;
            // Runs that have ended; an odd number of them leads into the region.
            let mut ended = self.ends.partition_point(|&end| end <= first);
            let ends_later = |&end: &u64| end >= first + self.height;
            if ended.is_multiple_of(2) && self.ends.get(ended).is_none_or(ends_later) {
                continue;
            }
            for (y, pixel) in column.iter_mut().enumerate() {
                let at = first + nearest(y as u64, rows as u64, self.height);
                while self.ends.get(ended).is_some_and(|&end| end <= at) {
                    ended += 1;
                }
                *pixel |= !ended.is_multiple_of(2);
            }
        }
    }
}

/// Reads an array of counts.
fn plain(counts: &[Value]) -> Result<Vec<u32>, String> {
    let count = |(place, value): (usize, &Value)| {
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        count.ok_or_else(|| {
            format!("counts: run {place}: expected a number of pixels below 2^32, found {value}")
        })
    };
    counts.iter().enumerate().map(count).collect()
}

/// Reads a string of counts as `rleFrString` of pycocotools does: signed numbers in groups of five
/// bits, the lowest first; the sixth bit says that another group follows. From the fourth count on
/// they are the difference from the last but one.
fn decompressed(text: &str) -> Result<Vec<u32>, String> {
    let mut counts: Vec<u32> = Vec::with_capacity(text.len());
    let wrong = |place: usize, reason: &str| Err(format!("counts: run {place}: {reason}"));
    let mut bytes = text.bytes();
    while bytes.len() > 0 {
        let place = counts.len();
        let (mut number, mut bits) = (0_i64, 0_u32);
        loop {
            let Some(byte) = bytes.next() else {
                return wrong(
                    place,
                    "expected more characters, found the end of the string",
                );
            };
            if !(48..112).contains(&byte) {
                return wrong(
                    place,
                    &format!("expected characters from '0' to 'o', found byte {byte}"),
                );
            }
            if bits == 5 * MOST_CHARACTERS {
                return wrong(place, "expected a number below 2^32, found a longer one");
            }
            let group = i64::from(byte - 48);
            number |= (group & 0x1f) << bits;
            bits += 5;
            if group & 0x20 == 0 {
                if group & 0x10 != 0 {
                    number -= 1 << bits;
                }
                break;
            }
        }
        if place > 2 {
            number += i64::from(counts[place - 2]);
        }
        match u32::try_from(number) {
            Ok(count) => counts.push(count),
            Err(_) => {
                return wrong(
                    place,
                    &format!("expected a number of pixels below 2^32, found {number}"),
                );
            }
        }
    }
    Ok(counts)
}

/// Formats a member for messages.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::Array(items)) if items.len() > 4 => format!("{} numbers", items.len()),
        Some(value) => value.to_string(),
    }
}
