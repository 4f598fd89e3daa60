//! The chat template: how a question and a picture become a prompt.

use super::special::SpecialTokens;
use super::template_file::find;
use super::{CheckpointError, Files, Tokenizer};
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};
use std::collections::BTreeMap;

/// What a family's models were trained with, for checkpoints that have no template of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultTemplate {
    /// Whose it is.
    pub name: &'static str,
    /// The template, in Jinja.
    pub text: &'static str,
}

/// Where a family's models have their template from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The checkpoint's own, this one where it has none.
    Default(DefaultTemplate),
    /// Always this one: the authors' program does not look at the checkpoint's.
    Fixed(DefaultTemplate),
}

/// LLaVA-1.5's: Vicuna's, as in the original LLaVA's `conv_vicuna_v1`.
pub const VICUNA: DefaultTemplate = DefaultTemplate {
    name: "LLaVA-1.5",
    text: "A chat between a curious human and an artificial intelligence assistant. The assistant gives \
    helpful, detailed, and polite answers to the human's questions. USER: {% for part in messages[0]['content'] %}\
    {% if part['type'] == 'image' %}{{ image_token + '\n' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %} ASSISTANT:",
};
/// Stands for the question while the text around it is found out. No text contains these characters: they are of
/// Unicode's private use.
const QUESTION: &str = "\u{F0000}\u{F0002}\u{F0000}";
/// The name of the only template in its environment; without an extension, so that nothing is escaped.
const NAME: &str = "chat";

/// A checkpoint's chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    special: SpecialTokens,
    image_token: String,
}

/// A prompt, cut around the question: what stands before and after is the template's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The template's text before the question.
    pub before: String,
    /// The question as the template writes it, trimmed for example.
    pub question: String,
    /// The template's text after the question.
    pub after: String,
    /// Where the template is from, for messages.
    pub source: String,
}

impl Rendered {
    /// The whole prompt.
    pub fn text(&self) -> String {
        [self.before.as_str(), &self.question, &self.after].concat()
    }
}

/// What a message's content is: current templates take a list of parts, older ones a text.
#[derive(Clone, Copy)]
enum Content {
    Parts,
    Text,
}

/// Instructions that a template may take: far more than any real one, so that none hangs.
const FUEL: u64 = 1_000_000;

impl ChatTemplate {
    /// Reads the template that `template_file` finds, else the family's.
    ///
    /// # Errors
    /// Those of [`Files::text`], and [`CheckpointError::Template`] when it is not a template.
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
        let mut environment = Environment::new();
        let syntax = environment
            .syntax()
            .to_builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| template_error(&source, &error))?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |reason: String| -> Result<String, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, reason))
            },
        );
        // No strftime_now: a prompt that holds today's date would not be the same tomorrow. Templates that ask for it
        // fall back to a date of their own.
        environment.set_fuel(Some(FUEL));
        environment
            .add_template_owned(NAME, without_generation(&text))
            .map_err(|error| template_error(&source, &error))?;
        let image_token = tokenizer.image_token().to_string();
        Ok(Self {
            environment,
            source,
            special,
            image_token,
        })
    }

    /// Where the template is from: a file, or the program itself.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The prompt that asks `question` about one picture, up to where the answer begins.
    ///
    /// # Errors
    /// [`CheckpointError::Template`] when the template fails, writes the question not exactly once, or writes something
    /// else around one question than around another.
    pub fn render(&self, question: &str) -> Result<Rendered, CheckpointError> {
        let (content, frame) = self.frame()?;
        let Some((before, after)) = frame.split_once(QUESTION) else {
            return Err(self.error("does not write the question"));
        };
        if after.contains(QUESTION) {
            return Err(self.error("writes the question more than once"));
        }
        let text = self
            .write(content, question)
            .map_err(|error| template_error(&self.source, &error))?;
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

    /// The prompt with the mark in place of the question, by the first kind of content for which the template places the
    /// image.
    fn frame(&self) -> Result<(Content, String), CheckpointError> {
        let parts = self.write(Content::Parts, QUESTION);
        if let Ok(text) = &parts
            && text.contains(&self.image_token)
        {
            return Ok((Content::Parts, text.clone()));
        }
        match (self.write(Content::Text, QUESTION), parts) {
            (Ok(text), _) => Ok((Content::Text, text)),
            (Err(_), Ok(text)) => Ok((Content::Parts, text)),
            (Err(_), Err(error)) => Err(template_error(&self.source, &error)),
        }
    }

    fn write(&self, content: Content, question: &str) -> Result<String, Error> {
        let content = match content {
            Content::Parts => Value::from(vec![
                context! { type => "image" },
                context! { type => "text", text => question },
            ]),
            Content::Text => Value::from(format!("{}\n{question}", self.image_token)),
        };
        let tokens: BTreeMap<String, Value> = self
            .special
            .iter()
            .map(|(name, text)| (name.to_string(), text.into()))
            .collect();
        let names = context! {
            messages => vec![context! { role => "user", content => content }],
            add_generation_prompt => true,
            tools => (),
            documents => (),
        };
        self.environment
            .get_template(NAME)?
            .render(context! { ..names, ..Value::from(tokens) })
    }

    fn error(&self, reason: &str) -> CheckpointError {
        CheckpointError::Template {
            file: self.source.clone(),
            reason: reason.to_string(),
        }
    }
}

fn template_error(source: &str, error: &Error) -> CheckpointError {
    CheckpointError::Template {
        file: source.to_string(),
        reason: error.to_string(),
    }
}

/// The template without `{% generation %}` ... `{% endgeneration %}`, which mark the assistant's text for training. Blocks
/// that do nothing take their place, so that whitespace is trimmed as it would be.
fn without_generation(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, tag)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        let Some((inside, after)) = tag.split_once("%}") else {
            rest = tag;
            break;
        };
        let word = inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        out.push_str(&match word {
            "generation" => inside.replace(word, "if true"),
            "endgeneration" => inside.replace(word, "endif"),
            _ => inside.to_string(),
        });
        out.push_str("%}");
        rest = after;
    }
    out + rest
}
