//! Answers that another run recorded, to be explained again.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{DataIdentity, Result, Run, RunError};

/// The answers of a run, with their key tokens, by sample. Explaining them with another model, such
/// as one with random layers, gives maps of the same tokens.
#[derive(Clone, Debug)]
pub struct RecordedAnswers {
    answers: HashMap<usize, RecordedAnswer>,
    fingerprint: String,
}

/// An answer that a run recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedAnswer {
    pub text: String,
    /// The tokens' ids in the vocabulary.
    pub ids: Vec<u32>,
    /// The positions of the key tokens.
    pub keys: Vec<usize>,
}

impl RecordedAnswers {
    /// Reads the answers of a run on the data `data`; the file's name may be another.
    ///
    /// # Errors
    /// Returns [`RunError::Data`] for a run on other data and for one that is not finished, and an
    /// error if the run cannot be read.
    pub fn read(run: &Run, data: &DataIdentity) -> Result<RecordedAnswers> {
        let recorded = DataIdentity {
            file: data.file.clone(),
            ..run.manifest().data.clone()
        };
        if recorded != *data {
            let text = |of: &DataIdentity| serde_json::to_string(of).unwrap_or_default();
            return Err(RunError::Data {
                path: run.folder().display().to_string(),
                expected: format!("a run on the data {}", text(data)),
                found: text(&recorded),
            });
        }
        let mut answers = HashMap::new();
        let mut digest = Sha256::new();
        let mut records = 0;
        for record in run.records()? {
            let record = record?;
            records += 1;
            let Some(explained) = record.explanation else {
                continue;
            };
            let tokens = &explained.answer.tokens;
            let answer = RecordedAnswer {
                ids: tokens.iter().map(|token| token.id).collect(),
                keys: (0..tokens.len()).filter(|&t| tokens[t].key).collect(),
                text: explained.answer.text,
            };
            let content = (record.index, &answer.text, &answer.ids, &answer.keys);
            digest.update(serde_json::to_vec(&content).map_err(RunError::reading(run.folder()))?);
            answers.insert(record.index, answer);
        }
        // The answers of a run that goes on would be others later.
        let samples = run.manifest().samples();
        if records != samples {
            return Err(RunError::Data {
                path: run.folder().display().to_string(),
                expected: format!("a finished run, of {samples} samples"),
                found: format!("records of {records}"),
            });
        }
        let bytes = digest.finalize();
        Ok(RecordedAnswers {
            answers,
            fingerprint: bytes[..16].iter().map(|b| format!("{b:02x}")).collect(),
        })
    }

    /// Returns a digest of all answers and their key tokens, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns the answer of a sample, if the run explained it.
    pub(super) fn of(&self, index: usize) -> Option<&RecordedAnswer> {
        self.answers.get(&index)
    }
}
