//! The chat template, which makes a prompt from a question and pictures.

use super::guard::{TURNS, guarded};
use super::jinja;
use super::special::SpecialTokens;
use super::template_file::find;
use super::{CheckpointError, Files, Tokenizer};
use serde_json::{Value, json};

/// The template that a family's models were trained with, for checkpoints that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultTemplate {
    /// The models that the template is from.
    pub name: &'static str,
    /// The template, in Jinja.
    pub text: &'static str,
}

/// The source of a model family's template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The checkpoint's own, or this one if it has none.
    Default(DefaultTemplate),
    /// Always this one: the authors' program does not use the checkpoint's.
    Fixed(DefaultTemplate),
}

/// LLaVA-1.5's template: Vicuna's, as in the original LLaVA's `conv_vicuna_v1`.
pub const VICUNA: DefaultTemplate = DefaultTemplate {
    name: "LLaVA-1.5",
    text: "A chat between a curious human and an artificial intelligence assistant. The assistant \
           gives helpful, detailed, and polite answers to the human's questions. USER: \
           {% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}\
           {{ image_token + '\n' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %} ASSISTANT:",
};
/// Placeholder for the question while the text around it is determined. The characters are of
/// Unicode's private use, so no ordinary text contains them.
const QUESTION: &str = "\u{F0000}\u{F0002}\u{F0000}";
/// Maximum number of characters shown of a template's error message.
const REASON: usize = 300;

/// A checkpoint's chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    template: jinja::Template,
    source: String,
    special: SpecialTokens,
    /// The token that the template writes in the picture's place.
    picture_mark: String,
}

/// A prompt, split around the question; the rest is the template's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The template's text before the question.
    pub before: String,
    /// The question as the template writes it, trimmed for example.
    pub question: String,
    /// The template's text after the question.
    pub after: String,
    /// The source of the template, for messages.
    pub source: String,
}

impl Rendered {
    /// Returns the whole prompt.
    pub fn text(&self) -> String {
        [self.before.as_str(), &self.question, &self.after].concat()
    }
}

/// The type of a message's content: a list of parts in current templates, a text in older ones.
#[derive(Clone, Copy)]
enum Content {
    Parts,
    Text,
}

impl ChatTemplate {
    /// Loads the template that `template_file` finds, else the family's.
    ///
    /// # Errors
    /// Those of [`Files::text`], and [`CheckpointError::Template`] if it is not a valid template.
    pub fn load(
        files: &Files,
        tokenizer: &Tokenizer,
        template: Template,
    ) -> Result<Self, CheckpointError> {
        let (found, default) = match template {
            Template::Default(default) => (find(files)?, default),
            Template::Fixed(default) => (None, default),
        };
        let mut special = tokenizer.special().clone();
        let (text, source) = match found {
            Some((text, file)) => (text, files.path(file)),
            None => {
                special.set("image_token", tokenizer.image_token());
                let source = format!("built in ({})", default.name);
                (default.text.to_string(), source)
            }
        };
        let read = guarded(TURNS, move || jinja::Template::new(&text));
        let template = read.map_err(|reason| template_error(&source, reason))?;
        let template = template.map_err(|error| template_error(&source, error.to_string()))?;
        let picture_mark = tokenizer.picture_mark().to_string();
        Ok(Self {
            template,
            source,
            special,
            picture_mark,
        })
    }

    /// Returns the source of the template: a file, or the program itself.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders the prompt that asks `question` about `pictures` pictures, which stand before it, up
    /// to the start of the answer.
    ///
    /// # Errors
    /// [`CheckpointError::Template`] if the template fails, does not write the question exactly
    /// once, or writes different text around different questions.
    pub fn render(&self, question: &str, pictures: usize) -> Result<Rendered, CheckpointError> {
        let (content, frame) = self.frame(pictures)?;
        let Some((before, after)) = frame.split_once(QUESTION) else {
            return Err(self.error("does not write the question"));
        };
        if after.contains(QUESTION) {
            return Err(self.error("writes the question more than once"));
        }
        let text = self
            .write(content, question, pictures)
            .map_err(|reason| self.error(&reason))?;
        let middle = text
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        let middle = middle.ok_or_else(|| {
            self.error("writes something else around this question than around others")
        })?;
        Ok(Rendered {
            before: before.to_string(),
            question: middle.to_string(),
            after: after.to_string(),
            source: self.source.clone(),
        })
    }

    /// Renders the prompt with the placeholder as question, with the first type of content for
    /// which the template places the images.
    fn frame(&self, pictures: usize) -> Result<(Content, String), CheckpointError> {
        let parts = self.write(Content::Parts, QUESTION, pictures);
        if let Ok(text) = &parts
            && text.contains(&self.picture_mark)
        {
            return Ok((Content::Parts, text.clone()));
        }
        match (self.write(Content::Text, QUESTION, pictures), parts) {
            (Ok(text), _) => Ok((Content::Text, text)),
            (Err(_), Ok(text)) => Ok((Content::Parts, text)),
            (Err(_), Err(reason)) => Err(self.error(&reason)),
        }
    }

    fn write(&self, content: Content, question: &str, pictures: usize) -> Result<String, String> {
        let content = match content {
            Content::Parts => {
                let mut parts = vec![json!({ "type": "image" }); pictures];
                parts.push(json!({ "type": "text", "text": question }));
                Value::Array(parts)
            }
            Content::Text => {
                let marks = format!("{}\n", self.picture_mark).repeat(pictures);
                json!(marks + question)
            }
        };
        let names = json!({
            "messages": [{ "role": "user", "content": content }],
            "add_generation_prompt": true,
            "tools": null,
            "documents": null,
        });
        let Value::Object(mut names) = names else {
            return Err("no names".to_string());
        };
        for (name, text) in self.special.iter() {
            names.entry(name).or_insert_with(|| json!(text));
        }
        let template = self.template.clone();
        guarded(TURNS, move || template.render(&names))?.map_err(|error| error.to_string())
    }

    fn error(&self, reason: &str) -> CheckpointError {
        template_error(&self.source, reason.to_string())
    }
}

/// Creates the error, on one line and of limited length; a template's own message can be anything.
fn template_error(source: &str, reason: String) -> CheckpointError {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut reason: String = line.chars().take(REASON).collect();
    if reason.len() < line.len() {
        reason.push('\u{2026}');
    }
    CheckpointError::Template {
        file: source.to_string(),
        reason,
    }
}
