//! Clients that call, and write down what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Client, Compare, CompareOp, ConnectOptions, GetOptions, Txn, TxnOp, TxnOpResponse};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;

use super::operation::{Call, Operation, Outcome, Version};
use crate::Error;
use crate::member;

/// A call without an answer by then is given up with an unknown outcome.
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// Calls a client records at most, so that a history fits in memory: 8 clients make at most 4 million.
const CALLS_LIMIT: usize = 500_000;
/// Rest after a failure, so that a dead member does not fill the history with refused connections.
const REST: Duration = Duration::from_millis(20);

/// Where clients call, and how.
#[derive(Clone, Debug)]
pub struct Dial {
    endpoints: Vec<String>,
    options: Arc<Mutex<ConnectOptions>>,
}

impl Dial {
    pub fn new(endpoints: Vec<String>, options: ConnectOptions) -> Dial {
        Dial { endpoints, options: Arc::new(Mutex::new(options)) }
    }

    /// From now on, whoever holds this one or a clone of it connects so.
    pub fn renew(&self, options: ConnectOptions) {
        *self.options.lock() = options;
    }

    /// A connection to one of the endpoints.
    pub async fn connect(&self, at: usize) -> Result<Client, Error> {
        let endpoint = &self.endpoints[at % self.endpoints.len()];
        let options = self.options.lock().clone();
        let connected = Client::connect([endpoint], Some(options)).await;
        connected.map_err(Error::client(format!("connecting to {endpoint}")))
    }
}

impl<T: AsRef<[String]> + ?Sized> From<&T> for Dial {
    fn from(endpoints: &T) -> Self {
        Dial::new(endpoints.as_ref().to_vec(), member::connect_options())
    }
}

/// Running clients.
#[derive(Debug)]
pub struct Traffic {
    progress: Progress,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Operation>>>,
}

/// Acknowledged calls so far, over all clients.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The count.
    pub fn acknowledged(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Traffic {
    /// Starts clients on `keys` keys under a prefix. Each talks to one member at a time and goes to the next on failure.
    pub fn start(dial: impl Into<Dial>, prefix: &str, clients: usize, keys: u32, seed: u64) -> Traffic {
        let dial = dial.into();
        let progress = Progress::default();
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let clients = (0..clients)
            .map(|number| {
                let worker = Worker {
                    number,
                    dial: dial.clone(),
                    at: number,
                    connection: None,
                    prefix: prefix.to_owned(),
                    keys,
                    random: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                    start,
                    seen: 0,
                    recorded: Vec::new(),
                };
                tokio::spawn(worker.run(stop.clone(), progress.clone()))
            })
            .collect();
        Traffic { progress, stop, clients }
    }

    /// The shared count of acknowledged calls.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Lets every client finish its call and returns all operations.
    pub async fn stop(self) -> Result<Vec<Operation>, Error> {
        self.stop.store(true, Ordering::Relaxed);
        let mut operations = Vec::new();
        for client in self.clients {
            let recorded = client.await.map_err(|error| Error::Answer {
                what: "a client of the traffic ended badly".into(),
                answer: error.to_string(),
            })?;
            operations.extend(recorded);
        }
        Ok(operations)
    }
}

struct Worker {
    number: usize,
    dial: Dial,
    at: usize,
    connection: Option<Client>,
    prefix: String,
    keys: u32,
    random: StdRng,
    start: Instant,
    /// Modification revision last seen, as the condition of the next transaction.
    seen: i64,
    recorded: Vec<Operation>,
}

impl Worker {
    async fn run(mut self, stop: Arc<AtomicBool>, progress: Progress) -> Vec<Operation> {
        while !stop.load(Ordering::Relaxed) && self.recorded.len() < CALLS_LIMIT {
            let Some(mut client) = self.connected().await else { continue };
            let call = self.next_call();
            let invoked_ns = self.now_ns();
            let outcome = match tokio::time::timeout(CALL_LIMIT, perform(&mut client, &call)).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => outcome_of(&error),
                Err(_) => Outcome::Unknown,
            };
            let returned_ns = self.now_ns();
            match &outcome {
                Outcome::Failed | Outcome::Unknown => {
                    self.at += 1;
                    tokio::time::sleep(REST).await;
                }
                Outcome::Written { revision } | Outcome::Deleted { revision, .. } => {
                    self.seen = *revision;
                    self.connection = Some(client);
                    progress.0.fetch_add(1, Ordering::Relaxed);
                }
                Outcome::Read { found, .. } => {
                    self.seen = found.as_ref().map_or(0, |version| version.mod_revision);
                    self.connection = Some(client);
                    progress.0.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.recorded.push(Operation { client: self.number, call, outcome, invoked_ns, returned_ns });
        }
        self.recorded
    }

    async fn connected(&mut self) -> Option<Client> {
        if let Some(client) = self.connection.take() {
            return Some(client);
        }
        match self.dial.connect(self.at).await {
            Ok(client) => Some(client),
            Err(_) => {
                self.at += 1;
                tokio::time::sleep(REST).await;
                None
            }
        }
    }

    fn next_call(&mut self) -> Call {
        let key = format!("{}{}", self.prefix, self.random.random_range(0..self.keys));
        let value = format!("{}-{}", self.number, self.recorded.len());
        match self.random.random_range(0..10) {
            0..=3 => Call::Put { key, value },
            4 => Call::Delete { key },
            5..=6 => Call::PutIf { key, expected: self.seen, value },
            7..=8 => Call::Get { key, serializable: false },
            _ => Call::Get { key, serializable: true },
        }
    }

    fn now_ns(&self) -> u64 {
        // 584 years fit.
        self.start.elapsed().as_nanos() as u64
    }
}

async fn perform(client: &mut Client, call: &Call) -> Result<Outcome, etcd_client::Error> {
    match call {
        Call::Put { key, value } => {
            let answer = client.put(key.as_str(), value.as_str(), None).await?;
            Ok(Outcome::Written { revision: answer.header().map_or(0, |header| header.revision()) })
        }
        Call::Delete { key } => {
            let answer = client.delete(key.as_str(), None).await?;
            let revision = answer.header().map_or(0, |header| header.revision());
            Ok(Outcome::Deleted { revision, deleted: answer.deleted() })
        }
        Call::Get { key, serializable } => {
            let options = serializable.then(|| GetOptions::new().with_serializable());
            let answer = client.get(key.as_str(), options).await?;
            let revision = answer.header().map_or(0, |header| header.revision());
            Ok(Outcome::Read { revision, found: answer.kvs().first().map(version) })
        }
        Call::PutIf { key, expected, value } => {
            let txn = Txn::new()
                .when([Compare::mod_revision(key.as_str(), CompareOp::Equal, *expected)])
                .and_then([TxnOp::put(key.as_str(), value.as_str(), None)])
                .or_else([TxnOp::get(key.as_str(), None)]);
            let answer = client.txn(txn).await?;
            let revision = answer.header().map_or(0, |header| header.revision());
            if answer.succeeded() {
                return Ok(Outcome::Written { revision });
            }
            let found = answer.op_responses().into_iter().find_map(|response| match response {
                TxnOpResponse::Get(get) => get.kvs().first().map(version),
                _ => None,
            });
            Ok(Outcome::Read { revision, found })
        }
    }
}

fn version(kv: &etcd_client::KeyValue) -> Version {
    Version { value: String::from_utf8_lossy(kv.value()).into_owned(), mod_revision: kv.mod_revision() }
}

/// Only errors that a server decides before it proposes are certain; everything else may have happened.
fn outcome_of(error: &etcd_client::Error) -> Outcome {
    match error {
        etcd_client::Error::GRpcStatus(status)
            if matches!(status.code(), tonic::Code::InvalidArgument | tonic::Code::OutOfRange) =>
        {
            Outcome::Failed
        }
        _ => Outcome::Unknown,
    }
}
