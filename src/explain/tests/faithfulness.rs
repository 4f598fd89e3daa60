//! The answer without and with only the most salient cells.

use super::*;
use crate::explain::faithfulness::faithfulness;
use crate::explain::ranking::Ranking;

/// `log p = -(sum of the hidden cells' weights / 16)^2`, with the weights of a made-up map of 16 x
/// 16 cells: the first `cells` by row are evidence, of one weight.
fn evidence(cells: usize) -> (Quadratic, Mask) {
    let weight = |cell: usize| {
        if cell < cells {
            32.0 / cells as f64
        } else {
            0.0
        }
    };
    let weights: Vec<f64> = (0..256).map(weight).collect();
    let mask = Mask::new(16, weights.iter().map(|w| f64::from(*w == 0.0)).collect());
    let model = Quadratic {
        weights: vec![weights],
        ..Quadratic::new()
    };
    (model, mask.unwrap())
}

/// With a share s of the evidence hidden, log p = -(2 s)^2, and an answer is kept while that is at
/// least -ln 2: s at most 0.416.
#[test]
fn an_eighth_and_the_smallest_region_are_as_by_hand() {
    for (cells, revealed, kept, flipped) in [
        // All of the evidence is in the first eighth, 32 cells.
        (20, 1.0, true, true),
        // Half of it: neither the half that is revealed keeps the answer, nor the half that stays.
        (64, (-1.0f64).exp(), false, true),
        // A fifth is too little to show, and too little to miss.
        (160, (-2.56f64).exp(), false, false),
    ] {
        let (model, mask) = evidence(cells);
        let ends = [vec![0.0], vec![-4.0]];
        let curves = deletion_insertion(
            &model,
            &mask,
            &[0],
            (&ends[0], &ends[1]),
            CurvePoints::All,
            &mut go_on,
        );
        let curves = curves.unwrap();
        // The first point of the curve that keeps the answer, of groups of five cells.
        let first = curves.insertion.iter().position(|p| *p >= 0.5).unwrap();
        assert_eq!(
            first * 5,
            (cells as f64 * (1.0 - 0.416_28)).ceil() as usize / 5 * 5 + 5
        );

        for with_curves in [false, true] {
            let mut ranking = Ranking::new(&model, &mask, &[0], &ends[0], &ends[1]);
            if with_curves {
                let points = CurvePoints::Adaptive;
                crate::explain::curves::curves(&mut ranking, points, &mut go_on).unwrap();
            }
            let found = faithfulness(&mut ranking, &mut go_on).unwrap();
            assert_eq!((found.kept, found.flipped), (kept, flipped), "{cells}");
            assert_eq!(found.fraction, 0.125);
            close(found.revealed, revealed, 1e-9, "revealed");
            assert_eq!(found.region.cells, 5 * first, "{cells}");
            assert_eq!(found.region.probability, curves.insertion[first]);
            let removed = found.region.mask(&mask);
            let kept = removed.values().iter().map(|v| *v == 0.0);
            assert!(
                kept.enumerate()
                    .all(|(cell, out)| out == (cell < 5 * first))
            );
        }
    }
}

/// A part keeps the answer if each key token is half as probable as with the picture; without any
/// part, where the baseline does.
#[test]
fn every_key_token_counts_and_a_baseline_may_be_enough() {
    let (mut model, mask) = evidence(20);
    model.weights.push(vec![1.0; 256]);
    let ends = [vec![0.0, 0.0], vec![-4.0, -256.0]];
    let mut ranking = Ranking::new(&model, &mask, &[0, 1], &ends[0], &ends[1]);
    let found = faithfulness(&mut ranking, &mut go_on).unwrap();
    assert!(!found.kept && found.flipped);
    assert!(found.region.cells > 230, "{found:?}");

    let (model, mask) = evidence(20);
    let mut ranking = Ranking::new(&model, &mask, &[0], &[-4.1], &[-4.0]);
    let found = faithfulness(&mut ranking, &mut go_on).unwrap();
    assert_eq!(found.region.cells, 0);
    assert_eq!(found.region.fraction, 0.0);
}
