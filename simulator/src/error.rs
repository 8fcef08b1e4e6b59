//! The simulator's errors: all are about starting it; once it runs, errors are answers.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on 127.0.0.1 for {what}: {source}")]
    Listen { what: String, source: std::io::Error },
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    #[error("cannot read {path}: {source}; the shop folder needs the files named in the README")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{file} is not what a shop folder holds: {why}")]
    Shop { file: String, why: String },
    #[error("unknown time zone {0:?}: give an IANA name such as Europe/Berlin")]
    Timezone(String),
}
