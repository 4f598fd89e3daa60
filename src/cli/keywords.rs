//! Options of `explain` by keyword, for programs that embed the command line: the same names,
//! defaults, checks and messages.

use std::path::Path;

use clap::{ArgAction, CommandFactory, Parser};

use super::error::CliError;
use super::machine::{self, Opened};
use super::options::{
    EncoderOptions, MachineOptions, MethodOptions, PictureOptions, RandomizeOptions, settings,
};
use super::terminal::visible;
use crate::explain::{Compat, Settings};
use crate::lvlm::Lvlm;
use crate::picture::Limits;

/// The options that say which model is opened, and where.
const OF_MODEL: [&str; 8] = [
    "compat",
    "device",
    "dtype",
    "encoders",
    "gemm",
    "randomize-layers",
    "randomize-seed",
    "threads",
];
/// The options of an explanation that a method alone does not read: those about the picture, the
/// answer, its words and its curves, about memory, and about layers of the model.
const NOT_OF_METHOD: [&str; 11] = [
    "baseline",
    "baseline-answer",
    "curve-points",
    "each",
    "explain-image",
    "layer",
    "max-new-tokens",
    "max-pixels",
    "memory-budget",
    "no-curves",
    "threshold",
];

/// The options of `explain` whose names have the same meaning wherever they are given.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Options {
    #[command(flatten)]
    method: MethodOptions,
    #[command(flatten)]
    picture: PictureOptions,
    #[command(flatten)]
    encoders: EncoderOptions,
    #[command(flatten)]
    randomize: RandomizeOptions,
    #[command(flatten)]
    machine: MachineOptions,
}

/// An option by its name on the command line, without dashes in front, and its value; `None` for
/// an option that takes none. An option that may be given several times occurs once per value.
pub type Keyword = (String, Option<String>);

/// The subject of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The model, and the machine that it runs on.
    Model,
    /// An explanation by a model.
    Explanation,
    /// The method alone, on whatever it explains.
    Method,
}

impl Topic {
    /// Checks whether an option is of this topic.
    fn has(self, option: &str) -> bool {
        let of_model = OF_MODEL.contains(&option);
        match self {
            Topic::Model => of_model,
            Topic::Explanation => !of_model,
            Topic::Method => !of_model && !NOT_OF_METHOD.contains(&option),
        }
    }
}

/// An option as the command line's help describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The name on the command line, without dashes in front.
    pub name: String,
    /// The help.
    pub help: String,
    /// Whether it may be given without a value.
    pub switch: bool,
    /// The default, if it does not depend on other options.
    pub default: Option<String>,
    /// The values that it can have, with their help; empty if they are not listed.
    pub values: Vec<(String, String)>,
}

/// Lists the options of a topic in the order of the command line's help.
pub fn options(topic: Topic) -> Vec<Described> {
    let command = Options::command();
    let described = command.get_arguments().filter_map(|argument| {
        let name = argument.get_long().filter(|name| topic.has(name))?;
        let help = argument.get_help().map(ToString::to_string);
        let switch = matches!(argument.get_action(), ArgAction::SetTrue);
        let defaults = argument.get_default_values().iter();
        let mut defaults = defaults.map(|value| value.to_string_lossy().into_owned());
        let values = argument.get_possible_values().into_iter().map(|value| {
            let help = value.get_help().map(ToString::to_string);
            (value.get_name().to_string(), help.unwrap_or_default())
        });
        Some(Described {
            name: name.to_string(),
            help: help.unwrap_or_default(),
            switch: switch || argument.get_num_args().is_some_and(|n| n.min_values() == 0),
            default: defaults.next().filter(|_| !switch),
            values: if switch { Vec::new() } else { values.collect() },
        })
    });
    described.collect()
}

/// Opens the model in a folder or in Hugging Face's cache, or the demo model, as keywords of
/// [`Topic::Model`] say.
///
/// # Errors
/// [`CliError::Keyword`] for one that does not exist or has a wrong value; errors of the checkpoint
/// and the device.
pub fn open(model: Option<&Path>, given: &[Keyword]) -> Result<Opened, CliError> {
    let options = parse(Topic::Model, given, None)?;
    machine::open(
        &options.machine,
        &options.encoders.options(options.method.compat()),
        model,
        options.randomize.layers(),
        0,
    )
}

/// Returns the settings that keywords of `topic` ask for, and the limits on the size of pictures.
/// `compat` is the program that the model reproduces.
///
/// # Errors
/// [`CliError::Keyword`] for a keyword that does not exist or has a wrong value;
/// [`CliError::Option`] for one that the method does not read; [`CliError::Explain`] for a value
/// out of range.
pub fn explanation(
    topic: Topic,
    given: &[Keyword],
    compat: Option<Compat>,
) -> Result<(Settings, Limits), CliError> {
    let options = parse(topic, given, compat)?;
    let settings = settings(&options.method, &options.machine)?;
    settings.validate()?;
    Ok((settings, options.picture.limits()))
}

/// Returns the settings of explanations by `model` that keywords of [`Topic::Explanation`] ask for,
/// and the limits on the size of pictures. A budget of the model's own depends on the device's
/// state: the settings, and so the record, say which it was.
///
/// # Errors
/// As [`explanation`].
pub fn explanation_by(model: &dyn Lvlm, given: &[Keyword]) -> Result<(Settings, Limits), CliError> {
    let (mut settings, limits) = explanation(Topic::Explanation, given, model.compat())?;
    settings
        .memory_budget
        .get_or_insert_with(|| model.memory_budget());
    Ok((settings, limits))
}

/// Parses keywords of a topic, and `compat` beside them.
fn parse(topic: Topic, given: &[Keyword], compat: Option<Compat>) -> Result<Options, CliError> {
    let names: Vec<String> = options(topic).into_iter().map(|o| o.name).collect();
    if let Some((name, _)) = given.iter().find(|(name, _)| !names.contains(name)) {
        return Err(CliError::Keyword(format!(
            "expected one of {}, found {name}",
            names.join(", ")
        )));
    }
    let given = given.iter().map(|(name, value)| match value {
        Some(value) => format!("--{name}={value}"),
        None => format!("--{name}"),
    });
    let compat = compat.map(|program| format!("--compat={program}"));
    Options::try_parse_from(given.chain(compat)).map_err(|error| {
        let text = error.render().to_string();
        // Without the lines on how the program is called.
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let ends = ["\n\nUsage:", "\n\nFor more information"];
        let end = ends.iter().filter_map(|end| text.find(end)).min();
        let text = end.map_or(text, |end| &text[..end]);
        CliError::Keyword(visible(text.trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyword(name: &str, value: &str) -> Keyword {
        (name.into(), Some(value.into()))
    }

    #[test]
    fn every_option_is_listed_under_its_topic() {
        let names = |topic| -> Vec<String> {
            let all = options(topic).into_iter();
            all.map(|option| option.name).collect()
        };
        let all: Vec<String> = Options::command()
            .get_arguments()
            .filter_map(|argument| argument.get_long().map(String::from))
            .collect();
        let (model, explanation) = (names(Topic::Model), names(Topic::Explanation));
        assert_eq!(model.len(), OF_MODEL.len());
        assert_eq!(model.len() + explanation.len(), all.len());
        assert_eq!(
            names(Topic::Method).len(),
            explanation.len() - NOT_OF_METHOD.len()
        );
        let described = options(Topic::Explanation);
        assert!(described.iter().all(|option| !option.help.is_empty()));
        let switches = described.iter().filter(|option| option.switch);
        let switches: Vec<&str> = switches.map(|option| option.name.as_str()).collect();
        assert_eq!(switches, ["no-curves", "each", "baseline-answer"]);
        let named = |name: &str| described.iter().find(|option| option.name == name).unwrap();
        assert_eq!(named("mask-size").default.as_deref(), Some("32"));
        assert_eq!(named("steps").default, None);
        let qualities: Vec<&str> = named("quality")
            .values
            .iter()
            .map(|v| v.0.as_str())
            .collect();
        assert_eq!(qualities, ["draft", "normal", "high"]);
        assert_eq!(
            named("method").values.len(),
            crate::explain::Method::ALL.len()
        );
        assert!(named("no-curves").values.is_empty() && named("no-curves").default.is_none());
    }

    #[test]
    fn settings_are_those_of_the_command_line() {
        let given = [
            keyword("method", "fovea"),
            keyword("mask-size", "16"),
            keyword("threshold", "-0.5"),
            keyword("memory-budget", "1048576"),
            ("no-curves".into(), None),
        ];
        let (settings, _) = explanation(Topic::Explanation, &given, None).unwrap();
        let expected = Settings {
            mask_size: 16,
            threshold: -0.5,
            memory_budget: Some(1 << 20),
            curves: false,
            ..Settings::of(crate::explain::Method::Fovea)
        };
        assert_eq!(settings, expected);
        let reproduced = Some(Compat::LvlmInterpretation);
        let (settings, _) = explanation(Topic::Explanation, &[], reproduced).unwrap();
        assert_eq!(settings, Settings::following(reproduced));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (topic, given, part) in [
            (Topic::Explanation, keyword("stpes", "1"), "found stpes"),
            (Topic::Explanation, keyword("device", "cpu"), "found device"),
            (Topic::Method, keyword("threshold", "1"), "found threshold"),
            (
                Topic::Explanation,
                keyword("steps", "many"),
                "'many' for '--steps",
            ),
            (
                Topic::Explanation,
                keyword("steps", "0"),
                "steps: expected 1 to",
            ),
            (Topic::Explanation, keyword("window", "3"), "--method fovea"),
            (Topic::Explanation, keyword("no-curves", "5"), "--no-curves"),
            (
                Topic::Explanation,
                keyword("method", "\u{1b}[2J"),
                "possible values: fovea",
            ),
        ] {
            let error = explanation(topic, &[given], None).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(part), "{part}: {text}");
            assert!(
                !text.contains("Usage") && !text.contains('\u{1b}'),
                "{text}"
            );
            assert_eq!(error.exit_code(), 2);
        }
        let error = open(None, &[keyword("device", "tpu")]).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("auto, cpu, or cuda:N"), "{text}");
    }
}
