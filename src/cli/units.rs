//! Numbers with units, formatted for people.

/// Formats a number with an SI prefix and three digits, such as `12.9 T`.
pub(super) fn scaled(value: f64) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E"];
    let (mut value, mut prefix) = (value, 0);
    while value >= 999.5 && prefix + 1 < prefixes.len() {
        value /= 1000.0;
        prefix += 1;
    }
    let digits = match value {
        v if prefix == 0 && v.fract() == 0.0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", prefixes[prefix])
}

/// Formats a number of bytes, such as `14.1 GB`.
pub(super) fn bytes(value: f64) -> String {
    format!("{}B", scaled(value))
}

/// Formats a time, such as `45.0 ms` or `3.2 h`.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995e-3 => format!("{:.0} us", s * 1e6),
        s if s < 0.9995 => format!("{:.1} ms", s * 1e3),
        s if s < 600.0 => format!("{s:.2} s"),
        s if s < 36000.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_prefix() {
        for (value, text) in [
            (0.0, "0 "),
            (999.0, "999 "),
            (999.6, "1.00 k"),
            (1234.0, "1.23 k"),
            (9.996e9, "10.0 G"),
            (99.96e12, "100 T"),
            (14.06e9, "14.1 G"),
        ] {
            assert_eq!(scaled(value), text);
        }
    }

    #[test]
    fn times_have_a_fitting_unit() {
        for (value, text) in [
            (12e-6, "12 us"),
            (0.0451, "45.1 ms"),
            (0.9996, "1.00 s"),
            (599.0, "599.00 s"),
            (1800.0, "30.0 min"),
            (72000.0, "20.0 h"),
        ] {
            assert_eq!(time(value), text);
        }
    }
}
