//! Ages and sizes in few letters, as kubectl has them.

use jiff::{SignedDuration, Timestamp};

/// `45s`, `12m`, `5h`, `3d`, `2y`.
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        172_800..63_072_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

/// Time since then.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then))
}

/// `in 80d`, or since when it is over.
pub fn end(then: Timestamp, now: Timestamp) -> String {
    if then > now { format!("in {}", age(now, then)) } else { format!("ended {} ago", age(then, now)) }
}

/// `20Mi`, `1.5Gi`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["", "Ki", "Mi", "Gi", "Ti"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let is_short = unit > 0 && value < 10.0 && value.fract() >= 0.05;
    if is_short { format!("{value:.1}{}", UNITS[unit]) } else { format!("{value:.0}{}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_unit() {
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7199, "119m"),
            (7200, "2h"),
            (172_800, "2d"),
            (90 * 86_400, "90d"),
            (3650 * 86_400, "10y"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn an_end_is_ahead_or_over() {
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        assert_eq!(end(at(400), at(100)), "in 5m");
        assert_eq!(end(at(100), at(190)), "ended 90s ago");
    }

    #[test]
    fn sizes_have_at_most_one_digit_behind_the_point() {
        for (bytes, text) in
            [(0, "0"), (1023, "1023"), (1536, "1.5Ki"), (20 << 20, "20Mi"), (1 << 30, "1Gi"), (3 << 29, "1.5Gi")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
