//! `etcdctl txn`

use std::io::{self, BufRead};

use bytes::Bytes;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use quorate_proto::etcdserverpb::{
    Compare, RequestOp, TxnRequest,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op::Request,
};

use super::{Session, del::Del, get::Get, line, put::Put};
use crate::{
    client::Client,
    failure::{Exit, Failure},
    go,
    output::write_line,
};

/// Processes all the requests of standard input in one transaction
///
/// Three lists, each ended by an empty line: comparisons such as `mod("key") > "0"`, the requests (get, put, del) for when all
/// of them hold, and the requests for when one doesn't.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Txn {
    /// Prompt for each list
    #[arg(long, short = 'i')]
    interactive: bool,
    #[arg(hide = true)]
    args: Vec<String>,
}

/// One line of the lists of requests.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true)]
struct Operation {
    #[command(subcommand)]
    operation: OperationKind,
}

#[derive(Subcommand)]
enum OperationKind {
    Get(Get),
    Put(Put),
    Del(Del),
}

impl Txn {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        if !self.args.is_empty() {
            return Err(Failure::bad_args("txn command does not accept argument"));
        }
        let mut client = Client::open(&session.globals).await?;
        let mut input = io::stdin().lock();
        self.prompt("compares:")?;
        let compare = read_list(&mut input, parse_compare)?;
        self.prompt("success requests (get, put, del):")?;
        let success = read_list(&mut input, parse_operation)?;
        self.prompt("failure requests (get, put, del):")?;
        let failure = read_list(&mut input, parse_operation)?;
        session.output.print(&client.call(TxnRequest { compare, success, failure }).await?)
    }

    fn prompt(&self, text: &str) -> Result<(), Failure> {
        if self.interactive { write_line(text) } else { Ok(()) }
    }
}

fn invalid(text: String) -> Failure {
    Failure::new(Exit::InvalidInput, text)
}

/// Reads lines up to an empty one; an end of input before that is a mistake, as the list may be cut short.
fn read_list<T>(input: &mut impl BufRead, parse: impl Fn(&str) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let mut list = Vec::new();
    loop {
        let mut line = String::new();
        let length = input.read_line(&mut line).map_err(|error| invalid(error.to_string()))?;
        if length == 0 || !line.ends_with('\n') {
            return Err(invalid("EOF".to_owned()));
        }
        match line.trim() {
            "" => return Ok(list),
            line => list.push(parse(line)?),
        }
    }
}

fn parse_operation(line: &str) -> Result<RequestOp, Failure> {
    let words = line::words(line)?;
    if words.len() < 2 {
        return Err(invalid(format!("invalid txn compare request: {line}")));
    }
    let operation = super::with_go_flags(Operation::command())
        .try_get_matches_from(words)
        .and_then(|matches| Operation::from_arg_matches(&matches))
        .map_err(|_| invalid(format!("invalid txn request: {line}")))?;
    let request = match operation.operation {
        OperationKind::Get(get) => Request::RequestRange(get.request()?),
        // Standard input holds the rest of the transaction, not a value.
        OperationKind::Put(put) => Request::RequestPut(put.request(|| None)?),
        OperationKind::Del(del) => Request::RequestDeleteRange(del.request()?),
    };
    Ok(RequestOp { request: Some(request) })
}

/// Reads `target("key") operator "value"`.
fn parse_compare(line: &str) -> Result<Compare, Failure> {
    let malformed = || invalid(format!("malformed comparison: {line}"));
    let (target, rest) = line.split_once('(').ok_or_else(malformed)?;
    let (key, rest) = go::unquote_prefix(rest.trim_start()).map_err(|_| malformed())?;
    let rest = rest.strip_prefix(')').ok_or_else(malformed)?.trim_start();
    let (operator, rest) = rest.split_once(char::is_whitespace).ok_or_else(malformed)?;
    let (value, _) = go::unquote_prefix(rest.trim_start()).map_err(|_| malformed())?;

    let result = match operator {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        _ => {
            let expected = "expecting =, !=, > or <";
            return Err(invalid(format!("malformed comparison: {line} (unknown operator {operator}, {expected})")));
        }
    };
    let number = |base| {
        let text = String::from_utf8_lossy(&value);
        go::parse_int(&text, base).map_err(|_| invalid(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(10)?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number(10)?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(10)?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(Bytes::from(value))),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(16)?)),
        _ => return Err(invalid(format!("malformed comparison: {line} (unknown target {target})"))),
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: Bytes::from(key),
        range_end: Bytes::new(),
        target_union: Some(union),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_name_target_operator_and_value() {
        let compare = parse_compare(r#"mod("k\x00") > "7""#).unwrap();
        assert_eq!(compare.key, b"k\0".as_slice());
        assert_eq!(compare.result(), CompareResult::Greater);
        assert_eq!(compare.target(), CompareTarget::Mod);
        assert_eq!(compare.target_union, Some(TargetUnion::ModRevision(7)));
        let lease = parse_compare(r#"lease("k") = "ff""#).unwrap();
        assert_eq!(lease.target_union, Some(TargetUnion::Lease(255)));
    }

    #[test]
    fn a_malformed_comparison_is_shown() {
        for line in
            [r#"ver("a" > "0""#, "ver", r#"ver("a") ? "0""#, r#"what("a") = "0""#, r#"ver("a") = "x""#, r#"ver("a")"#]
        {
            let failure = parse_compare(line).unwrap_err();
            assert_eq!(failure.exit(), Exit::InvalidInput);
            assert!(failure.text().contains(line), "{}", failure.text());
        }
    }

    #[test]
    fn operations_read_like_the_commands() {
        let put = parse_operation(r#"put key1 "a b" --lease=10"#).unwrap();
        let Some(Request::RequestPut(put)) = put.request else { panic!() };
        assert_eq!((&*put.key, &*put.value, put.lease), (b"key1".as_slice(), b"a b".as_slice(), 16));
        let get = parse_operation("get --prefix k").unwrap();
        let Some(Request::RequestRange(get)) = get.request else { panic!() };
        assert_eq!(get.range_end, b"l".as_slice());
        for line in ["get", "put k", "move k", "get k --foo"] {
            assert!(parse_operation(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_list_without_its_empty_line_is_refused() {
        let mut input = "get a\nget b".as_bytes();
        assert!(read_list(&mut input, parse_operation).is_err());
        let mut input = "get a\n  \nrest".as_bytes();
        assert_eq!(read_list(&mut input, parse_operation).unwrap().len(), 1);
        assert_eq!(input, b"rest");
    }
}
