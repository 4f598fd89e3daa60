//! The evidence of a sample: boxes, or a mask in COCO's run-length encoding.

use serde::{Deserialize, Serialize};

use super::{BadRow, Rectangle, Segmentation};
use crate::picture::Picture;

/// The largest number of pixels on the longer side of a recorded mask.
pub(crate) const LONGEST: usize = 512;
/// The smallest grey that counts as white.
const WHITE: u8 = 128;

/// The region of a picture that shows the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evidence<'a> {
    /// Rectangles in pixels of the picture; they count as their union.
    Boxes(&'a [Rectangle]),
    /// A mask of the whole picture.
    Mask(&'a EvidenceMask),
}

impl<'a> From<&'a [Rectangle]> for Evidence<'a> {
    fn from(boxes: &'a [Rectangle]) -> Evidence<'a> {
        Evidence::Boxes(boxes)
    }
}

impl<'a, const N: usize> From<&'a [Rectangle; N]> for Evidence<'a> {
    fn from(boxes: &'a [Rectangle; N]) -> Evidence<'a> {
        Evidence::Boxes(boxes)
    }
}

impl<'a> From<&'a Vec<Rectangle>> for Evidence<'a> {
    fn from(boxes: &'a Vec<Rectangle>) -> Evidence<'a> {
        Evidence::Boxes(boxes)
    }
}

impl<'a> From<&'a EvidenceMask> for Evidence<'a> {
    fn from(mask: &'a EvidenceMask) -> Evidence<'a> {
        Evidence::Mask(mask)
    }
}

/// A mask of the evidence over the whole picture, at most 512 pixels on the longer side.
///
/// It is stored in COCO's uncompressed run-length encoding, which pycocotools reads: the lengths of
/// the runs of equal pixels, column by column, beginning with those outside of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RunLengths")]
pub struct EvidenceMask {
    /// Height and width.
    size: [usize; 2],
    counts: Vec<u32>,
}

/// A mask as written, not yet validated.
#[derive(Deserialize)]
struct RunLengths {
    size: [usize; 2],
    counts: Vec<u32>,
}

impl TryFrom<RunLengths> for EvidenceMask {
    type Error = String;

    fn try_from(RunLengths { size, counts }: RunLengths) -> Result<EvidenceMask, String> {
        if size.iter().any(|side| !(1..=LONGEST).contains(side)) {
            return Err(format!(
                "evidence: expected sides of 1 to {LONGEST} pixels, found {size:?}"
            ));
        }
        let pixels = (size[0] * size[1]) as u64;
        let found: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if found != pixels {
            return Err(format!(
                "evidence: expected runs of {pixels} pixels in all, found {found}"
            ));
        }
        Ok(EvidenceMask { size, counts })
    }
}

impl EvidenceMask {
    /// Reads the mask of a picture of `width` x `height` pixels from a grey picture: the evidence
    /// is where it is 128 or more. A mask with a side above 512 pixels is reduced by taking the
    /// pixels at the centres of the smaller ones.
    ///
    /// # Errors
    /// Returns an error if the mask has another aspect than the picture (its shorter side may
    /// differ by one pixel from what its longer side demands), a colour, or no white pixel.
    pub fn of(mask: &Picture, (width, height): (u32, u32)) -> Result<EvidenceMask, BadRow> {
        let [w, h, width, height] = [mask.width(), mask.height(), width, height].map(u64::from);
        let wrong = |expected: String, found: String| {
            BadRow::new(format!("evidence: expected {expected}, found {found}"))
        };
        if (w * height).abs_diff(h * width) > width.max(height) {
            return Err(wrong(
                format!("a mask of {width} x {height} pixels, or of that aspect"),
                format!("{w} x {h}"),
            ));
        }
        let pixels = mask.rgb().as_chunks::<3>().0;
        let grey = |[red, green, blue]: &[u8; 3]| red == green && green == blue;
        if let Some(at) = pixels.iter().position(|pixel| !grey(pixel)) {
            let (x, y) = (at as u64 % w, at as u64 / w);
            return Err(wrong(
                "a grey mask".into(),
                format!("the colour {:?} at ({x}, {y})", pixels[at]),
            ));
        }
        let whitest = pixels.iter().map(|[grey, ..]| *grey).max().unwrap_or(0);
        if whitest < WHITE {
            return Err(wrong(
                format!("white pixels ({WHITE} to 255) where the evidence is"),
                format!("none above {whitest}"),
            ));
        }
        let [columns, rows] = within([w as usize, h as usize], LONGEST);
        EvidenceMask::encode(columns, rows, |x, y| {
            let x = nearest(x as u64, columns as u64, w);
            let y = nearest(y as u64, rows as u64, h);
            // A pixel of the mask in memory.
            pixels[(y * w + x) as usize][0] >= WHITE
        })
    }

    /// Draws a segmentation of a picture of `width` x `height` pixels, reduced as by
    /// [`EvidenceMask::of`].
    ///
    /// # Errors
    /// Returns an error if its run lengths have another aspect than the picture, or if no pixel
    /// belongs to it.
    pub fn of_segmentation(
        segmentation: &Segmentation,
        (width, height): (u32, u32),
    ) -> Result<EvidenceMask, BadRow> {
        let [columns, rows] = within([width as usize, height as usize], LONGEST);
        let pixels = segmentation
            .pixels((width, height), [columns, rows])
            .map_err(|message| BadRow::new(format!("evidence: {message}")))?;
        EvidenceMask::encode(columns, rows, |x, y| pixels[x * rows + y])
    }

    /// Encodes the pixels (x, y) for which `inside` returns true.
    ///
    /// # Errors
    /// Returns an error if there is none.
    fn encode(
        width: usize,
        height: usize,
        inside: impl Fn(usize, usize) -> bool,
    ) -> Result<EvidenceMask, BadRow> {
        let mut counts = vec![0];
        let mut last = false;
        for pixel in 0..width * height {
            let now = inside(pixel / height, pixel % height);
            match counts.last_mut() {
                Some(count) if now == last => *count += 1,
                _ => counts.push(1),
            }
            last = now;
        }
        match counts.len() {
            // One run is that of the pixels outside.
            0 | 1 => Err(BadRow::new(format!(
                "evidence: expected evidence at the centre of a pixel of {width} x {height}, found \
                 none: it is empty, too narrow, or beside the picture"
            ))),
            _ => Ok(EvidenceMask {
                size: [height, width],
                counts,
            }),
        }
    }

    /// Returns the height and the width.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Returns the lengths of the runs, column by column; the first is outside of the evidence.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Returns whether each pixel belongs to the evidence, row by row, at `width` x `height`
    /// pixels: of every pixel the one of the mask at its centre.
    pub fn pixels(&self, width: usize, height: usize) -> Vec<bool> {
        let [rows, columns] = self.size;
        let mut by_column = Vec::with_capacity(rows * columns);
        for (run, &count) in self.counts.iter().enumerate() {
            by_column.extend(std::iter::repeat_n(run % 2 == 1, count as usize));
        }
        let at = |x: usize, y: usize| {
            let x = nearest(x as u64, width as u64, columns as u64);
            let y = nearest(y as u64, height as u64, rows as u64);
            // A pixel of the mask in memory.
            by_column[x as usize * rows + y as usize]
        };
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        all.map(|(x, y)| at(x, y)).collect()
    }
}

/// Returns sides of the same aspect of which the longer is at most `longest`, and each at least 1.
pub(crate) fn within(sides: [usize; 2], longest: usize) -> [usize; 2] {
    let own = sides[0].max(sides[1]);
    let limit = longest.min(own);
    // At most `limit`, which is a usize.
    let shown = |side: usize| (side as u128 * limit as u128 / own.max(1) as u128) as usize;
    sides.map(|side| shown(side).max(1))
}

/// Returns the pixel, of `to` on a side, at the centre of pixel `at` of `of` on the same side; the
/// first of two whose border is there, as a box's side at the centre of a pixel is rounded up.
pub(super) fn nearest(at: u64, of: u64, to: u64) -> u64 {
    ((2 * at + 1) * to).div_ceil(2 * of) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, values: &[u8]) -> Picture {
        let rgb = values.iter().flat_map(|&v| [v; 3]).collect();
        Picture::from_rgb(width, height, rgb).unwrap()
    }

    /// The pixels of 3 x 2: the encoding goes down the columns, as COCO's does.
    #[test]
    fn runs_go_down_the_columns() {
        let picture = grey(3, 2, &[255, 0, 128, 255, 127, 200]);
        let mask = EvidenceMask::of(&picture, (3, 2)).unwrap();
        let text = serde_json::to_string(&mask).unwrap();
        assert_eq!(text, r#"{"size":[2,3],"counts":[0,2,2,2]}"#);
        assert_eq!(serde_json::from_str::<EvidenceMask>(&text).unwrap(), mask);
        let row = [true, false, true];
        assert_eq!(mask.pixels(3, 2), [row, row].concat());
        let wide = [row.map(|v| [v; 2]).concat(), row.map(|v| [v; 2]).concat()].concat();
        assert_eq!(mask.pixels(6, 2), wide);
        assert_eq!(mask.pixels(1, 1), [false]);
    }

    #[test]
    fn a_mask_has_the_aspect_of_its_picture() {
        let of = |mask: (u32, u32), picture| {
            let pixels = vec![255; (mask.0 * mask.1) as usize];
            let found = EvidenceMask::of(&grey(mask.0, mask.1, &pixels), picture);
            found.map(|found| found.size()).map_err(|bad| bad.message)
        };
        assert_eq!(of((640, 480), (640, 480)), Ok([384, 512]));
        assert_eq!(of((64, 48), (640, 480)), Ok([48, 64]));
        assert_eq!(of((1280, 960), (640, 480)), Ok([384, 512]));
        // 334 / 500 of 224 is 149.6.
        for height in [149, 150] {
            assert_eq!(of((224, height), (500, 334)), Ok([height as usize, 224]));
        }
        for other in [(480, 640), (224, 148), (224, 224), (500, 336)] {
            let message = of(other, (500, 334)).unwrap_err();
            assert!(message.contains("500 x 334 pixels"), "{message}");
        }
        assert_eq!(of((2000, 1), (3000, 1)), Ok([1, 512]));
    }

    #[test]
    fn masks_of_another_form_say_so() {
        let message = |mask: &Picture| EvidenceMask::of(mask, (2, 1)).unwrap_err().message;
        let ones = message(&grey(2, 1, &[0, 1]));
        assert!(ones.ends_with("found none above 1"), "{ones}");
        let red = Picture::from_rgb(2, 1, vec![255, 255, 255, 255, 0, 0]).unwrap();
        let red = message(&red);
        assert!(red.contains("colour [255, 0, 0] at (1, 0)"), "{red}");
        for (text, word) in [
            (r#"{"size":[2,3],"counts":[0,2,2,1]}"#, "6 pixels"),
            (r#"{"size":[0,3],"counts":[0]}"#, "1 to 512"),
            (r#"{"size":[513,1],"counts":[513]}"#, "1 to 512"),
            (
                r#"{"size":[2,1],"counts":[4294967295,4294967295]}"#,
                "2 pixels",
            ),
        ] {
            let error = serde_json::from_str::<EvidenceMask>(text).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
