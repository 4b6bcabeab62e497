//! Byte counts for people, as go-humanize's `Bytes` writes them.

const SUFFIXES: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Decimal units, one digit behind the point below ten: `20 kB`, `2.1 GB`.
pub fn format_size(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let exponent = (bytes.ilog10() / 3) as usize;
    let unit = 1000u64.pow(exponent as u32);
    let value = (bytes as f64 / unit as f64 * 10.0 + 0.5).floor() / 10.0;
    let suffix = SUFFIXES.get(exponent).copied().unwrap_or("EB");
    if value < 10.0 { format!("{value:.1} {suffix}") } else { format!("{value:.0} {suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_go_humanize_does() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (20480, "20 kB"),
            (1000, "1.0 kB"),
            (999, "999 B"),
            (2147483648, "2.1 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }
}
