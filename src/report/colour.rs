//! Colour ramps as tables, and colour contrast.

use colorous::{Color, Gradient};
use image::Rgb;

/// Number of colours in a table.
const STEPS: usize = 256;

/// A colour for every value from 0 to 1.
pub(super) struct Ramp(Vec<Rgb<u8>>);

impl Ramp {
    /// Creates a ramp from a gradient that is already perceptually uniform.
    pub fn new(gradient: Gradient) -> Ramp {
        Ramp(places().map(|t| rgb(gradient.eval_continuous(t))).collect())
    }

    /// Creates a ramp from the gradient's part from 0 to `end`, respaced so that its lightness (CIE
    /// L*) changes evenly. The lightness must decrease monotonically.
    pub fn even(gradient: Gradient, end: f64) -> Ramp {
        let lightness_at = |t: f64| lightness(rgb(gradient.eval_continuous(t)));
        let (first, last) = (lightness_at(0.0), lightness_at(end));
        let place = |share: f64| {
            let wanted = first + share * (last - first);
            let (mut low, mut high) = (0.0, end);
            // Bisection beyond the resolution of a u8 colour.
            for _ in 0..20 {
                let middle = (low + high) / 2.0;
                if lightness_at(middle) > wanted {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            rgb(gradient.eval_continuous(high))
        };
        Ramp(places().map(place).collect())
    }

    /// Returns the colour of `value`, which is clamped to 0..1; NaN counts as 0.
    pub fn at(&self, value: f32) -> Rgb<u8> {
        // A cast from float to integer converts NaN to 0.
        self.0[(value.clamp(0.0, 1.0) * (STEPS - 1) as f32).round() as usize]
    }
}

fn places() -> impl Iterator<Item = f64> {
    (0..STEPS).map(|i| i as f64 / (STEPS - 1) as f64)
}

fn rgb(colour: Color) -> Rgb<u8> {
    Rgb([colour.r, colour.g, colour.b])
}

/// Returns the relative luminance of an sRGB colour, 0 to 1 (IEC 61966-2-1).
fn luminance(colour: Rgb<u8>) -> f64 {
    let linear = |v: u8| match f64::from(v) / 255.0 {
        v if v <= 0.04045 => v / 12.92,
        v => ((v + 0.055) / 1.055).powf(2.4),
    };
    let [r, g, b] = colour.0.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Returns CIE L*, 0 to 100.
pub(super) fn lightness(colour: Rgb<u8>) -> f64 {
    match luminance(colour) {
        y if y > 216.0 / 24389.0 => 116.0 * y.cbrt() - 16.0,
        y => y * 24389.0 / 27.0,
    }
}

/// Returns the contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
pub(super) fn contrast(a: Rgb<u8>, b: Rgb<u8>) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}
