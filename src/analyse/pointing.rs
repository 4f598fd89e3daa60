//! Measures of how well a map points at the evidence.

use serde::Serialize;

use super::statistics::{Level, average_precision, levels};
use crate::blend::View;
use crate::explain::Mask;
use crate::run::{Evidence, LONGEST_EVIDENCE, Rectangle, within};

/// The longest side of the measured plane, in pixels; a larger picture is reduced to it, or to the
/// number of the mask's cells if that is larger. A mask of 32 cells then has 16 pixels per cell.
const LONGEST: usize = LONGEST_EVIDENCE;
/// Pixels by which the peak may lie outside the evidence.
const SLACK: usize = 2;

/// The location of a map relative to the evidence of its sample. The map is `1 - mask` sampled at
/// every pixel of the picture as the method samples its mask, bilinear with the corner cells on the
/// corner pixels, and rounded to f32 so that a plateau is flat. The evidence is a mask or boxes;
/// these are rounded to whole pixels and clipped to the picture, and several count as their union.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pointing {
    /// Whether the map's maximum, the first in row-major order among equal ones, lies in the
    /// evidence, with 2 pixels of slack.
    pub peak: bool,
    /// The share of the map's sum that lies in the evidence.
    pub mass: f64,
    /// The largest intersection over union of the evidence with the pixels above a threshold, over
    /// all thresholds.
    pub best_iou: f64,
    /// The area under the precision-recall curve of the pixels, ranked by the map, against the
    /// evidence, as average precision. It depends on the ranking alone.
    pub auprc: f64,
    /// The evidence's share of the picture: the mass expected by chance, and about the `auprc`.
    pub area: f64,
}

/// Measures a mask for a picture of `width` x `height` pixels with its evidence: a mask, or boxes
/// in the picture's pixels. Returns `None` if the mask keeps the whole picture, so that there is no
/// map, or if the evidence covers no pixel.
pub fn pointing<'a>(
    mask: &Mask,
    (width, height): (usize, usize),
    evidence: impl Into<Evidence<'a>>,
) -> Option<Pointing> {
    let plane = Plane::new(width, height, mask.size());
    let map = plane.map(mask);
    let inside = match evidence.into() {
        Evidence::Boxes(boxes) => plane.covered(boxes),
        Evidence::Mask(mask) => mask.pixels(plane.width, plane.height),
    };
    let covered = inside.iter().filter(|&&i| i).count();
    let total: f64 = map.iter().map(|&v| f64::from(v)).sum();
    let largest = map.iter().copied().fold(0.0, f32::max);
    if covered == 0 || largest <= 0.0 {
        return None;
    }
    let peak = map.iter().position(|&v| v == largest)?;
    let within = map.iter().zip(&inside).filter(|(_, inside)| **inside);
    let levels = levels(&map, &inside);
    Some(Pointing {
        peak: plane.is_near(&inside, peak),
        mass: within.map(|(&v, _)| f64::from(v)).sum::<f64>() / total,
        best_iou: best_iou(&levels, covered),
        auprc: average_precision(&levels)?,
        area: covered as f64 / map.len() as f64,
    })
}

/// The plane of pixels in which a map is measured.
struct Plane {
    width: usize,
    height: usize,
    /// Pixels of the plane per pixel of the picture, by column and by row.
    scale: (f64, f64),
}

impl Plane {
    fn new(width: usize, height: usize, cells: usize) -> Plane {
        let [columns, rows] = within([width, height], LONGEST.max(cells));
        let scale = |shown: usize, side: usize| shown as f64 / side.max(1) as f64;
        Plane {
            width: columns,
            height: rows,
            scale: (scale(columns, width), scale(rows, height)),
        }
    }

    fn map(&self, mask: &Mask) -> Vec<f32> {
        let view = View {
            height: self.height,
            width: self.width,
            resized_height: self.height,
            resized_width: self.width,
            offset_y: 0,
            offset_x: 0,
            unit: 1,
        };
        let saliency: Vec<f64> = mask.saliency().into_iter().map(f64::from).collect();
        let map = view.sampled(&saliency, mask.size());
        map.into_iter().map(|v| v as f32).collect()
    }

    /// Returns the pixels in the boxes.
    fn covered(&self, boxes: &[Rectangle]) -> Vec<bool> {
        let mut inside = vec![false; self.width * self.height];
        let limit = |v: f64, most: usize| v.round().clamp(0.0, most as f64) as usize;
        for &[left, top, right, bottom] in boxes {
            let columns = [left, right].map(|x| limit(x * self.scale.0, self.width));
            let rows = [top, bottom].map(|y| limit(y * self.scale.1, self.height));
            if columns[0] >= columns[1] {
                continue;
            }
            for row in rows[0]..rows[1] {
                inside[row * self.width..][columns[0]..columns[1]].fill(true);
            }
        }
        inside
    }

    /// Returns whether a pixel's corner lies within the slack of a pixel of the evidence: a pixel
    /// covers the plane from its corner to the next one.
    fn is_near(&self, inside: &[bool], pixel: usize) -> bool {
        let reach =
            |at: usize, side: usize| at.saturating_sub(SLACK + 1)..(at + SLACK + 1).min(side);
        let (row, column) = (pixel / self.width, pixel % self.width);
        reach(row, self.height).any(|row| {
            let row = &inside[row * self.width..][..self.width];
            row[reach(column, self.width)].contains(&true)
        })
    }
}

fn best_iou(levels: &[Level], covered: usize) -> f64 {
    let (mut above, mut hit, mut best) = (0, 0, 0.0_f64);
    for level in levels {
        above += level.count;
        hit += level.hits;
        best = best.max(hit as f64 / (above + covered - hit) as f64);
    }
    best
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::picture::Picture;
    use crate::run::EvidenceMask;

    /// 3 x 3 cells on 5 x 5 pixels: cells lie on every other pixel. One cell is salient: row 1,
    /// column 2, on pixel (2, 4).
    fn one_cell() -> Mask {
        let mut values = vec![1.0; 9];
        values[5] = 0.0;
        Mask::new(3, values).unwrap()
    }

    /// The map by hand: 1 at the cell, 1/2 at its three neighbours up, down and left, 1/4 at the
    /// two diagonal ones; the sum is 3.
    #[test]
    fn a_map_of_one_cell_is_as_by_hand() {
        let point = |boxes: &[Rectangle]| pointing(&one_cell(), (5, 5), boxes).unwrap();
        let found = point(&[[4.0, 2.0, 5.0, 3.0]]);
        assert_eq!(
            found,
            Pointing {
                peak: true,
                mass: 1.0 / 3.0,
                best_iou: 1.0,
                auprc: 1.0,
                area: 0.04
            }
        );
        // The right column: 1/2, 1, 1/2 and two pixels of 0. 4 pixels are above 1/2, 3 of them in
        // the box of 5.
        let found = point(&[[4.0, 0.0, 5.0, 5.0]]);
        assert_eq!((found.mass, found.best_iou), (2.0 / 3.0, 3.0 / 6.0));
        // Of the box's pixels 1 is above 1/2, 2 of 3 are at 1/2, and 2 of 19 are at 0.
        let auprc = (1.0 + 2.0 * 3.0 / 4.0 + 2.0 * 5.0 / 25.0) / 5.0;
        assert!((found.auprc - auprc).abs() < 1e-12, "{found:?}");
        // Two boxes, one given twice, and one beyond the picture.
        let found = point(&[
            [4.0, 2.0, 5.0, 3.0],
            [3.0, 2.0, 5.0, 3.0],
            [3.2, 1.9, 9.0, 3.0],
        ]);
        assert_eq!((found.mass, found.area), (0.5, 0.08));
    }

    #[test]
    fn the_peak_may_miss_a_box_by_two_pixels() {
        let mut values = vec![1.0; 81];
        values[4 * 9 + 4] = 0.0;
        let mask = Mask::new(9, values).unwrap();
        let peak = |left: f64, right: f64| {
            pointing(&mask, (9, 9), &[[left, 0.0, right, 9.0]])
                .unwrap()
                .peak
        };
        assert!(peak(6.0, 9.0) && peak(0.0, 2.0));
        assert!(!peak(7.0, 9.0) && !peak(0.0, 1.0));
    }

    #[test]
    fn what_has_no_map_or_no_box_has_no_points() {
        let whole = Mask::new(3, vec![1.0; 9]).unwrap();
        assert_eq!(pointing(&whole, (5, 5), &[[0.0, 0.0, 5.0, 5.0]]), None);
        for rectangle in [
            [7.0, 0.0, 9.0, 5.0],
            [3.0, 3.0, 3.0, 5.0],
            [4.0, 3.0, 2.0, 5.0],
            [f64::NAN, 0.0, f64::NAN, 5.0],
        ] {
            assert_eq!(
                pointing(&one_cell(), (5, 5), &[rectangle]),
                None,
                "{rectangle:?}"
            );
        }
        let none: &[Rectangle] = &[];
        assert_eq!(pointing(&one_cell(), (5, 5), none), None);
    }

    /// A mask that is white in whole pixels of a box is measured as the box, near it and far away,
    /// and in pictures that are reduced.
    #[test]
    fn a_mask_of_a_box_is_that_box() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let rounds = 60;
        for (width, height) in [(21, 13), (9, 40), (1030, 17), (8, 1024)] {
            let mut near = 0;
            for _ in 0..rounds {
                let cells = (0..49).map(|_| random.random()).collect();
                let map = Mask::new(7, cells).unwrap();
                let x = random.random_range(0..width - 3);
                let y = random.random_range(0..height - 3);
                let right = random.random_range(x + 2..width);
                let bottom = random.random_range(y + 2..height);
                let at = |i: u32| {
                    let (column, row) = (i % width, i / width);
                    (x..right).contains(&column) && (y..bottom).contains(&row)
                };
                let rgb = (0..width * height).flat_map(|i| [u8::from(at(i)) * 255; 3]);
                let drawn = Picture::from_rgb(width, height, rgb.collect()).unwrap();
                let drawn = EvidenceMask::of(&drawn, (width, height)).unwrap();
                let size = (width as usize, height as usize);
                let rectangle = [[x, y, right, bottom].map(f64::from)];
                let of_box = pointing(&map, size, &rectangle).unwrap();
                let of_mask = pointing(&map, size, &drawn).unwrap();
                assert_eq!(of_mask, of_box, "{rectangle:?} of {size:?}");
                near += u32::from(of_box.peak);
            }
            assert!((1..rounds).contains(&near), "{near} of {rounds}");
        }
    }

    #[test]
    fn maps_and_pictures_of_any_size_are_pointed_in() {
        let one = Mask::new(1, vec![0.0]).unwrap();
        let whole = [[0.0, 0.0, 1e300, 1e300]];
        for size in [(0, 0), (0, 9), (1, usize::MAX), (usize::MAX, usize::MAX)] {
            let found = pointing(&one, size, &whole).unwrap();
            assert!(found.peak && found.area == 1.0, "{size:?} {found:?}");
        }
    }

    /// A large picture is reduced: the same shares of it give nearly the same measures.
    #[test]
    fn the_size_of_the_picture_hardly_matters() {
        let mask = Mask::new(8, (0..64).map(|i| f64::from(i * 37 % 64) / 63.0).collect()).unwrap();
        let point = |w: f64, h: f64| {
            let boxes = [[0.25 * w, 0.125 * h, 0.75 * w, 0.5 * h]];
            pointing(&mask, (w as usize, h as usize), &boxes).unwrap()
        };
        let (small, large) = (point(400.0, 320.0), point(4000.0, 3200.0));
        assert!(
            (small.mass - large.mass).abs() < 5e-3,
            "{small:?} {large:?}"
        );
        assert!(
            (small.best_iou - large.best_iou).abs() < 5e-3,
            "{small:?} {large:?}"
        );
        assert!((small.area - 0.1875).abs() < 1e-9 && (large.area - 0.1875).abs() < 5e-3);
    }
}
