//! Which backups stay: pure.

use jiff::{SignedDuration, Timestamp};

/// A backup stays that either rule keeps, and the newest always does. Without a rule all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Retention {
    /// So many of the newest backups stay
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_last: Option<u64>,

    /// Backups that are younger stay, such as 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub keep_for: Option<SignedDuration>,
}

fn time(text: &str) -> Result<SignedDuration, String> {
    let bad = || "use a number with s, m, h, d or w, such as 30d".to_owned();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let number: i64 = text.trim_end_matches(unit).parse().map_err(|_| bad())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(bad()),
    };
    number.checked_mul(seconds).filter(|seconds| *seconds >= 0).map(SignedDuration::from_secs).ok_or_else(bad)
}

impl Retention {
    /// Numbers of those that go, of backups given by their times, the newest first.
    pub fn surplus(&self, newest_first: &[Timestamp], now: Timestamp) -> Vec<usize> {
        let Self { keep_last, keep_for } = *self;
        if keep_last.is_none() && keep_for.is_none() {
            return Vec::new();
        }
        let last = usize::try_from(keep_last.unwrap_or(0)).unwrap_or(usize::MAX).max(1);
        let is_young = |time: Timestamp| keep_for.is_some_and(|limit| now.duration_since(time) < limit);
        let all = newest_first.iter().enumerate();
        all.filter(|(number, time)| *number >= last && !is_young(**time)).map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_rule_keeps_stays_and_so_does_the_newest() {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let all = [at(99), at(90), at(50), at(10)];
        let gone = |keep_last, hours: Option<i64>, now| {
            let keep_for = hours.map(SignedDuration::from_hours);
            Retention { keep_last, keep_for }.surplus(&all, at(now))
        };
        assert_eq!(gone(None, None, 1000), [0; 0]);
        assert_eq!(gone(Some(2), None, 100), [2, 3]);
        assert_eq!(gone(None, Some(20), 100), [2, 3]);
        assert_eq!(gone(Some(3), Some(20), 100), [3]);
        assert_eq!(gone(Some(1), Some(60), 100), [3]);
        assert_eq!(gone(None, Some(1), 1000), [1, 2, 3], "the newest stays however old it is");
        assert_eq!(gone(Some(10), None, 1000), [0; 0]);
    }

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(time("90s"), Ok(SignedDuration::from_secs(90)));
        assert_eq!(time("2w"), Ok(SignedDuration::from_hours(14 * 24)));
        for bad in ["", "d", "-1d", "1y", "1.5d", "99999999999999999w"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
