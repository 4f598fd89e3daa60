//! Figures with their intervals, and contrasts with their tests.

use serde::Serialize;

use super::statistics::{Bootstrap, Estimate, Test, holm};

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The name of the measure; the definitions explain it.
    pub name: &'static str,
    /// The group of samples: `all`, `right`, `wrong`, or a model.
    pub group: String,
    /// Number of samples.
    pub n: usize,
    /// Its value.
    pub value: f64,
    /// Its bootstrap interval; `None` for fewer than two samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// A comparison of two groups, or of two models on the same samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// The name of the measure.
    pub name: &'static str,
    /// The two groups.
    pub groups: [String; 2],
    /// Number of samples of each. For pairs, both are the number of pairs.
    pub n: [usize; 2],
    /// The mean, or share, of each.
    pub values: [f64; 2],
    /// The first value minus the second.
    pub difference: f64,
    /// The bootstrap interval of the difference; `None` for fewer than two samples on a side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The test.
    #[serde(flatten)]
    pub test: Test,
    /// The p-value, corrected for all contrasts of the analysis by Holm's method.
    pub p_holm: f64,
}

/// A figure or contrast that cannot be computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// The name of the measure.
    pub name: &'static str,
    /// The group of samples.
    pub group: String,
    /// The reason.
    pub reason: String,
}

/// All figures of an analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The figures.
    pub figures: Vec<Figure>,
    /// The contrasts.
    pub contrasts: Vec<Contrast>,
    /// Figures and contrasts that were left out.
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

    /// Adds the mean of `values`, or the reason why there is none.
    pub(super) fn mean(
        &mut self,
        plan: &Bootstrap,
        name: &'static str,
        group: &str,
        values: &[f64],
        lacking: &str,
    ) {
        if values.is_empty() {
            self.leave_out(name, group, lacking);
        } else {
            self.add(name, group, values.len(), plan.mean(values));
        }
    }

    /// Adds a contrast of two non-empty groups.
    pub(super) fn two_groups(
        &mut self,
        plan: &Bootstrap,
        sides: Sides,
        a: &[f64],
        b: &[f64],
        test: Test,
    ) {
        self.contrast(sides, a, b, plan.difference(a, b), test);
    }

    /// Adds a contrast of at least one pair.
    pub(super) fn pairs(
        &mut self,
        plan: &Bootstrap,
        sides: Sides,
        a: &[f64],
        b: &[f64],
        test: Test,
    ) {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        self.contrast(sides, a, b, plan.mean(&differences), test);
    }

    fn contrast(
        &mut self,
        Sides { name, groups }: Sides,
        a: &[f64],
        b: &[f64],
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

    /// Corrects the p-values for the number of contrasts. Called last.
    pub(super) fn correct(&mut self) {
        let p: Vec<f64> = self.contrasts.iter().map(|c| c.test.p).collect();
        for (contrast, corrected) in self.contrasts.iter_mut().zip(holm(&p)) {
            contrast.p_holm = corrected;
        }
    }
}
