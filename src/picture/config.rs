//! Reading an image processor's config, with the defaults of its class for absent fields.

mod cut;
mod smart;

use serde_json::{Map, Value};

pub(super) use self::cut::Cut;
pub(crate) use self::cut::MOST_TILES;
use self::cut::Tiles;
pub use self::smart::Patches;
pub(super) use self::smart::{LARGEST_RATIO, smart_resize};
use super::{Filter, PictureError};

/// The longest edge, in pixels, that a config may request.
pub(crate) const MAX_EDGE: u32 = 1 << 16;

/// The rule for the size of the resized picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SizeRule {
    /// This many rows and columns, whatever the picture's shape.
    Exact { height: u32, width: u32 },
    /// The shorter edge gets this length, and the longer one keeps the shape.
    ShortestEdge(u32),
    /// The same, but the longer edge is at most `longest`.
    Edges { shortest: u32, longest: u32 },
    /// The longer edge gets this length, as Idefics3 rounds it.
    LongestEdge(u32),
    /// As large as fits inside, keeping the shape.
    Within { height: u32, width: u32 },
    /// Multiples of `factor` near the picture's own, of `least` to `most` pixels in all.
    Smart { factor: u64, least: u64, most: u64 },
}

/// The settings of a config, in the order of their application.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub pad_to_square: bool,
    /// The colour of that square's padding, from 0 to 1; `None` is the mean.
    pub padding: Option<[f64; 3]>,
    pub resize: Option<(SizeRule, Filter)>,
    /// The filter of that and of any other resizing.
    pub filter: Filter,
    /// Rows and columns of the centre crop.
    pub crop: Option<(u32, u32)>,
    /// The factor that u8 values are multiplied by.
    pub rescale: Option<f64>,
    pub normalize: bool,
    pub mean: [f64; 3],
    pub std: [f64; 3],
    /// How pictures are cut into tiles, for a class that cuts them.
    pub cut: Option<Cut>,
    /// The patches, for a class that resizes to whole ones.
    pub patches: Option<Patches>,
}

/// A processor class's defaults for fields that its config omits.
struct Defaults {
    size: SizeRule,
    /// `do_center_crop`; `None` in a class that has no crop, whatever its file says.
    crop: Option<bool>,
    filter: Filter,
    mean: [f64; 3],
    std: [f64; 3],
    /// The effect of `do_pad` in this class.
    padding: Padding,
    tiles: Option<Tiles>,
    /// Whether the class can cut a picture into crops beside the whole.
    pan_and_scan: bool,
}

/// The padding that a class applies where `do_pad` is true.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// Padding to a square of the mean colour with the picture in the middle, before it is resized.
    Square,
    /// Black on the right and below, at the end, up to `pad_size`; nothing for a single picture
    /// without it.
    Size,
    /// None for a single picture: batches are filled with empty tiles.
    Batch,
}

/// The default of `image_grid_pinpoints` in `LlavaNextImageProcessor` and `LlavaNextConfig`, as
/// rows and columns.
pub(crate) const LLAVA_NEXT_PINPOINTS: [(u32, u32); 5] =
    [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)];

/// The same default in `LlavaOnevisionImageProcessor` and `LlavaOnevisionConfig`: up to 6 x 6 tiles
/// of 384 pixels.
pub(crate) fn llava_onevision_pinpoints() -> Vec<(u32, u32)> {
    let steps = || (1..=6).map(|n| n * 384);
    let rows = steps().flat_map(|rows| steps().map(move |columns| (rows, columns)));
    rows.collect()
}

const CLIP: Defaults = Defaults {
    size: SizeRule::ShortestEdge(224),
    crop: Some(true),
    filter: Filter::Bicubic,
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
    padding: Padding::Size,
    tiles: None,
    pan_and_scan: false,
};
const LLAVA: Defaults = Defaults {
    padding: Padding::Square,
    ..CLIP
};
const SIGLIP: Defaults = Defaults {
    size: SizeRule::Exact {
        height: 224,
        width: 224,
    },
    crop: Some(false),
    mean: [0.5; 3],
    std: [0.5; 3],
    ..CLIP
};
const LLAVA_NEXT: Defaults = Defaults {
    padding: Padding::Batch,
    tiles: Some(Tiles::LlavaNext),
    ..CLIP
};
const LLAVA_ONEVISION: Defaults = Defaults {
    size: SizeRule::Exact {
        height: 384,
        width: 384,
    },
    crop: Some(false),
    padding: Padding::Batch,
    tiles: Some(Tiles::LlavaOnevision),
    ..CLIP
};
const IDEFICS3: Defaults = Defaults {
    size: SizeRule::LongestEdge(4 * 364),
    filter: Filter::Lanczos,
    padding: Padding::Batch,
    tiles: Some(Tiles::Idefics3),
    ..SIGLIP
};
const GOT_OCR2: Defaults = Defaults {
    tiles: Some(Tiles::GotOcr2),
    ..LLAVA_ONEVISION
};
const QWEN2_VL: Defaults = Defaults {
    size: SizeRule::Smart {
        factor: 28,
        least: 56 * 56,
        most: 28 * 28 * 1280,
    },
    crop: None,
    padding: Padding::Batch,
    ..CLIP
};
const GEMMA3: Defaults = Defaults {
    crop: None,
    filter: Filter::Bilinear,
    padding: Padding::Batch,
    pan_and_scan: true,
    ..SIGLIP
};
const SUPPORTED: &str = "BitImageProcessor, CLIPImageProcessor, Gemma3ImageProcessor, \
                         GotOcr2ImageProcessor, Idefics3ImageProcessor, LlavaImageProcessor, \
                         LlavaNextImageProcessor, LlavaOnevisionImageProcessor, \
                         Qwen2VLImageProcessor, SiglipImageProcessor or SmolVLMImageProcessor";

impl Settings {
    /// Parses `preprocessor_config.json`, or a `processor_config.json` that nests it under
    /// `image_processor`; `class` is the class if the file names none.
    pub(super) fn from_json(text: &str, file: &str, class: &str) -> Result<Self, PictureError> {
        let root: Value = serde_json::from_str(text).map_err(|source| PictureError::Syntax {
            file: file.to_owned(),
            source,
        })?;
        let fields = match root.get("image_processor") {
            Some(Value::Object(map)) => Fields {
                map,
                file,
                prefix: "image_processor.",
            },
            _ => match &root {
                Value::Object(map) => Fields {
                    map,
                    file,
                    prefix: "",
                },
                other => {
                    return Err(PictureError::Field {
                        file: file.to_owned(),
                        field: "(the whole file)".to_owned(),
                        expected: "an object".to_owned(),
                        found: brief(other),
                    });
                }
            },
        };
        let defaults = fields.class(class)?;
        // Pictures are always RGB here, whatever its value.
        fields.flag("do_convert_rgb", true)?;
        fields.refuse_square_size()?;
        let pad = fields.flag("do_pad", false)?;
        if pad
            && defaults.padding == Padding::Size
            && let Some(size) = fields.get("pad_size")
        {
            return Err(fields.wrong("pad_size", "no such field for this processor", size));
        }
        let (do_resize, do_rescale, do_normalize) = (
            fields.flag("do_resize", true)?,
            fields.flag("do_rescale", true)?,
            fields.flag("do_normalize", true)?,
        );
        let smart = matches!(defaults.size, SizeRule::Smart { .. });
        let default = defaults.crop.unwrap_or(false);
        let do_crop = fields.flag("do_center_crop", default)? && defaults.crop.is_some();
        if defaults.pan_and_scan {
            fields.refuse_pan_and_scan()?;
        }
        for (needs, flag, names) in [
            (do_resize, "do_resize", &["size", "resample"][..]),
            (do_crop, "do_center_crop", &["crop_size"][..]),
            (do_rescale, "do_rescale", &["rescale_factor"][..]),
            (
                do_normalize,
                "do_normalize",
                &["image_mean", "image_std"][..],
            ),
        ] {
            // A null size is none, for a class that has another name for it.
            let null = |name: &str| fields.is_null(name) && !(smart && name == "size");
            if let Some(name) = names.iter().find(|name| needs && null(name)) {
                let expected = format!("a value, since {flag} is true");
                return Err(fields.wrong(name, &expected, &Value::Null));
            }
        }
        let mean = fields.colour("image_mean", defaults.mean)?;
        let std = fields.colour("image_std", defaults.std)?;
        if let Some(value) = fields
            .get("image_std")
            .filter(|_| std.iter().any(|&std| std <= 0.0))
        {
            return Err(fields.wrong("image_std", "numbers above 0", value));
        }
        let (size, patches) = match smart {
            true => smart::read(&fields).map(|(size, patches)| (size, Some(patches)))?,
            false => (fields.size(defaults.size)?, None),
        };
        let filter = fields.filter(defaults.filter)?;
        let crop_size = fields.crop_size()?;
        let factor = fields.number("rescale_factor", 1.0 / 255.0)?;
        let cut = defaults
            .tiles
            .map(|tiles| tiles.read(&fields))
            .transpose()?;
        Ok(Self {
            pad_to_square: pad && defaults.padding == Padding::Square,
            padding: fields.is_null("image_mean").then_some([0.0; 3]),
            resize: do_resize.then_some((size, filter)),
            filter,
            crop: do_crop.then_some(crop_size),
            rescale: do_rescale.then_some(factor),
            normalize: do_normalize,
            mean,
            std,
            cut,
            patches,
        })
    }
}

/// The fields of one object of a file.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    file: &'a str,
    prefix: &'a str,
}

impl Fields<'_> {
    /// Returns a field's value, if it has one.
    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Checks whether a field is null: it then has no value, and its class's default does not
    /// apply.
    fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    fn wrong(&self, name: &str, expected: &str, found: &Value) -> PictureError {
        PictureError::Field {
            file: self.file.to_owned(),
            field: format!("{}{name}", self.prefix),
            expected: expected.to_owned(),
            found: brief(found),
        }
    }

    /// Returns the defaults of the class that the file names, or else of `default`. Old files name
    /// a feature extractor.
    fn class(&self, default: &str) -> Result<&'static Defaults, PictureError> {
        let fields = ["image_processor_type", "feature_extractor_type"];
        let named = fields
            .iter()
            .find_map(|name| Some((*name, self.get(name)?)));
        let default = Value::from(default);
        let (field, value) = named.unwrap_or((fields[0], &default));
        let found = value.as_str().and_then(of_class);
        found.ok_or_else(|| self.wrong(field, SUPPORTED, value))
    }

    /// Refuses an old name of the square of CLIP's own size.
    fn refuse_square_size(&self) -> Result<(), PictureError> {
        let name = "use_square_size";
        match self.get(name) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(value) => Err(self.wrong(name, "no such field; size says the same", value)),
        }
    }

    /// Refuses crops of a picture beside the whole. transformers' processor turns them off unless a
    /// caller asks for them.
    fn refuse_pan_and_scan(&self) -> Result<(), PictureError> {
        let name = "do_pan_and_scan";
        match self.flag(name, false)? {
            false => Ok(()),
            true => Err(self.wrong(name, "false: pan and scan is not supported", &true.into())),
        }
    }

    /// Reads a boolean; a null is false.
    fn flag(&self, name: &str, default: bool) -> Result<bool, PictureError> {
        match self.get(name) {
            None => Ok(default && !self.is_null(name)),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong(name, "true or false", value)),
        }
    }

    fn number(&self, name: &str, default: f64) -> Result<f64, PictureError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| self.wrong(name, "a number", value)),
        }
    }

    /// Reads one number for each channel, or one for all.
    fn colour(&self, name: &str, default: [f64; 3]) -> Result<[f64; 3], PictureError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let colour = match value {
            Value::Array(list) => match list.as_slice() {
                [r, g, b] => r
                    .as_f64()
                    .zip(g.as_f64())
                    .zip(b.as_f64())
                    .map(|((r, g), b)| [r, g, b]),
                _ => None,
            },
            _ => value.as_f64().map(|all| [all; 3]),
        };
        colour.ok_or_else(|| self.wrong(name, "a number, or a list of 3 numbers", value))
    }

    /// Reads the resolutions of `image_grid_pinpoints`: pairs of rows and columns.
    fn pinpoints(&self) -> Result<Option<Vec<(u32, u32)>>, PictureError> {
        let name = "image_grid_pinpoints";
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let expected = format!("a list of pairs of rows and columns from 1 to {MAX_EDGE}");
        pairs_of_edges(value)
            .map(Some)
            .ok_or_else(|| self.wrong(name, &expected, value))
    }

    fn filter(&self, default: Filter) -> Result<Filter, PictureError> {
        let Some(value) = self.get("resample") else {
            return Ok(default);
        };
        let filter = value.as_u64().and_then(Filter::from_pillow);
        filter.ok_or_else(|| self.wrong("resample", "an integer from 0 to 5", value))
    }

    fn edge(&self, name: &str, value: &Value) -> Result<u32, PictureError> {
        edge(value)
            .ok_or_else(|| self.wrong(name, &format!("an integer from 1 to {MAX_EDGE}"), value))
    }

    fn size(&self, default: SizeRule) -> Result<SizeRule, PictureError> {
        const KEYS: [&str; 6] = [
            "shortest_edge",
            "longest_edge",
            "height",
            "width",
            "max_height",
            "max_width",
        ];
        let Some(value) = self.get("size") else {
            return Ok(default);
        };
        let map = match value {
            Value::Object(map) => map,
            Value::Array(list) if list.len() == 2 => {
                let (height, width) = (
                    self.edge("size.0", &list[0])?,
                    self.edge("size.1", &list[1])?,
                );
                return Ok(SizeRule::Exact { height, width });
            }
            _ => {
                let edge = self.edge("size", value)?;
                return Ok(match self.flag("default_to_square", false)? {
                    true => SizeRule::Exact {
                        height: edge,
                        width: edge,
                    },
                    false => SizeRule::ShortestEdge(edge),
                });
            }
        };
        let mut edges = [None; 6];
        for (edge, key) in edges.iter_mut().zip(KEYS) {
            if let Some(value) = map.get(key).filter(|value| !value.is_null()) {
                *edge = Some(self.edge(&format!("size.{key}"), value)?);
            }
        }
        match edges {
            [Some(edge), None, None, None, None, None] => Ok(SizeRule::ShortestEdge(edge)),
            [None, Some(edge), None, None, None, None]
                if matches!(default, SizeRule::LongestEdge(_)) =>
            {
                Ok(SizeRule::LongestEdge(edge))
            }
            [Some(shortest), Some(longest), None, None, None, None] => {
                Ok(SizeRule::Edges { shortest, longest })
            }
            [None, None, Some(height), Some(width), None, None] => {
                Ok(SizeRule::Exact { height, width })
            }
            [None, None, None, None, Some(height), Some(width)] => {
                Ok(SizeRule::Within { height, width })
            }
            _ => {
                let expected = "an integer, or an object of shortest_edge, of shortest_edge and \
                                longest_edge, of height and width, or of max_height and max_width";
                Err(self.wrong("size", expected, value))
            }
        }
    }

    fn crop_size(&self) -> Result<(u32, u32), PictureError> {
        let Some(value) = self.get("crop_size") else {
            return Ok((224, 224));
        };
        match (value, value.get("height"), value.get("width")) {
            (Value::Object(_), Some(height), Some(width)) => Ok((
                self.edge("crop_size.height", height)?,
                self.edge("crop_size.width", width)?,
            )),
            (Value::Object(_), ..) => Err(self.wrong(
                "crop_size",
                "an integer, or an object of height and width",
                value,
            )),
            (Value::Array(list), ..) if list.len() == 2 => Ok((
                self.edge("crop_size.0", &list[0])?,
                self.edge("crop_size.1", &list[1])?,
            )),
            _ => self.edge("crop_size", value).map(|edge| (edge, edge)),
        }
    }
}

/// Returns the defaults of a class by its name, whichever library it resizes with.
fn of_class(name: &str) -> Option<&'static Defaults> {
    let name = name
        .strip_suffix("Fast")
        .or(name.strip_suffix("Pil"))
        .unwrap_or(name);
    let family = name
        .strip_suffix("ImageProcessor")
        .or(name.strip_suffix("FeatureExtractor"));
    match family? {
        // DINOv2's class has the defaults of CLIP's.
        "CLIP" | "Bit" => Some(&CLIP),
        "Llava" => Some(&LLAVA),
        "LlavaNext" => Some(&LLAVA_NEXT),
        "LlavaOnevision" => Some(&LLAVA_ONEVISION),
        "Siglip" => Some(&SIGLIP),
        "Gemma3" => Some(&GEMMA3),
        "Idefics3" | "SmolVLM" => Some(&IDEFICS3),
        "GotOcr2" => Some(&GOT_OCR2),
        "Qwen2VL" => Some(&QWEN2_VL),
        _ => None,
    }
}

/// Reads a length in pixels, of 1 to [`MAX_EDGE`].
fn edge(value: &Value) -> Option<u32> {
    let edge = value.as_u64().and_then(|edge| u32::try_from(edge).ok());
    edge.filter(|edge| (1..=MAX_EDGE).contains(edge))
}

/// Reads a non-empty list of pairs of lengths from 1 to [`MAX_EDGE`]; `None` for anything else.
pub(crate) fn pairs_of_edges(value: &Value) -> Option<Vec<(u32, u32)>> {
    let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([first, second]) => Some((edge(first)?, edge(second)?)),
        _ => None,
    };
    let list = value.as_array().filter(|list| !list.is_empty())?;
    list.iter().map(pair).collect()
}

/// Returns a value as JSON, truncated to fit in a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
