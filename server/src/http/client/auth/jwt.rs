//! Tokens that carry their user, signed: any member with the keys takes them, and they survive restarts.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::store::auth::Caller;

/// etcd's life of a token.
const TTL: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--auth-token=jwt: there is no option {0:?}; use sign-method, pub-key, priv-key and ttl")]
    Option(String),
    #[error(
        "--auth-token=jwt: sign-method is missing: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 or HS512"
    )]
    NoMethod,
    #[error(
        "--auth-token=jwt: sign-method {0:?} is not supported: use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 or HS512"
    )]
    Method(String),
    #[error("--auth-token=jwt: ttl {0:?} is no duration such as 5m")]
    Ttl(String),
    #[error("--auth-token=jwt: a key is missing: give priv-key, or pub-key for a member that only checks tokens")]
    NoKey,
    #[error("--auth-token=jwt: {} cannot be read", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("--auth-token=jwt: {} holds no key for {method}", path.display())]
    Key { path: PathBuf, method: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("--auth-token=jwt: pub-key and priv-key do not belong together")]
    Mismatch,
}

/// What our tokens claim.
#[derive(Debug, Serialize)]
struct Signed<'a> {
    username: &'a str,
    /// The auth revision at which the token was signed.
    revision: u64,
    /// Seconds since 1970.
    exp: u64,
}

/// What is read of any token that our key has signed, ours or another issuer's. The times are the library's to check.
#[derive(Debug, Deserialize)]
struct Claims {
    username: String,
    /// A number of JSON, as etcd reads it.
    revision: f64,
}

pub struct Jwt {
    header: Header,
    /// A member without it only checks tokens.
    signing: Option<EncodingKey>,
    checking: DecodingKey,
    validation: Validation,
    ttl: Duration,
}

impl Jwt {
    /// `options`: the pairs behind `jwt,`.
    pub fn new(options: &[(String, String)]) -> Result<Self, Error> {
        let (mut method, mut private, mut public, mut ttl) = (None, None, None, TTL);
        for (key, value) in options {
            match key.as_str() {
                "sign-method" => method = Some(value.as_str()),
                "priv-key" => private = Some(Path::new(value)),
                "pub-key" => public = Some(Path::new(value)),
                "ttl" => ttl = crate::config::value::duration(value).ok_or_else(|| Error::Ttl(value.clone()))?,
                _ => return Err(Error::Option(key.clone())),
            }
        }
        let method = method.ok_or(Error::NoMethod)?;
        let algorithm: Algorithm = method.parse().map_err(|_| Error::Method(method.to_owned()))?;
        let keys = Keys { algorithm, method };
        let (signing, checking) = keys.read(private, public)?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = 0;
        // As etcd: a token without an end has none, and whom else a token is for is its issuer's business.
        validation.set_required_spec_claims::<&str>(&[]);
        validation.validate_nbf = true;
        validation.validate_aud = false;
        let jwt = Self { header: Header::new(algorithm), signing, checking, validation, ttl };
        jwt.check_pair()?;
        Ok(jwt)
    }

    /// `None`: this member has no key to sign with.
    pub fn sign(&self, user: &str, revision: u64) -> Option<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = Signed { username: user, revision, exp: (now + self.ttl).as_secs() };
        jsonwebtoken::encode(&self.header, &claims, self.signing.as_ref()?).ok()
    }

    /// Whose token it is, if it was signed with our key and is still in force.
    pub fn caller(&self, token: &str) -> Option<Caller> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation);
        let Claims { username, revision } = claims.ok()?.claims;
        // 0 is who calls without authentication. Authentication can't be on at 1: such a token is told that it is old.
        Some(Caller { name: username, revision: (revision as u64).max(1) })
    }

    fn check_pair(&self) -> Result<(), Error> {
        match self.sign("root", 1) {
            Some(token) if self.ttl > Duration::from_secs(1) && self.caller(&token).is_none() => Err(Error::Mismatch),
            Some(_) | None => Ok(()),
        }
    }
}

struct Keys<'a> {
    algorithm: Algorithm,
    method: &'a str,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Keys<'_> {
    fn read(&self, private: Option<&Path>, public: Option<&Path>) -> Result<(Option<EncodingKey>, DecodingKey), Error> {
        let signing = private.map(|path| self.key(path, |pem| self.signing(pem))).transpose()?;
        let checking = match (public, private, &signing) {
            // A shared secret has no public half.
            (_, Some(path), _) if self.algorithm.family() == AlgorithmFamily::Hmac => {
                self.key(path, |secret| Ok(DecodingKey::from_secret(secret)?))?
            }
            (Some(path), ..) => self.key(path, |pem| self.checking(pem))?,
            (None, Some(path), Some(signing)) => self.key(path, |_| self.public_half(signing))?,
            (None, ..) => return Err(Error::NoKey),
        };
        Ok((signing, checking))
    }

    fn key<T>(&self, path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, Failure>) -> Result<T, Error> {
        let content = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let failed = |source| Error::Key { path: path.to_owned(), method: self.method.to_owned(), source };
        parse(&content).map_err(failed)
    }

    fn signing(&self, pem: &[u8]) -> Result<EncodingKey, Failure> {
        Ok(match self.algorithm.family() {
            AlgorithmFamily::Hmac => EncodingKey::from_secret(pem)?,
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem)?,
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem)?,
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem)?,
        })
    }

    fn checking(&self, pem: &[u8]) -> Result<DecodingKey, Failure> {
        Ok(match self.algorithm.family() {
            AlgorithmFamily::Hmac => DecodingKey::from_secret(pem)?,
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem)?,
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem)?,
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem)?,
        })
    }

    fn public_half(&self, signing: &EncodingKey) -> Result<DecodingKey, Failure> {
        let private = signing.as_bytes();
        Ok(match self.algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private)?;
                DecodingKey::from_ec_der(pair.public_key().as_ref())
            }
            Algorithm::ES384 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, private)?;
                DecodingKey::from_ec_der(pair.public_key().as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private)?;
                DecodingKey::from_ed_der(pair.public_key().as_ref())
            }
            _ => DecodingKey::from_rsa_der(RsaKeyPair::from_der(private)?.public_key().as_ref()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    fn file(folder: &Path, name: &str, content: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn pair(folder: &Path, name: &str, algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let private = file(folder, &format!("{name}.key"), &pair.serialize_pem());
        (private, file(folder, &format!("{name}.pub"), &pair.public_key_pem()))
    }

    #[test]
    fn a_token_names_its_user_whatever_the_method() {
        let folder = tempfile::tempdir().unwrap();
        let methods: [(&str, &'static rcgen::SignatureAlgorithm); 4] = [
            ("RS256", &rcgen::PKCS_RSA_SHA256),
            ("ES256", &rcgen::PKCS_ECDSA_P256_SHA256),
            ("ES384", &rcgen::PKCS_ECDSA_P384_SHA384),
            ("EdDSA", &rcgen::PKCS_ED25519),
        ];
        for (method, algorithm) in methods {
            let (private, public) = pair(folder.path(), method, algorithm);
            let alone = Jwt::new(&[option("sign-method", method), option("priv-key", &private)]).unwrap();
            let checker = Jwt::new(&[option("sign-method", method), option("pub-key", &public)]).unwrap();
            let token = alone.sign("alice", 7).unwrap();
            let expected = Some(Caller { name: "alice".to_owned(), revision: 7 });
            assert_eq!((alone.caller(&token), checker.caller(&token)), (expected.clone(), expected), "{method}");
            assert_eq!(checker.sign("alice", 7), None, "{method}");
        }
    }

    #[test]
    fn tokens_of_others_and_old_ones_name_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, content: &str, ttl: &str| {
            let path = file(folder.path(), name, content);
            Jwt::new(&[option("sign-method", "HS256"), option("priv-key", &path), option("ttl", ttl)]).unwrap()
        };
        let (ours, theirs) = (
            secret("a", "one secret of some length, thirty-two bytes", "5m"),
            secret("b", "another secret of some length, also long enough", "5m"),
        );
        let token = theirs.sign("root", 1).unwrap();
        assert_eq!(ours.caller(&token), None);
        let own = ours.sign("root", 1).unwrap();
        assert!(ours.caller(&own).is_some());
        let (body, _) = own.rsplit_once('.').unwrap();
        for forged in
            [body, &format!("{body}."), "", "a.b.c", "eyJhbGciOiJub25lIn0.eyJ1c2VybmFtZSI6InJvb3QiLCJyZXZpc2lvbiI6MX0."]
        {
            assert_eq!(ours.caller(forged), None, "{forged}");
        }
    }

    /// Whether a token with these claims is taken, and its revision.
    #[track_caller]
    fn check_foreign(claims: &str, expected: Option<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "secret", "a secret of some length, thirty-two bytes");
        let jwt = Jwt::new(&[option("sign-method", "HS256"), option("priv-key", &path)]).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = claims.replace("PAST", &(now - 100).to_string()).replace("FUTURE", &(now + 100).to_string());
        let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
        let token = jsonwebtoken::encode(&jwt.header, &claims, jwt.signing.as_ref().unwrap()).unwrap();
        assert_eq!(jwt.caller(&token).map(|caller| caller.revision), expected, "{claims}");
    }

    #[test]
    fn tokens_of_another_issuer_are_judged_as_by_etcd() {
        check_foreign(r#"{"username":"a","revision":3,"exp":FUTURE}"#, Some(3));
        check_foreign(r#"{"username":"a","revision":3}"#, Some(3));
        check_foreign(r#"{"username":"a","revision":3.5,"exp":FUTURE.5,"aud":"x","iss":"y"}"#, Some(3));
        check_foreign(r#"{"username":"a","revision":3,"aud":["x","y"],"nbf":PAST}"#, Some(3));
        check_foreign(r#"{"username":"a","revision":3,"exp":PAST}"#, None);
        check_foreign(r#"{"username":"a","revision":3,"nbf":FUTURE}"#, None);
        check_foreign(r#"{"username":"a"}"#, None);
        check_foreign(r#"{"revision":3}"#, None);
    }

    #[test]
    fn a_revision_that_cannot_be_is_an_old_one() {
        check_foreign(r#"{"username":"a","revision":0}"#, Some(1));
        check_foreign(r#"{"username":"a","revision":-1}"#, Some(1));
    }

    #[test]
    fn options_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (private, _) = pair(folder.path(), "one", &rcgen::PKCS_ECDSA_P256_SHA256);
        let (_, public) = pair(folder.path(), "other", &rcgen::PKCS_ECDSA_P256_SHA256);
        let es = option("sign-method", "ES256");
        for (options, part) in [
            (vec![], "sign-method is missing"),
            (vec![option("sign-method", "XX1")], "\"XX1\" is not supported"),
            (vec![es.clone()], "a key is missing"),
            (vec![es.clone(), option("colour", "red")], "no option \"colour\""),
            (vec![es.clone(), option("priv-key", "/nowhere")], "/nowhere cannot be read"),
            (vec![option("sign-method", "RS256"), option("priv-key", &private)], "holds no key for RS256"),
            (vec![es.clone(), option("ttl", "soon")], "\"soon\" is no duration"),
            (vec![es, option("priv-key", &private), option("pub-key", &public)], "do not belong together"),
        ] {
            let error = Jwt::new(&options).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(part), "{error}");
        }
    }
}
