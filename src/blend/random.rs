//! Random numbers that depend only on a seed and a position, so that any part of a stream can be
//! generated in any order and on any device, with the same bits.

/// The last word of the noise baseline's counters. Other streams use other words.
pub const BASELINE_STREAM: u32 = u32::MAX;
/// The last word of the counters of random masks.
pub const MASK_STREAM: u32 = u32::MAX - 1;

/// Returns the four random words of Philox4x32-10 for a counter and a key, the same in every
/// version and on every machine.
///
/// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, doi
/// 10.1145/2063384.2063405.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let (high0, low0) = multiply(0xD251_1F53, x0);
        let (high1, low1) = multiply(0xCD9E_8D57, x2);
        [x0, x1, x2, x3] = [high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0];
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [x0, x1, x2, x3]
}

/// Converts a seed to a key of [`philox4x32`].
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// Returns two independent standard normal numbers from two random words, by Box and Muller's
/// transform of their high 24 bits (Ann. Math. Statist. 29, 1958): `r cos(t), r sin(t)` with
/// `r = sqrt(-2 ln u)`, `u` in `(0,1]`, `t` in `[0,2 pi)`. No absolute value exceeds 5.77.
pub fn normal_pair(a: u32, b: u32) -> (f32, f32) {
    let unit = 1.0 / (1 << 24) as f32;
    let radius = (-2.0 * libm::logf(((a >> 8) + 1) as f32 * unit)).sqrt();
    let (sine, cosine) = libm::sincosf(std::f32::consts::TAU * ((b >> 8) as f32 * unit));
    (radius * cosine, radius * sine)
}

fn multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the authors' Random123 distribution (`kat_vectors`, philox4x32, 10
    /// rounds).
    #[test]
    fn philox_gives_the_known_answers() {
        let answers = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in answers {
            assert_eq!(
                philox4x32(counter, key),
                words,
                "counter {counter:x?}, key {key:x?}"
            );
        }
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_distribution() {
        let numbers: Vec<f64> = (0..50_000)
            .flat_map(|index| {
                let [a, b, ..] = philox4x32([index, 0, 0, 0], key(7));
                let (x, y) = normal_pair(a, b);
                [f64::from(x), f64::from(y)]
            })
            .collect();
        let moment =
            |power| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / numbers.len() as f64;
        // Six standard errors of each moment of 100 000 numbers.
        for (power, expected, error) in [
            (1, 0.0, 0.019),
            (2, 1.0, 0.027),
            (3, 0.0, 0.074),
            (4, 3.0, 0.186),
        ] {
            assert!(
                (moment(power) - expected).abs() < error,
                "moment {power}: {}",
                moment(power)
            );
        }
    }

    #[test]
    fn extreme_words_give_finite_numbers() {
        for (a, b) in [(0, 0), (u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX)] {
            let (x, y) = normal_pair(a, b);
            assert!(x.abs() < 5.78 && y.abs() < 5.78, "{a}, {b}: {x}, {y}");
        }
    }
}
