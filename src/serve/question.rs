//! A question as the page sends it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::program::Given;
use super::refusal::Refusal;

/// A question about a picture that was sent before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The picture's number.
    pub picture: u64,
    pub question: String,
    /// An answer to explain instead of the model's own.
    #[serde(default)]
    pub answer: Option<String>,
    /// Tokens of the answer to explain instead of the selected ones.
    #[serde(default)]
    pub keys: Option<Vec<usize>>,
    /// Options by name: a string, a number, or `true` for one that takes no value; `false` and
    /// `null` leave it out.
    #[serde(default)]
    settings: Map<String, Value>,
}

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    /// 400 for what is no JSON or no such object.
    pub fn read(bytes: &[u8]) -> Result<Question, Refusal> {
        let read = serde_json::from_slice(bytes);
        read.map_err(|error| Refusal::bad(format!("expected a question as JSON: {error}")))
    }

    /// Returns the options.
    ///
    /// # Errors
    /// 400 for a list or an object.
    pub fn options(&self) -> Result<Vec<Given>, Refusal> {
        let options = self.settings.iter().filter_map(|(name, value)| {
            let value = match value {
                Value::Null | Value::Bool(false) => return None,
                Value::Bool(true) => None,
                Value::Number(number) => Some(number.to_string()),
                Value::String(text) => Some(text.clone()),
                found => {
                    return Some(Err(Refusal::bad(format!(
                        "{name}: expected a string, a number or true, found {found}"
                    ))));
                }
            };
            Some(Ok((name.clone(), value)))
        });
        options.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_strings_numbers_and_switches() {
        let text = r#"{"picture": 1, "question": "?", "settings":
            {"method": "igos+", "steps": 3, "l1": 0.5, "no-curves": true,
             "each": false, "lr": null}}"#;
        let question = Question::read(text.as_bytes()).unwrap();
        let given = |name: &str, value: Option<&str>| (name.into(), value.map(String::from));
        assert_eq!(
            question.options().unwrap(),
            [
                given("method", Some("igos+")),
                given("steps", Some("3")),
                given("l1", Some("0.5")),
                given("no-curves", None),
            ]
        );
        let listed = r#"{"picture": 1, "question": "?", "settings": {"steps": [3]}}"#;
        let refused = Question::read(listed.as_bytes()).unwrap().options();
        assert!(refused.unwrap_err().message.starts_with("steps: expected"));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"picture": -1, "question": "?"}"#,
            r#"{"picture": 1}"#,
            r#"{"picture": 1, "question": "?", "keys": [-1]}"#,
            r#"{"picture": 1, "question": "?", "key": [1]}"#,
        ] {
            let refused = Question::read(text.as_bytes()).unwrap_err();
            assert_eq!(refused.status, 400, "{text}");
        }
    }
}
