//! What leaves the pod: compressed, encrypted, and cut into parts that are objects of their own. Memory: a few parts.

mod parts;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use age::x25519::{Identity, Recipient};
use sha2::{Digest, Sha256};

use crate::manifest::{Compression, Encryption};

pub use parts::{PART_BYTES, PartReader, PartWriter, parts};

/// Fast, and half of what the strongest level saves.
const LEVEL: i32 = 3;
/// 8 MiB: four times what the level needs, and nobody's bytes make a reader take more.
const WINDOW_LOG_MAX: u32 = 23;
const CHUNK_BYTES: usize = 256 << 10;

/// How something is sealed.
#[derive(Clone)]
pub struct Seal {
    pub compression: Compression,
    /// Each can open it. None: not encrypted.
    pub recipients: Vec<Recipient>,
}

/// Whose key opens it.
#[derive(Clone, Default)]
pub struct Keys {
    /// Any of them; a key that was replaced opens what was sealed before.
    pub identities: Vec<Identity>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is encrypted: give the key of one of its recipients by --identity-file")]
    KeyMissing,
    #[error("it is encrypted for others than the owner of --identity-file")]
    KeyWrong(#[source] age::DecryptError),
    #[error("--identity-file: {} has a line that is no key of age (AGE-SECRET-KEY-…), or none that is one", path.display())]
    Identity { path: PathBuf },
    #[error("--identity-file can't be read")]
    IdentityFile(#[source] io::Error),
    #[error("--recipient: {text} is no public key of age (age1…)")]
    Recipient { text: String },
    #[error("it can't be read")]
    Read(#[source] io::Error),
    #[error("it can't be written")]
    Write(#[source] io::Error),
    #[error("it can't be encrypted")]
    Encrypt(#[source] Box<age::EncryptError>),
}

impl Seal {
    pub fn encryption(&self) -> Encryption {
        if self.recipients.is_empty() { Encryption::None } else { Encryption::Age }
    }

    pub fn new(compression: Compression, recipients: &[String]) -> Result<Self, Error> {
        let parse = |text: &String| text.parse().map_err(|_| Error::Recipient { text: text.clone() });
        Ok(Self { compression, recipients: recipients.iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// All of `input`, sealed into `out`. Returns its bytes and their SHA-256.
    pub fn seal<W: Write>(&self, mut input: impl Read, out: W) -> Result<(u64, [u8; 32], W), Error> {
        if self.recipients.is_empty() {
            return self.compress(&mut input, out);
        }
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| Error::Encrypt(Box::new(error)))?;
        let writer = encryptor.wrap_output(out).map_err(Error::Write)?;
        let (bytes, sha256, writer) = self.compress(&mut input, writer)?;
        Ok((bytes, sha256, writer.finish().map_err(Error::Write)?))
    }

    fn compress<W: Write>(&self, input: &mut impl Read, mut out: W) -> Result<(u64, [u8; 32], W), Error> {
        match self.compression {
            Compression::None => {
                let (bytes, sha256) = copy(input, &mut out)?;
                Ok((bytes, sha256, out))
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, LEVEL).map_err(Error::Write)?;
                encoder.include_checksum(true).map_err(Error::Write)?;
                let (bytes, sha256) = copy(input, &mut encoder)?;
                Ok((bytes, sha256, encoder.finish().map_err(Error::Write)?))
            }
        }
    }
}

impl Keys {
    pub fn read(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(Error::IdentityFile)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let bad = || Error::Identity { path: path.to_owned() };
        let identities = lines.map(|line| line.parse().map_err(|_| bad())).collect::<Result<Vec<_>, _>>()?;
        if identities.is_empty() { Err(bad()) } else { Ok(Self { identities }) }
    }

    /// What was sealed, into `out`. Returns its bytes and their SHA-256.
    pub fn open(
        &self,
        compression: Compression,
        encryption: Encryption,
        input: impl Read,
        out: &mut impl Write,
    ) -> Result<(u64, [u8; 32]), Error> {
        match encryption {
            Encryption::None => decompress(compression, input, out),
            Encryption::Age => {
                if self.identities.is_empty() {
                    return Err(Error::KeyMissing);
                }
                let decryptor = age::Decryptor::new(input).map_err(unopened)?;
                let identities = self.identities.iter().map(|identity| identity as &dyn age::Identity);
                decompress(compression, decryptor.decrypt(identities).map_err(unopened)?, out)
            }
        }
    }
}

fn unopened(error: age::DecryptError) -> Error {
    match error {
        age::DecryptError::NoMatchingKeys => Error::KeyWrong(error),
        error => Error::Read(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

fn decompress(compression: Compression, input: impl Read, out: &mut impl Write) -> Result<(u64, [u8; 32]), Error> {
    match compression {
        Compression::None => copy(&mut { input }, out),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::new(input).map_err(Error::Read)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(Error::Read)?;
            copy(&mut decoder, out)
        }
    }
}

fn copy(input: &mut impl Read, out: &mut impl Write) -> Result<(u64, [u8; 32]), Error> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut checksum = Sha256::new();
    let mut bytes = 0;
    loop {
        let read = input.read(&mut chunk).map_err(Error::Read)?;
        if read == 0 {
            return Ok((bytes, checksum.finalize().into()));
        }
        checksum.update(&chunk[..read]);
        out.write_all(&chunk[..read]).map_err(Error::Write)?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(seal: &Seal, text: &[u8]) -> Vec<u8> {
        seal.seal(text, Vec::new()).unwrap().2
    }

    #[test]
    fn what_is_sealed_opens_to_the_same() {
        let identity = Identity::generate();
        let text: Vec<u8> = (0..3 * CHUNK_BYTES + 7).map(|at| (at / 100) as u8).collect();
        for compression in [Compression::None, Compression::Zstd] {
            for recipients in [Vec::new(), vec![identity.to_public()]] {
                let seal = Seal { compression, recipients };
                let bytes = sealed(&seal, &text);
                assert!(compression == Compression::None || bytes.len() < text.len() / 10);
                let keys = Keys { identities: vec![Identity::generate(), identity.clone()] };
                let mut opened = Vec::new();
                let (size, sha256) = keys.open(compression, seal.encryption(), bytes.as_slice(), &mut opened).unwrap();
                assert_eq!((size, sha256), (text.len() as u64, <[u8; 32]>::from(Sha256::digest(&text))));
                assert_eq!(opened, text);
            }
        }
    }

    #[test]
    fn without_the_key_or_with_another_it_stays_closed() {
        let seal = Seal { compression: Compression::Zstd, recipients: vec![Identity::generate().to_public()] };
        let bytes = sealed(&seal, b"secret");
        let open = |keys: Keys| keys.open(Compression::Zstd, Encryption::Age, bytes.as_slice(), &mut Vec::new());
        assert!(matches!(open(Keys::default()), Err(Error::KeyMissing)));
        assert!(matches!(open(Keys { identities: vec![Identity::generate()] }), Err(Error::KeyWrong(_))));
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn bytes_that_are_cut_off_or_altered_are_no_seal() {
        let identity = Identity::generate();
        for recipients in [Vec::new(), vec![identity.to_public()]] {
            let seal = Seal { compression: Compression::Zstd, recipients };
            let bytes = sealed(&seal, &[7; 10_000]);
            let keys = Keys { identities: vec![Identity::generate(), identity.clone()] };
            let opens = |bytes: &[u8]| keys.open(Compression::Zstd, seal.encryption(), bytes, &mut Vec::new()).is_ok();
            assert!(opens(&bytes));
            assert!(!opens(&bytes[..bytes.len() - 1]));
            let mut altered = bytes.clone();
            let last = altered.len() - 5;
            altered[last] ^= 1;
            assert!(!opens(&altered));
        }
    }
}
