//! Fills a cluster with values that no compression makes smaller.

use etcd_client::{Client, Txn, TxnOp};
use futures::StreamExt;
use quorate_e2e::Error;
use rand::Rng;

const VALUE_BYTES: usize = 4 << 10;
/// Puts of one transaction, and transactions at a time.
const PUTS: usize = 32;
const AT_A_TIME: usize = 32;

/// Writes so many MiB of values of 4 KiB under keys of their own.
pub async fn fill(client: &Client, mib: usize) -> Result<(), Error> {
    let keys = mib * (1 << 20) / VALUE_BYTES;
    let mut transactions = futures::stream::iter(0..keys.div_ceil(PUTS))
        .map(|number| {
            let mut client = client.clone();
            async move {
                let puts: Vec<TxnOp> = (number * PUTS..keys.min((number + 1) * PUTS))
                    .map(|key| {
                        let mut value = vec![0; VALUE_BYTES];
                        rand::rng().fill_bytes(&mut value);
                        TxnOp::put(format!("fill/{key:012}"), value, None)
                    })
                    .collect();
                client.txn(Txn::new().and_then(puts)).await.map(drop).map_err(Error::client("filling"))
            }
        })
        .buffer_unordered(AT_A_TIME);
    while let Some(done) = transactions.next().await {
        done?;
    }
    Ok(())
}
