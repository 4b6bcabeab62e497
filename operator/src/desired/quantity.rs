//! Sizes as Kubernetes writes them.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const SUFFIXES: [(&str, f64); 11] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("", 1.0),
];

/// In bytes; `None` for a text that is no size.
pub fn bytes(quantity: &Quantity) -> Option<f64> {
    let (number, unit) = SUFFIXES.iter().find_map(|(suffix, unit)| Some((quantity.0.strip_suffix(suffix)?, unit)))?;
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * unit)
}

/// With the largest unit that leaves a number above one.
pub fn shown(bytes: i64) -> String {
    let units = [("Pi", 1_i64 << 50), ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let unit = units.into_iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(|| bytes.to_string(), |(name, size)| format!("{:.1}{name}", bytes as f64 / size as f64))
}
