//! Nesterov's method and the line search.

use super::*;

#[test]
fn nesterovs_steps() {
    let mut nesterov = Nesterov::new(2.0, 5.0, 4);
    let first = nesterov.step(
        &Mask::new(2, vec![1.0; 4]).unwrap(),
        &[0.1, -0.1, 0.3, 0.0],
        0,
    );
    // No momentum yet: 1 - 2 g, clamped.
    assert_eq!(first.values()[..2], [0.8, 1.0]);
    let mut nesterov = Nesterov::new(2.0, 5.0, 1);
    let first = nesterov.step(&Mask::new(1, vec![1.0]).unwrap(), &[0.1], 0);
    let second = nesterov.step(&first, &[0.05], 1);
    // c_0 = 0.8, c_1 = 0.8 - 0.1 = 0.7, M = 0.7 + 1/6 (0.7 - 0.8).
    close(second.values()[0], 0.7 - 0.1 / 6.0, 1e-12, "second step");
}

#[test]
fn a_line_search_takes_the_first_step_that_falls_enough() {
    // f(m) = 50 (m - 0.5)^2 from m = 1: gradient 50, f = 12.5. A step of 0.05 or more overshoots to
    // 0, f = 12.5 again.
    let f = |masks: &[Mask]| Ok::<f64, ()>(50.0 * (masks[0].values()[0] - 0.5).powi(2));
    let mut tried = Vec::new();
    let next = line_search(
        &[Mask::new(1, vec![1.0]).unwrap()],
        &[vec![50.0]],
        1.0,
        12.5,
        |masks| {
            tried.push(masks[0].values()[0]);
            f(masks)
        },
    )
    .unwrap();
    // Steps 1, 0.2 and 0.04 reach 0, 0 and 1 - 0.04 * 50 = 0 (clamped); 0.008 reaches 0.6.
    assert_eq!(tried.len(), 4);
    close(next[0].values()[0], 0.6, 1e-12, "line search");
    // No step decreases the loss: the search ends below its smallest step.
    let stuck = line_search(
        &[Mask::new(1, vec![0.5]).unwrap()],
        &[vec![1.0]],
        1.0,
        0.0,
        |_| Ok::<f64, ()>(1.0),
    )
    .unwrap();
    assert!(stuck[0].values()[0] > 0.5 - 1e-5);
}

#[test]
fn both_optimisers_lower_the_objective() {
    let model = Quadratic::new();
    for optimizer in [OptimizerKind::Nag, OptimizerKind::LineSearch] {
        let settings = Settings {
            optimizer,
            lr: 0.5,
            iterations: 6,
            ..settings(Method::IgosPlus)
        };
        let mut losses = Vec::new();
        let method = settings.method.with(&settings);
        let mut each = |_, i: Iteration, _: &Mask| losses.push(i.deletion - i.insertion);
        method.run(&model, &[0, 1], &mut go_on, &mut each).unwrap();
        assert!(losses[5] < losses[0], "{optimizer:?}: {losses:?}");
    }
}
