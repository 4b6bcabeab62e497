//! Lines of several logs in the order of time.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// How long a line waits for older ones of other members, while the logs go on.
const PATIENCE: Duration = Duration::from_millis(300);

/// A line of a member's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub time: Timestamp,
    pub member: String,
    pub text: String,
}

impl Line {
    /// As the API server gives it when it is asked for times; `None` for anything else.
    pub fn parse(member: &str, line: &str) -> Option<Self> {
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        Some(Self { time: time.parse().ok()?, member: member.to_owned(), text: text.to_owned() })
    }
}

/// A log, in order of time by itself. It holds one line here, and a bounded number on their way.
struct Source {
    lines: Receiver<Line>,
    head: Option<(Line, Instant)>,
    has_ended: bool,
}

impl Source {
    /// May be given up at any time: a line that has come is kept.
    async fn fill(&mut self) {
        match self.lines.recv().await {
            Some(line) => self.head = Some((line, Instant::now())),
            None => self.has_ended = true,
        }
    }
}

/// Several logs as one.
pub struct Merge {
    sources: Vec<Source>,
    /// Logs that begin later.
    more: Receiver<Receiver<Line>>,
    is_complete: bool,
    /// Whether a line is held back no longer than [`PATIENCE`].
    follows: bool,
}

impl Merge {
    pub fn new(sources: Vec<Receiver<Line>>, more: Receiver<Receiver<Line>>, follows: bool) -> Self {
        let mut merge = Self { sources: Vec::new(), more, is_complete: false, follows };
        sources.into_iter().for_each(|lines| merge.add(lines));
        merge
    }

    fn add(&mut self, lines: Receiver<Line>) {
        self.sources.push(Source { lines, head: None, has_ended: false });
    }

    /// The oldest line: when every log has given one or has ended, or when it has waited long enough. `None` at the end of all.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            self.sources.retain(|source| source.head.is_some() || !source.has_ended);
            let oldest =
                self.sources.iter().enumerate().filter_map(|(at, source)| Some((&source.head.as_ref()?.0, at))).min();
            let oldest = oldest.map(|(_, at)| at);
            let all_known = self.sources.iter().all(|source| source.head.is_some());
            let since = oldest.and_then(|at| Some(self.sources.get(at)?.head.as_ref()?.1));
            let has_waited = since.is_some_and(|since| self.follows && since.elapsed() >= PATIENCE);
            if let Some(at) = oldest
                && (all_known || has_waited)
            {
                return self.sources.get_mut(at)?.head.take().map(|(line, _)| line);
            }
            if self.sources.is_empty() && self.is_complete {
                return None;
            }
            self.wait(since.filter(|_| self.follows).map(|since| since + PATIENCE)).await;
        }
    }

    /// For a line, the end of a log, a log more, or a time.
    async fn wait(&mut self, until: Option<Instant>) {
        let waiting = self.sources.iter_mut().filter(|source| source.head.is_none() && !source.has_ended);
        let mut fills: FuturesUnordered<_> = waiting.map(Source::fill).collect();
        let late = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let begun = tokio::select! {
            biased;
            begun = self.more.recv(), if !self.is_complete => Some(begun),
            Some(()) = fills.next() => None,
            () = late => None,
        };
        drop(fills);
        match begun {
            Some(Some(lines)) => self.add(lines),
            Some(None) => self.is_complete = true,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use tokio::sync::mpsc::{self, Sender};

    use super::*;

    fn line(member: &str, second: i64) -> Line {
        Line { time: Timestamp::from_second(second).unwrap(), member: member.to_owned(), text: second.to_string() }
    }

    fn merge(logs: usize, follows: bool) -> (Vec<Sender<Line>>, Sender<Receiver<Line>>, Merge) {
        let (more, begun) = mpsc::channel(1);
        let (senders, receivers) = (0..logs).map(|_| mpsc::channel(16)).unzip();
        (senders, more, Merge::new(receivers, begun, follows))
    }

    #[tokio::test]
    async fn logs_that_have_ended_are_in_the_order_of_time() {
        let (senders, more, mut merge) = merge(3, false);
        let logs = [("a", &[1, 4, 9][..]), ("b", &[2, 3, 10]), ("c", &[])];
        for (sender, (member, seconds)) in senders.into_iter().zip(logs) {
            for second in seconds {
                sender.send(line(member, *second)).await.unwrap();
            }
        }
        drop(more);
        let mut seen = Vec::new();
        while let Some(line) = merge.next().await {
            seen.push(format!("{}{}", line.member, line.text));
        }
        assert_eq!(seen, ["a1", "b2", "b3", "a4", "a9", "b10"]);
    }

    #[tokio::test]
    async fn a_silent_member_does_not_hold_the_others_back_for_long() {
        let (senders, _more, mut merge) = merge(2, true);
        senders[0].send(line("a", 5)).await.unwrap();
        let begun = Instant::now();
        assert_eq!(merge.next().await.unwrap(), line("a", 5));
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_older_line_that_comes_in_time_is_first() {
        let (senders, _more, mut merge) = merge(2, true);
        senders[0].send(line("a", 5)).await.unwrap();
        let other = senders[1].clone();
        let (first, ()) = tokio::join!(merge.next(), async {
            tokio::task::yield_now().await;
            other.send(line("b", 4)).await.unwrap();
        });
        assert_eq!(first.unwrap(), line("b", 4));
        senders[1].send(line("b", 6)).await.unwrap();
        assert_eq!(merge.next().await.unwrap(), line("a", 5));
    }

    #[tokio::test]
    async fn a_log_that_begins_later_takes_part() {
        let (senders, more, mut merge) = merge(1, true);
        let (new, lines) = mpsc::channel(1);
        more.send(lines).await.unwrap();
        new.send(line("new", 1)).await.unwrap();
        senders[0].send(line("a", 2)).await.unwrap();
        let seen = [merge.next().await.unwrap().member, merge.next().await.unwrap().member];
        assert_eq!(seen, ["new", "a"]);
    }

    #[test]
    fn a_line_begins_with_its_time() {
        let parsed = Line::parse("a", "2026-11-23T12:00:00.123456789Z {\"level\":\"info\"} more").unwrap();
        assert_eq!(parsed.text, "{\"level\":\"info\"} more");
        assert_eq!(parsed.time.subsec_nanosecond(), 123_456_789);
        assert_eq!(Line::parse("a", "unable to retrieve container logs"), None);
    }
}
