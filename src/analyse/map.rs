//! Measures of one map, and of the agreement of two maps.

use serde::Serialize;

use super::statistics::spearman;
use crate::blend::View;
use crate::explain::Mask;

/// The share of the saliency that the focus area holds.
const FOCUS: f64 = 0.5;

/// Returns the mean saliency: the share of the picture that the mask removes.
pub fn mean_saliency(mask: &Mask) -> f64 {
    let mask = mask.over_picture();
    let taken: f64 = mask.values().iter().map(|v| 1.0 - v).sum();
    taken / mask.values().len() as f64
}

/// Returns the smallest share of the mask's cells that holds half of the saliency; all cells have
/// equal weight. A small value is a sharp focus; a uniform map has 1/2. Returns `None` if the mask
/// keeps the whole picture.
pub fn focus_area(mask: &Mask) -> Option<f64> {
    let mask = mask.over_picture();
    let mut saliency: Vec<f64> = mask.values().iter().map(|v| 1.0 - v).collect();
    saliency.sort_by(|a, b| b.total_cmp(a));
    let half = FOCUS * saliency.iter().sum::<f64>();
    if half <= 0.0 {
        return None;
    }
    let mut held = 0.0;
    let cells = saliency.iter().take_while(|&&v| {
        let more = held < half;
        held += v;
        more
    });
    Some(cells.count() as f64 / mask.values().len() as f64)
}

/// The agreement of two maps of the same picture, or of the same pictures. If their sizes differ,
/// the larger is sampled at the cells of the smaller, bilinear with the corner cells on the corners,
/// and rounded to f32 so that a plateau stays flat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Spearman's rank correlation of the cells, ties averaged; `None` if a map is constant.
    pub rank_correlation: Option<f64>,
    /// Intersection over union of the most salient share of cells of each map; among equal cells at
    /// the threshold, the first in row-major order are taken.
    pub top_iou: f64,
}

/// Returns the agreement of two maps, with `top` the share of cells of the second measure; at least
/// one cell is taken. Maps of different numbers of pictures do not agree at all.
pub fn agreement(a: &Mask, b: &Mask, top: f64) -> Agreement {
    if a.pictures() != b.pictures() {
        return Agreement {
            rank_correlation: None,
            top_iou: 0.0,
        };
    }
    let (a, b) = (a.over_picture(), b.over_picture());
    let (a, b) = (at_cells_of(&a, &b), at_cells_of(&b, &a));
    let (first, second) = (top_cells(&a, top), top_cells(&b, top));
    let both = first
        .iter()
        .zip(&second)
        .filter(|(a, b)| **a && **b)
        .count();
    let either = first
        .iter()
        .zip(&second)
        .filter(|(a, b)| **a || **b)
        .count();
    Agreement {
        rank_correlation: spearman(a.values(), b.values()),
        top_iou: both as f64 / either as f64,
    }
}

/// Returns the expected intersection over union of two independent shares of `top`: `top / (2 -
/// top)`.
pub fn chance_iou(top: f64) -> f64 {
    top / (2.0 - top)
}

/// Samples a mask at the cells of another, if that has fewer.
fn at_cells_of(mask: &Mask, other: &Mask) -> Mask {
    let size = other.size();
    if mask.size() <= size {
        return mask.clone();
    }
    let view = View {
        height: size,
        width: size,
        resized_height: size,
        resized_width: size,
        offset_y: 0,
        offset_x: 0,
        unit: 1,
    };
    let pictures = mask.split().into_iter();
    let values: Vec<f64> = pictures
        .flat_map(|picture| view.sampled(picture.values(), picture.size()))
        .collect();
    other.mapped(|cell, _| f64::from(values[cell] as f32))
}

fn top_cells(mask: &Mask, share: f64) -> Vec<bool> {
    let cells = mask.values().len();
    let count = ((share * cells as f64).round() as usize).clamp(1, cells);
    let mut top = vec![false; cells];
    for cell in mask.ascending().into_iter().take(count) {
        top[cell] = true;
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(size: usize, saliency: &[f64]) -> Mask {
        Mask::new(size, saliency.iter().map(|v| 1.0 - v).collect()).unwrap()
    }

    #[test]
    fn focus_is_the_smallest_share_that_holds_half() {
        let of = |saliency: &[f64]| focus_area(&mask(2, saliency));
        assert_eq!(of(&[0.0, 0.0, 0.75, 0.0]), Some(0.25));
        assert_eq!(of(&[0.5, 0.5, 0.5, 0.5]), Some(0.5));
        // 0.5 of 1.25 is less than half; 0.5 + 0.25 is more.
        assert_eq!(of(&[0.25, 0.25, 0.5, 0.25]), Some(0.5));
        assert_eq!(of(&[0.0; 4]), None);
        assert_eq!(mean_saliency(&mask(2, &[0.25, 0.25, 0.5, 0.0])), 0.25);
    }

    #[test]
    fn agreement_is_as_by_hand() {
        let a = mask(2, &[1.0, 0.75, 0.5, 0.25]);
        let with = |b: &[f64], top| agreement(&a, &mask(2, b), top);
        let same = with(&[0.4, 0.3, 0.2, 0.1], 0.5);
        assert_eq!((same.rank_correlation, same.top_iou), (Some(1.0), 1.0));
        let reverse = with(&[0.1, 0.2, 0.3, 0.4], 0.5);
        assert_eq!(
            (reverse.rank_correlation, reverse.top_iou),
            (Some(-1.0), 0.0)
        );
        // Ranks 4 3 2 1 against 4 2 3 1: 1 - 6 * 2 / (4 * 15) = 0.8. The halves share one cell of
        // three.
        let near = with(&[0.4, 0.2, 0.3, 0.1], 0.5);
        assert!((near.rank_correlation.unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(near.top_iou, 1.0 / 3.0);
        // All equal: no correlation, and the map's first cells are taken.
        let flat = with(&[0.5; 4], 0.5);
        assert_eq!((flat.rank_correlation, flat.top_iou), (None, 1.0));
        assert_eq!(with(&[0.0, 0.0, 0.0, 0.5], 1e-9).top_iou, 0.0);
    }

    #[test]
    fn one_cell_agrees_with_any_map() {
        let (one, two) = (mask(1, &[0.5]), mask(2, &[1.0, 0.75, 0.5, 0.25]));
        for top in [0.5, f64::NAN, -1.0, f64::INFINITY] {
            let found = agreement(&one, &two, top);
            assert_eq!(
                (found.rank_correlation, found.top_iou),
                (None, 1.0),
                "{top}"
            );
        }
    }

    /// A plane sloping from corner to corner is the same plane at every size.
    #[test]
    fn maps_of_different_sizes_meet_at_the_smaller() {
        let plane = |size: usize| {
            let at = |i: usize| i as f64 / (size - 1) as f64;
            let cells = (0..size * size).map(|c| 0.25 * at(c / size) + 0.7 * at(c % size));
            mask(size, &cells.collect::<Vec<_>>())
        };
        let found = agreement(&plane(9), &plane(5), 0.2);
        assert!(found.rank_correlation.unwrap() > 1.0 - 1e-9, "{found:?}");
        assert_eq!(found.top_iou, 1.0);
        assert_eq!(agreement(&plane(5), &plane(9), 0.2), found);
        // Of two pictures, each by itself.
        let two = |size: usize| {
            let plane = plane(size);
            let other = plane.values().iter().rev().map(|v| 0.5 * v);
            let values = plane.values().iter().copied().chain(other);
            Mask::of_pictures(size, 2, values.collect()).unwrap()
        };
        let found = agreement(&two(9), &two(5), 0.2);
        // Cells of both that are equal may be rounded otherwise.
        assert!(found.rank_correlation.unwrap() > 0.999, "{found:?}");
        let none = agreement(&two(9), &plane(5), 0.2);
        assert_eq!((none.rank_correlation, none.top_iou), (None, 0.0));
    }

    #[test]
    fn independent_tops_meet_as_often_as_chance_says() {
        // Of 0.1: 0.01 in both, 0.19 in either.
        assert!((chance_iou(0.1) - 0.01 / 0.19).abs() < 1e-12);
    }
}
