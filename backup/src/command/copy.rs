use jiff::Timestamp;
use quorate_format::bbolt::Reader;
use serde::Serialize;

use crate::etcd::Members;
use crate::restore::{Error, Folder, Made, Prepared, refuse_authentication, snapshot};

/// A day: no lease of the copy ends before clients have moved over and keep theirs alive.
const REMAINING_TTL_S: i64 = 86_400;

/// Makes a data folder of a cluster that runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Copy {
    #[command(flatten)]
    pub folder: Folder,
}

/// What was made. The revision stays the source's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copied {
    /// The source's, as hexadecimal digits.
    pub cluster_id: String,
    pub revision: i64,
    pub time: Timestamp,
    pub keys: u64,
    pub database_bytes: u64,
}

impl Copy {
    /// `None` if there is a member already.
    pub async fn run(self, source: &Members) -> Result<Option<Copied>, Error> {
        let Some(prepared) = self.folder.prepare()? else { return Ok(None) };
        let mut last = Err(Error::Cut);
        for endpoint in &source.endpoints {
            match fetch(source, endpoint, &prepared).await {
                Ok(fetched) => {
                    last = Ok(fetched);
                    break;
                }
                Err(error) => {
                    tracing::warn!(endpoint, %error, "no snapshot from this member");
                    last = Err(error);
                }
            }
        }
        let (snapshot, cluster_id, time) = last?;
        refuse_authentication(&snapshot, "disable it there (etcdctl auth disable) until this cluster has taken over")?;
        let Made { written, database_bytes, .. } = prepared.make(snapshot, None, Some(REMAINING_TTL_S), None).await?;
        let revision = written.latest.max(written.compacted).max(1);
        let cluster_id = format!("{cluster_id:x}");
        Ok(Some(Copied { cluster_id, revision, time, keys: written.rows, database_bytes }))
    }
}

async fn fetch(source: &Members, endpoint: &str, prepared: &Prepared) -> Result<(Reader, u64, Timestamp), Error> {
    let member = source.connect(endpoint).await?;
    let about = snapshot::about(member.clone()).await?;
    prepared.check_space(about.database_bytes, 0)?;
    let path = prepared.spool.join(format!("{:x}.db", about.member_id));
    snapshot::fetch(member, &path).await?;
    Ok((Reader::open(&path)?, about.cluster_id, Timestamp::now()))
}
