//! The end of many measurements.

/// The smallest value that so many of a hundred are not above.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=50).map(f64::from).collect();
        assert_eq!((percentile(&values, 99), percentile(&values, 50), percentile(&values, 100)), (50.0, 25.0, 50.0));
        assert_eq!(percentile(&[7.0], 99), 7.0);
    }
}
