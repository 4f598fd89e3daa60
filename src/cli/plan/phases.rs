//! The stages of an explanation as batches, and their cost.

use serde::Serialize;

use crate::explain::{Pass, Schedule, Settings, Stage, curves_schedule, faithfulness_schedule};
use crate::lvlm::{BatchPlan, Estimator, Parts, Result, Tally};
use crate::nn::Checkpointing;

/// The inputs of the phases.
pub(super) struct Work<'a> {
    pub estimator: &'a dyn Estimator,
    /// The key tokens.
    pub keys: &'a [usize],
    pub settings: &'a Settings,
    /// Memory budget of activations in bytes.
    pub budget: usize,
}

/// Operations and bytes per second.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub operations: f64,
    pub bytes: f64,
}

/// One stage of an explanation.
#[derive(Serialize)]
pub(super) struct Phase {
    pub stage: Stage,
    /// Pictures evaluated by the model, without the answer's generation.
    pub evaluations: usize,
    pub batches: usize,
    /// Blends in the largest batch.
    pub batch: usize,
    /// The activations that the forward pass keeps for a gradient: all, or only the inputs of
    /// blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<&'static str>,
    /// Bytes of activations in the largest batch.
    pub memory: usize,
    #[serde(flatten)]
    pub cost: Tally,
    /// Seconds: for each batch (and token), the longer of its operations' time and its bytes' time.
    pub seconds: f64,
}

impl Work<'_> {
    /// Returns the schedule of the method.
    pub fn schedule(&self) -> Schedule {
        self.settings.method.with(self.settings).schedule(1)
    }

    pub fn plan(&self, blends: usize, tokens: &[usize], gradient: bool) -> Result<BatchPlan> {
        self.estimator.plan(blends, tokens, gradient, self.budget)
    }
}

impl Phase {
    fn new(stage: Stage) -> Phase {
        Phase {
            stage,
            evaluations: 0,
            batches: 0,
            batch: 0,
            keep: None,
            memory: 0,
            cost: Tally::default(),
            seconds: 0.0,
        }
    }

    /// Adds work that is done `times` times, at `rates`.
    fn add(&mut self, cost: Parts<Tally>, times: usize, rates: Rates) {
        let cost = cost.total();
        let seconds = (cost.operations / rates.operations).max(cost.bytes / rates.bytes);
        self.cost += cost * times;
        self.seconds += seconds * times as f64;
    }

    /// Adds a pass that scores `tokens`.
    fn pass(&mut self, work: &Work, pass: Pass, tokens: &[usize], rates: Rates) -> Result<()> {
        let Pass {
            blends,
            gradient,
            calls,
        } = pass;
        if blends == 0 || calls == 0 {
            return Ok(());
        }
        let plan = work.plan(blends, tokens, gradient)?;
        let (whole, rest) = (blends / plan.batch, blends % plan.batch);
        let batch = |blends| work.estimator.batch(blends, tokens, plan.checkpointing);
        self.add(batch(plan.batch)?, whole * calls, rates);
        if rest > 0 {
            self.add(batch(rest)?, calls, rates);
        }
        self.evaluations += blends * calls;
        self.batches += (whole + usize::from(rest > 0)) * calls;
        self.batch = self.batch.max(plan.batch);
        self.memory = self.memory.max(plan.bytes);
        if gradient {
            self.keep = Some(if plan.checkpointing == Checkpointing::Everything {
                "everything"
            } else {
                "inputs"
            });
        }
        Ok(())
    }
}

/// Returns every stage of an explanation with a greedy answer of `answer` tokens, at `rates`.
///
/// For a method whose number of calls is not known in advance, the minimum is counted.
pub(super) fn phases(work: &Work, answer: usize, rates: Rates) -> Result<Vec<Phase>> {
    let (estimator, settings) = (work.estimator, work.settings);
    let mut prepare = Phase::new(Stage::Prepare);
    prepare.add(estimator.prefix()?, 1, rates);

    let mut greedy = Phase::new(Stage::Answer);
    greedy.add(estimator.read_prompt()?, 1, rates);
    greedy.add(estimator.choose_token()?, answer + 1, rates);
    for token in 0..answer {
        greedy.add(estimator.read_token(token)?, 1, rates);
    }

    let mut select = Phase::new(Stage::Select);
    let all: Vec<usize> = (0..answer).collect();
    let both = Pass {
        blends: 2,
        gradient: false,
        calls: 1,
    };
    select.pass(work, both, &all, rates)?;

    let mut optimise = Phase::new(Stage::Optimise);
    for pass in work.schedule().passes {
        optimise.pass(work, pass, work.keys, rates)?;
    }

    let mut all = vec![prepare, greedy, select, optimise];
    let cells = settings.mask_size.pow(2);
    if settings.curves {
        let mut curves = Phase::new(Stage::Curves);
        for pass in curves_schedule(cells, settings.curve_points).passes {
            curves.pass(work, pass, work.keys, rates)?;
        }
        all.push(curves);
    }
    let points = settings.curves.then_some(settings.curve_points);
    let mut faithfulness = Phase::new(Stage::Faithfulness);
    for pass in faithfulness_schedule(cells, points).passes {
        faithfulness.pass(work, pass, work.keys, rates)?;
    }
    all.push(faithfulness);
    // As if every key token were a word of its own. One alone has the answer's map.
    if settings.each.is_some() && work.keys.len() > 1 {
        let mut each = Phase::new(Stage::Each);
        for key in work.keys.chunks(1) {
            for pass in work.schedule().passes {
                each.pass(work, pass, key, rates)?;
            }
        }
        all.push(each);
    }
    Ok(all)
}
