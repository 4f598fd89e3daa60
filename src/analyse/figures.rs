//! Figures with their intervals, and contrasts with their tests.

use serde::Serialize;

use super::statistics::{Bootstrap, Estimate, Test, holm};

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it measures; the definitions say how.
    pub name: &'static str,
    /// Of which samples: `all`, `right`, `wrong`, or a model.
    pub group: String,
    /// Samples that it is made of.
    pub n: usize,
    /// Its value.
    pub value: f64,
    /// Its bootstrap interval; fewer than two samples have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// Two groups, or two models on the same samples, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// What is compared.
    pub name: &'static str,
    /// The two groups.
    pub groups: [String; 2],
    /// Samples of each. Pairs have twice the same number.
    pub n: [usize; 2],
    /// The mean, or share, of each.
    pub values: [f64; 2],
    /// The first less the second.
    pub difference: f64,
    /// The difference's bootstrap interval; fewer than two samples on a side have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The test.
    #[serde(flatten)]
    pub test: Test,
    /// The p-value corrected for all contrasts of the analysis by Holm's method.
    pub p_holm: f64,
}

/// What could not be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// What it would measure.
    pub name: &'static str,
    /// Of which samples.
    pub group: String,
    /// Why not.
    pub reason: String,
}

/// All figures of an analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The figures.
    pub figures: Vec<Figure>,
    /// The contrasts.
    pub contrasts: Vec<Contrast>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// The two sides of a contrast.
pub(super) struct Sides {
    pub name: &'static str,
    pub groups: [String; 2],
}

impl Figures {
    pub(super) fn leave_out(&mut self, name: &'static str, group: &str, reason: &str) {
        self.left_out.push(LeftOut {
            name,
            group: group.to_string(),
            reason: reason.to_string(),
        });
    }

    /// Adds an estimate of `n` samples.
    pub(super) fn add(&mut self, name: &'static str, group: &str, n: usize, estimate: Estimate) {
        self.figures.push(Figure {
            name,
            group: group.to_string(),
            n,
            value: estimate.value,
            interval: estimate.interval,
        });
    }

    /// Adds the mean of `values`, or why there is none.
    pub(super) fn mean(
        &mut self,
        plan: &Bootstrap,
        (name, group): (&'static str, &str),
        values: &[f64],
        lacking: &str,
    ) {
        if values.is_empty() {
            self.leave_out(name, group, lacking);
        } else {
            self.add(name, group, values.len(), plan.mean(values));
        }
    }

    /// Adds a contrast of two groups, neither empty.
    pub(super) fn two_groups(
        &mut self,
        plan: &Bootstrap,
        sides: Sides,
        (a, b): (&[f64], &[f64]),
        test: Test,
    ) {
        self.contrast(sides, (a, b), plan.difference(a, b), test);
    }

    /// Adds a contrast of pairs, at least one.
    pub(super) fn pairs(
        &mut self,
        plan: &Bootstrap,
        sides: Sides,
        (a, b): (&[f64], &[f64]),
        test: Test,
    ) {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        self.contrast(sides, (a, b), plan.mean(&differences), test);
    }

    fn contrast(
        &mut self,
        Sides { name, groups }: Sides,
        (a, b): (&[f64], &[f64]),
        estimate: Estimate,
        test: Test,
    ) {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        self.contrasts.push(Contrast {
            name,
            groups,
            n: [a.len(), b.len()],
            values: [mean(a), mean(b)],
            difference: estimate.value,
            interval: estimate.interval,
            p_holm: test.p,
            test,
        });
    }

    /// Corrects the p-values for the number of contrasts; the last step.
    pub(super) fn correct(&mut self) {
        let p: Vec<f64> = self.contrasts.iter().map(|c| c.test.p).collect();
        for (contrast, corrected) in self.contrasts.iter_mut().zip(holm(&p)) {
            contrast.p_holm = corrected;
        }
    }
}
